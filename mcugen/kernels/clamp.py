"""How a value is brought into an interval; templates/clamp.j2 lays it out."""

from dataclasses import dataclass

from mcugen.kernels.constants import literal
from mcugen.kernels.storage import INT8, INT32, UINT8


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
    byte: str
    """The type of 8 bits that [lo, hi] is, where one instruction may bring values into it."""

    @property
    def helpers(self) -> frozenset[str]:
        """What `saturated` of templates/clamp.j2 calls."""
        return frozenset({f"saturate {self.byte}"} if self.byte else ())


def clamp(lo: int, hi: int, lowest: int, highest: int) -> Clamp:
    """The clamp onto [lo, hi] of values known to lie in [lowest, highest]."""
    raised = max(lowest, lo), max(highest, lo)
    differences = lowest - lo, highest - lo, hi - raised[0], hi - raised[1]
    by_sign = fit(lowest, highest, *differences)
    types = [c.dtype for c in (INT8, UINT8) if (c.lo, c.hi) == (lo, hi) and by_sign]
    return Clamp(
        value_c="int32_t" if fit(lowest, highest) else "int64_t",
        lo=literal(lo),
        hi=literal(hi),
        low=lowest < lo,
        high=highest > hi,
        by_sign=by_sign,
        byte=types[0] or "" if types else "",
    )


def fit(*values: int) -> bool:
    """All of `values` are int32."""
    return INT32.lo <= min(values) and max(values) <= INT32.hi
