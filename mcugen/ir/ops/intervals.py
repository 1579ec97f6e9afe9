"""Interval rules: what accumulators can reach, in any order of accumulation."""

import numpy as np

from mcugen.ir.ops.base import Op, refuse
from mcugen.ir.types import INT32_MAX, INT32_MIN, Element, Int, Planes, accumulator, spanning


def interval(element: Element, zero: int) -> tuple[int, int]:
    """Interval of (q − zero), or of a code in {−1, +1}."""
    if isinstance(element, Planes):
        return -1, 1
    return element.lo - zero, element.hi - zero


def accumulate(op: Op, products_lo: np.ndarray, products_hi: np.ndarray, optional: bool) -> Int:
    """Accumulator type for rows of products with the given bounds.

    Any order of accumulation must fit 32 bits, so zero joins each product when the partial sums are
    bounded; it joins the result's interval only where a product may be missing (`optional`).
    """
    lowest = int(np.minimum(products_lo, 0).sum(axis=1).min())
    highest = int(np.maximum(products_hi, 0).sum(axis=1).max())
    # One short of the type's end: a threshold above every value must still be an int32.
    if lowest <= INT32_MIN or highest >= INT32_MAX:
        raise refuse(
            op,
            "the accumulator could overflow 32 bits",
            got=f"partial sums in [{lowest}..{highest}]",
            help="narrow the weights or activations (fewer bits), or split the layer's inputs",
        )
    if optional:
        return accumulator(lowest, highest)
    return accumulator(int(products_lo.sum(axis=1).min()), int(products_hi.sum(axis=1).max()))


def dense_interval(op: Op, x: Element, zero: int, rows: np.ndarray, optional: bool) -> Int:
    low, high = interval(x, zero)
    ends = np.stack([rows * low, rows * high])
    return accumulate(op, ends.min(axis=0), ends.max(axis=0), optional)


def widened(element: Int, lo: int, hi: int) -> Int:
    """`element` with the interval [lo, hi], in more bits where that needs them."""
    narrow = spanning(lo, hi)
    if lo >= element.least and hi <= element.greatest:
        return Int(element.bits, element.signed, lo, hi)
    return narrow
