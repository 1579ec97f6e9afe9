"""Interval rules: what accumulators can reach, in any order of accumulation."""

from dataclasses import dataclass

import numpy as np

from mcugen.ir.ops.base import Op, refuse
from mcugen.ir.types import INT32_MAX, INT32_MIN, Element, Int, Planes, accumulator, spanning


def interval(element: Element, zero: int) -> tuple[int, int]:
    """Interval of (q − zero)."""
    if isinstance(element, Planes):
        return -element.reach - zero, element.reach - zero
    return element.lo - zero, element.hi - zero


def accumulate(op: Op, lowest: np.ndarray, highest: np.ndarray, present: np.ndarray) -> Int:
    """Accumulator type for rows of products.

    Any order of accumulation must fit 32 bits, so zero joins each product when the partial sums are
    bounded; the result's interval is that of whole sums.

    Args:
        op: for the error.
        lowest, highest: bounds of each product, [rows, taps, products of a tap].
        present: sets of taps that occur together in one sum, bool [sets, taps].

    Raises:
        McugenError: a partial sum could leave 32 bits.
    """
    least = int(np.minimum(lowest, 0).sum(axis=(1, 2)).min())
    greatest = int(np.maximum(highest, 0).sum(axis=(1, 2)).max())
    # One short of the type's end: a threshold above every value must still be an int32.
    if least <= INT32_MIN or greatest >= INT32_MAX:
        raise refuse(
            op,
            "the accumulator could overflow 32 bits",
            got=f"partial sums in [{least}..{greatest}]",
            help="narrow the weights or activations (fewer bits), or split the layer's inputs",
        )
    sums = lowest.sum(axis=2) @ present.T, highest.sum(axis=2) @ present.T
    return accumulator(int(sums[0].min()), int(sums[1].max()))


@dataclass(frozen=True, eq=False)
class Products:
    """What a dense op multiplies and sums."""

    x: Element
    zero: int
    rows: np.ndarray
    """Weights int64 [outputs, taps, inputs]."""
    present: np.ndarray
    """Sets of taps that occur together in one sum, bool [sets, taps]."""

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest value of each product, [outputs, taps, inputs]."""
        low, high = interval(self.x, self.zero)
        both = np.stack([self.rows * low, self.rows * high])
        return both.min(axis=0), both.max(axis=0)

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest sum of each output, int64 [outputs]."""
        lowest, highest = self.ends
        low = lowest.sum(axis=2) @ self.present.T
        high = highest.sum(axis=2) @ self.present.T
        return low.min(axis=1), high.max(axis=1)


def dense_interval(op: Op, products: Products) -> Int:
    """The accumulator of a dense op."""
    return accumulate(op, *products.ends, products.present)


def widened(element: Int, lo: int, hi: int) -> Int:
    """`element` with the interval [lo, hi], in more bits where that needs them."""
    narrow = spanning(lo, hi)
    if lo >= element.least and hi <= element.greatest:
        return Int(element.bits, element.signed, lo, hi)
    return narrow
