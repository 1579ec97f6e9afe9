"""Step functions of an integer as (x·multiplier + bias) >> shift, proven equal.

A function that rises with x in steps is known by its thresholds: the least x at which it reaches
each level k. (x·m + b) >> s is the same function where, with A = threshold − 1 the last x below,

    m·A + b < k·2^s ≤ m·threshold + b

for every level. For a given m these are bounds on b; the room between them is a concave function of
m, whose maximum is found by halving. All of it in integers, so that what is found is a proof.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mcugen.ir.types import INT32_MAX

#: No bound; far beyond all others, and sums of two still fit 64 bits.
_NONE = 2**61
#: Bits of |x|·multiplier and of |level|·2^shift: first such that all fits 32 bits, where that
#: proves enough, then 64.
_PRODUCT_BITS = (29, 60)


@dataclass(frozen=True, eq=False)
class Steps:
    """Bounds that a staircase sets, [levels, channels]: at `below` it is still under the level."""

    lowest: int
    """Of all values that the functions take."""
    level: np.ndarray
    """int64 [levels, 1], rising by one."""
    below: np.ndarray
    at: np.ndarray
    """From here on it has reached the level."""
    has_below: np.ndarray
    has_at: np.ndarray
    reach: int
    """The largest |x|."""


@dataclass(frozen=True, eq=False)
class Affine:
    """A staircase as (x·multiplier + bias) >> shift; arrays are int64 [channels]."""

    multiplier: np.ndarray
    bias: np.ndarray
    shift: int
    proven: np.ndarray
    """Per channel: equal on every x."""


def steps_of(
    function: Callable[[np.ndarray], np.ndarray],
    ends: tuple[np.ndarray, np.ndarray],
    clamp: tuple[int, int],
) -> Steps:
    """The steps of a function that rises, on the intervals `ends` of each channel.

    Args:
        function: int64 [n, channels] → int64 [n, channels].
        ends: least and greatest x, int64 [channels].
        clamp: least and greatest value that is left; what goes beyond is no step.
    """
    low, high = (np.broadcast_to(end, (1, len(end))).astype(np.int64) for end in ends)
    lowest, last = int(function(low).min()), int(function(high).max())
    first, behind = max(lowest, clamp[0] + 1), min(last + 1, clamp[1]) + 1
    level = np.arange(first, behind, dtype=np.int64)[:, None]
    begin = np.repeat(low, len(level), axis=0)
    end = np.repeat(high + 1, len(level), axis=0)
    while (begin < end).any():
        middle = (begin + end) >> 1
        # Where the search is over, begin is middle is end: nothing may move.
        reached = (function(np.minimum(middle, high)) >= level) | (begin == end)
        begin, end = np.where(reached, begin, middle + 1), np.where(reached, middle, end)
    reach = int(max(np.abs(low).max(), np.abs(high).max()))
    at = np.minimum(begin, high)
    return Steps(lowest, level, begin - 1, at, begin > low, begin <= high, reach)


def affine(steps: Steps, slope: np.ndarray) -> Affine:
    """The staircases as one multiplier and bias per channel, with one shift.

    Args:
        steps: of every channel.
        slope: about how many levels a step of x is worth, [channels].
    """
    channels = steps.below.shape[1]
    if not len(steps.level):
        constant = np.full(channels, steps.lowest, np.int64)
        return Affine(np.zeros(channels, np.int64), constant, 0, np.ones(channels, bool))
    narrow, wide = (_affine(steps, _shift(steps, slope, bits)) for bits in _PRODUCT_BITS)
    return narrow if narrow.proven.all() else wide


def _affine(steps: Steps, shift: int) -> Affine:
    """The staircases as multiplier and bias of one shift."""
    channels = steps.below.shape[1]
    low, high = np.zeros(channels, np.int64), np.full(channels, INT32_MAX, np.int64)
    while (low < high).any():
        middle = (low + high) >> 1
        rises = _room(steps, middle + 1, shift)[0] > _room(steps, middle, shift)[0]
        rises &= low < high
        low, high = np.where(rises, middle + 1, low), np.where(rises, high, middle)
    room, bias = _room(steps, low, shift)
    return Affine(low, bias, shift, room >= 0)


def _shift(steps: Steps, slope: np.ndarray, product_bits: int) -> int:
    """The largest at which multipliers fit 31 bits, and products and levels `product_bits`."""
    multiplier_bits = min(31, product_bits - steps.reach.bit_length())
    level_bits = int(np.abs(steps.level).max()).bit_length()
    wanted = multiplier_bits - 1 - int(np.floor(np.log2(max(float(slope.max()), 2.0**-31))))
    return int(np.clip(wanted, 0, product_bits - level_bits))


def _room(steps: Steps, multiplier: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """How far apart the bounds on the bias are, and the bias between them: int64 [channels]."""
    scaled = steps.level << shift
    most = np.where(steps.has_below, scaled - 1 - multiplier * steps.below, _NONE).min(axis=0)
    least = np.where(steps.has_at, scaled - multiplier * steps.at, -_NONE).max(axis=0)
    middle = np.where(least == -_NONE, most, np.where(most == _NONE, least, (least + most) >> 1))
    return most - least, middle
