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
    for power in range(scale, -1, -1):
        found = _Search(op, multiplier, bias, bounds, bits, power).run()
        if found:
            return found
    return None


@dataclass(frozen=True, eq=False)
class _Search:
    """The search for one j, called `power`."""

    op: ops.Requantize
    multiplier: np.ndarray
    bias: np.ndarray
    bounds: tuple[np.ndarray, np.ndarray]
    bits: int
    power: int

    @property
    def unit(self) -> int:
        """q: the addend counts multiples of 2^q of the bias; 2^−q of them where it is negative."""
        return 32 - self.bits - self.power

    def run(self) -> Upper | None:
        shift = self.op.shift - self.unit
        if not 0 <= shift <= 31 or not 0 <= self.unit <= self.op.shift:
            return None
        start, addend = np.zeros_like(self.bias), np.zeros_like(self.bias)
        for channel in range(len(self.bias)):
            found = self._channel(channel)
            if found is None:
                return None
            start[channel], addend[channel] = found
        return Upper(start, self.multiplier << self.power, addend, shift)

    def _channel(self, channel: int) -> tuple[int, int] | None:
        multiplier, bias = int(self.multiplier[channel]), int(self.bias[channel])
        low, high = (int(ends[channel]) for ends in self.bounds)
        points = self._points(multiplier, bias, low, high)
        wanted = self._results(points, multiplier, bias)
        for tried in _TRIED:
            starts = np.arange(-tried // 2, tried // 2)
            left = bias - multiplier * starts
            missing = left & ((1 << self.unit) - 1)
            nearest = np.argpartition(missing, _CHECKED)[:_CHECKED]
            for index in nearest[np.argsort(missing[nearest])]:
                start, addend = int(starts[index]), int(left[index]) >> self.unit
                got = self._results(points, multiplier, multiplier * start + (addend << self.unit))
                if self._fits(multiplier, addend, low + start, high + start) and got == wanted:
                    return start, addend
        return None

    def _points(self, multiplier: int, bias: int, low: int, high: int) -> list[int]:
        """Both ends, and accumulators around every step of the result."""
        points = {low, high}
        if multiplier:
            for level in range(self.op.lo + 1, self.op.hi + 1):
                step = ((level << self.op.shift) - bias) // multiplier
                points.update(near for near in (step - 1, step, step + 1) if low <= near <= high)
        return sorted(points)

    def _results(self, points: list[int], multiplier: int, bias: int) -> list[int]:
        lo, hi, shift = self.op.lo, self.op.hi, self.op.shift
        return [min(max((point * multiplier + bias) >> shift, lo), hi) for point in points]

    def _fits(self, multiplier: int, addend: int, low: int, high: int) -> bool:
        """Nothing on the way leaves 32 bits."""
        multiplier <<= self.power
        sums = [end << self.bits for end in (low, high)]
        upper = [(end * multiplier) >> 32 for end in sums]
        values = (*sums, *upper, addend, *(part + addend for part in upper))
        return INT32.lo <= min(values) and max(values) <= INT32.hi
