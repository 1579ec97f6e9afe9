"""Requantizing with the upper half of one product, proven to give the same numbers.

What is asked for is clamp((acc·m + b) >> s) in 64 bits. SMMLA gives the upper 32 bits of a product
plus a number, so with A = 2^e·(acc + a), which the sums can start from, the same is

    value = ((A·M) >> 32) + B,    result = saturate(value >> f)

where M = m·2^j and f = s + e + j − 32: floors compose, so this is exactly
clamp((acc·m + (m·a + B·2^q)) >> s) with q = 32 − e − j. What is left to find is a number a for each
channel that brings m·a + B·2^q near enough to b for every acc that occurs; that is checked at
both sides of every step of the result, between which monotone functions cannot differ.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mcugen.ir import ops
from mcugen.kernels.step import Step
from mcugen.kernels.storage import INT32

#: Numbers `a` that are tried for a channel, more where fewer do not do, and how many of those that
#: come nearest are checked.
_TRIED = (2**14, 2**18)
_CHECKED = 8


@dataclass(frozen=True, eq=False)
class Upper:
    """The form above; arrays are int64 [channels]."""

    start: np.ndarray
    """What is added to the accumulator: a."""
    multiplier: np.ndarray
    addend: np.ndarray
    shift: int


def most(bits: int) -> int:
    """The largest sums that fit 32 bits where they are formed 2^`bits` times too large."""
    return 2 ** (31 - bits) - 1


def upper(step: Step, bounds: tuple[np.ndarray, np.ndarray], bits: int) -> Upper | None:
    """The form of a step's requantization onto 8 bits, None where none was found.

    `bounds`: the least and the greatest accumulator of each channel; sums are formed 2^`bits` times
    too large.
    """
    assert step.epilogue is not None
    op = step.epilogue.op
    assert isinstance(op, ops.Requantize)
    channels = step.accumulator.channels
    multiplier, bias = (
        np.broadcast_to(step.env.data(ref), channels).astype(np.int64)
        for ref in (op.multiplier, op.bias)
    )
    if np.abs(bias).max() >= 2**61:
        return None
    scale = 31 - int(np.abs(multiplier).max()).bit_length()
    channel = list(zip(*(array.tolist() for array in (multiplier, bias, *bounds)), strict=True))
    for power in range(scale, -1, -1):
        search = _Search(op.lo, op.hi, op.shift, bits, power)
        found = search.run(channel)
        if found:
            start, addend = np.array(found, np.int64).T
            return Upper(start, multiplier << power, addend, search.upper_shift)
    return None


@dataclass(frozen=True)
class _Search:
    """The search for one j, called `power`, onto the levels lo..hi."""

    lo: int
    hi: int
    shift: int
    bits: int
    power: int

    @property
    def unit(self) -> int:
        """q: the addend counts multiples of 2^q of the bias; 2^−q of them where it is negative."""
        return 32 - self.bits - self.power

    @property
    def upper_shift(self) -> int:
        """f."""
        return self.shift - self.unit

    def run(self, channels: list[tuple[int, int, int, int]]) -> list[tuple[int, int]] | None:
        """a and B of channels of (m, b, least and greatest accumulator), None without one."""
        if not 0 <= self.upper_shift <= 31 or not 0 <= self.unit <= self.shift:
            return None
        found = []
        for channel in channels:
            pair = _channel(self, *channel)
            if pair is None:
                return None
            found.append(pair)
        return found

    def points(self, multiplier: int, bias: int, low: int, high: int) -> np.ndarray:
        """Both ends, and both sides of every step of the result between them."""
        ends = np.array([low, high])
        first, last = np.sort(self.results(ends, multiplier, bias)).tolist()
        if first == last:
            return ends
        steps = ((np.arange(first + 1, last + 1) << self.shift) - bias) // multiplier
        near = np.concatenate([steps - 1, steps, steps + 1]).clip(low, high)
        return np.concatenate([ends, near])

    def results(self, points: np.ndarray, multiplier: int, bias: int) -> np.ndarray:
        """Below 2^63 in all: accumulators and multipliers are 32 bits, biases 61."""
        return ((points * multiplier + bias) >> self.shift).clip(self.lo, self.hi)

    def fits(self, multiplier: int, addend: int, low: int, high: int) -> bool:
        """Nothing on the way leaves 32 bits."""
        multiplier <<= self.power
        sums = [end << self.bits for end in (low, high)]
        upper = [(end * multiplier) >> 32 for end in sums]
        values = (*sums, *upper, addend, *(part + addend for part in upper))
        return INT32.lo <= min(values) and max(values) <= INT32.hi


@lru_cache(maxsize=2**15)
def _channel(
    search: _Search, multiplier: int, bias: int, low: int, high: int
) -> tuple[int, int] | None:
    """a and B of one channel; kept, since every kernel that could compute a layer asks."""
    points = search.points(multiplier, bias, low, high)
    wanted = search.results(points, multiplier, bias)
    unit = search.unit
    for tried in _TRIED:
        starts = np.arange(-tried // 2, tried // 2)
        left = bias - multiplier * starts
        missing = left & ((1 << unit) - 1)
        nearest = np.argpartition(missing, _CHECKED)[:_CHECKED]
        for index in nearest[np.argsort(missing[nearest])]:
            start, addend = int(starts[index]), int(left[index]) >> unit
            got = search.results(points, multiplier, multiplier * start + (addend << unit))
            if search.fits(multiplier, addend, low + start, high + start) and (got == wanted).all():
                return start, addend
    return None
