"""The zero point of a dense layer's input, folded into where its accumulators start.

Σ w·(x − z) = −z·Σw + Σ w·x, so the inner loop can do without the subtraction where every tap
counts and no partial sum of the uncentred products leaves 32 bits.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.kernels.constants import Constant, literal, numbers, within_32_bits
from mcugen.kernels.step import Step
from mcugen.kernels.storage import INT32


@dataclass(frozen=True)
class Start:
    """How accumulators start and what is subtracted from each input element."""

    table: bool
    """There is one start per channel, in the constant `initial`."""
    zero: str
    """The zero point as C, empty where nothing is subtracted."""
    constants: tuple[Constant, ...]


def start(step: Step, rows: np.ndarray, zero: int, optional: bool) -> Start:
    """The start of accumulators that sum `rows` [channel, tap] of weights times x − `zero`.

    `optional`: taps may fall outside of the image, where they count as x = `zero`.
    """
    if zero == 0:
        return Start(False, "", ())
    element = step.inputs[0].type.integer
    initial = -zero * rows.sum(axis=1)
    ends = np.stack([rows * element.lo, rows * element.hi])
    lowest = np.minimum(ends.min(axis=0), 0).sum(axis=1)
    highest = np.maximum(ends.max(axis=0), 0).sum(axis=1)
    bounds = np.concatenate([initial, initial + lowest, initial + highest, ends.ravel()])
    if not optional and bounds.min() >= INT32.lo and bounds.max() <= INT32.hi:
        table = numbers(
            "initial", initial, "weights", "[channel]: minus zero point x sum of weights"
        )
        return Start(True, "", (table,))
    within_32_bits(step, "the input minus its zero point", element.lo - zero, element.hi - zero)
    return Start(False, literal(zero), ())


def centred(operand: str, zero: str) -> str:
    """`operand` minus its zero point as a C expression of type int32_t."""
    return f"((int32_t){operand} - {zero})" if zero else f"(int32_t){operand}"
