"""From sums of packed multiplies to accumulators: templates/packed.j2."""

from dataclasses import dataclass

import numpy as np

from mcugen.kernels.constants import Constant, numbers
from mcugen.kernels.packed.operands import Operands
from mcugen.kernels.packed.sums import plain


@dataclass(frozen=True)
class Final:
    """acc = start + factor·sum, or sum itself."""

    plain: bool
    factor: str | None
    """The number as C; None where each channel has its own."""
    constants: tuple[Constant, ...]


def final_of(operands: Operands) -> Final:
    """What the kernel does with the sums with these operands."""
    if plain(operands):
        return Final(plain=True, factor="1", constants=())
    constants = [numbers("start", _wrapped(operands.start), "table", "[channel]")]
    same = bool((operands.factor == operands.factor[0]).all())
    if not same:
        constants.append(numbers("factor", operands.factor, "table", "[channel]"))
    factor = f"{operands.factor[0]}u" if same else None
    return Final(plain=False, factor=factor, constants=tuple(constants))


def _wrapped(values: np.ndarray) -> np.ndarray:
    """Modulo 2^32, signed."""
    return (values + 2**31) % 2**32 - 2**31
