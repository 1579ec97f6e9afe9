"""Scales as integers: a board without floating point can still say what a score means."""

import math
from dataclasses import dataclass

from mcugen.errors import fail

NUMERATOR_BITS = 31


@dataclass(frozen=True)
class Ratio:
    """numerator / 2^shift, the nearest with a numerator of 31 bits at most."""

    numerator: int
    shift: int


def ratio(scale: float) -> Ratio:
    """`scale` as a ratio, reduced; its relative error is at most 2^-31.

    Raises:
        McugenError: `scale` is not positive and finite.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise fail("emit", f"scale {scale} is not positive and finite")
    mantissa, exponent = math.frexp(scale)
    numerator, shift = round(mantissa * 2**NUMERATOR_BITS), NUMERATOR_BITS - exponent
    while numerator % 2 == 0:
        numerator, shift = numerator // 2, shift - 1
    return Ratio(numerator, shift)
