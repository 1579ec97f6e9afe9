"""How a value is brought into an interval; templates/clamp.j2 lays it out."""

from dataclasses import dataclass

from mcugen.kernels.constants import literal
from mcugen.kernels.storage import INT32


@dataclass(frozen=True)
class Clamp:
    """How a value is brought into [lo, hi]."""

    value_c: str
    lo: str
    hi: str
    low: bool
    """Values below `lo` occur."""
    high: bool
    by_sign: bool
    """The differences to both ends fit 32 bits, so their sign bits can select."""


def clamp(lo: int, hi: int, lowest: int, highest: int) -> Clamp:
    """The clamp onto [lo, hi] of values known to lie in [lowest, highest]."""
    raised = max(lowest, lo), max(highest, lo)
    differences = lowest - lo, highest - lo, hi - raised[0], hi - raised[1]
    return Clamp(
        value_c="int32_t" if fit(lowest, highest) else "int64_t",
        lo=literal(lo),
        hi=literal(hi),
        low=lowest < lo,
        high=highest > hi,
        by_sign=fit(lowest, highest, *differences),
    )


def fit(*values: int) -> bool:
    """All of `values` are int32."""
    return INT32.lo <= min(values) and max(values) <= INT32.hi
