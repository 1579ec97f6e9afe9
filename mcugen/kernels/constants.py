"""Constant arrays of a layer, in the narrowest C type, laid out for the loop that reads them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mcugen.errors import fail
from mcugen.kernels.step import Step
from mcugen.kernels.storage import BITS, INT32, CType, narrowest

Role = Literal["weights", "table"]


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant array; its C name is the layer's name and `suffix`."""

    suffix: str
    c: CType
    values: np.ndarray
    role: Role
    layout: str
    """Its axes, outermost first, as a comment says them."""

    @property
    def bytes(self) -> int:
        return self.values.size * self.c.bytes


def numbers(suffix: str, values: np.ndarray, role: Role, layout: str) -> Constant:
    """Integers in the narrowest C type that holds them."""
    return Constant(suffix, narrowest(values), values, role, layout)


def bit_words(suffix: str, values: np.ndarray, role: Role, layout: str) -> Constant:
    """Packed bit planes."""
    return Constant(suffix, BITS, values, role, layout)


def within_32_bits(step: Step, what: str, lo: int, hi: int) -> None:
    """Refuse a quantity of the step that could leave int32."""
    if lo < INT32.lo or hi > INT32.hi:
        raise fail(
            "plan", f"{what} leaves 32 bits", at=step.where, got=f"[{lo}..{hi}]", want="int32"
        )


def literal(value: int) -> str:
    """`value` as a C expression of type int32_t, or wider where it needs more bits."""
    if value == INT32.lo:
        return "INT32_MIN"
    return f"({value})" if value < 0 else str(value)


def word_literal(value: int) -> str:
    """`value` modulo 2^32 as a C expression of type uint32_t."""
    return f"0x{value & 0xFFFFFFFF:08X}u"
