"""The grids quantizers put tensors on, and exact rounding onto them."""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import cached_property
from itertools import pairwise, product
from math import floor

import numpy as np

from mcugen.errors import fail
from mcugen.ir.types import Planes


class Ties(Enum):
    """Which level a value halfway between two takes."""

    UP = "up"
    """floor(v + 1/2): mcugen's rule."""
    EVEN = "even"
    """IEEE rint of x / scale, before the zero point is added: PyTorch's own fake-quantize ops."""


@dataclass(frozen=True, eq=False)
class UniformGrid:
    """real = scale·(q − zero), lo ≤ q ≤ hi; `scale` has one entry, or one per channel."""

    scale: np.ndarray
    zero: int
    lo: int
    hi: int
    ties: Ties = Ties.UP

    @property
    def levels(self) -> int:
        return self.hi - self.lo + 1

    def boundary(self, level: int, channel: int) -> Fraction:
        """The real number between level − 1 and `level`."""
        at = channel if len(self.scale) > 1 else 0
        return Fraction(float(self.scale[at])) * (level - self.zero - Fraction(1, 2))

    def boundaries(self) -> np.ndarray:
        """All boundaries in float64, shape [1|C, levels − 1]."""
        steps = np.arange(self.lo + 1, self.hi + 1) - self.zero - 0.5
        return self.scale[:, None] * steps[None, :]

    def reaches(self, value: Fraction, level: int, channel: int) -> bool:
        """Whether `value` rounds to `level` or above."""
        border = self.boundary(level, channel)
        if value == border:
            return self.ties is Ties.UP or (level - self.zero) % 2 == 0
        return value > border

    def quantize(self, value: Fraction, channel: int) -> int:
        """The level of `value`."""
        at = channel if len(self.scale) > 1 else 0
        real = value / Fraction(float(self.scale[at])) + Fraction(1, 2)
        steps = floor(real)
        if self.ties is Ties.EVEN and real == steps and steps % 2:
            steps -= 1
        return min(max(steps + self.zero, self.lo), self.hi)

    def real(self, level: int, channel: int) -> Fraction:
        at = channel if len(self.scale) > 1 else 0
        return Fraction(float(self.scale[at])) * (level - self.zero)

    def quantize_array(self, values: np.ndarray) -> np.ndarray:
        """Levels of float64 `values`, channels last where the scale is per channel."""
        return self.quantize_steps(values / self.scale)

    def quantize_steps(self, steps: np.ndarray) -> np.ndarray:
        """Levels of float64 values in units of the scale."""
        rounded = np.floor(steps + 0.5) if self.ties is Ties.UP else np.rint(steps)
        return np.clip(rounded + self.zero, self.lo, self.hi).astype(np.int64)


@dataclass(frozen=True, eq=False)
class BasisGrid:
    """The 2^K levels offset ± basis[0] ± …, as scale·(X − zero) with X = ±integers[0] ± ….

    A level's number is its rank, from the lowest. A value goes to the nearest level, at a border to
    the lower. The borders are those of the real levels, whatever the integers.
    """

    basis: tuple[float, ...]
    """Ascending."""
    offset: float
    integers: tuple[int, ...]
    scale: float
    zero: int
    """Where not 0, the offset is −scale·zero as the integers have it."""

    lo = 0

    @property
    def hi(self) -> int:
        return self.levels - 1

    @property
    def levels(self) -> int:
        return int(2 ** len(self.basis))

    @property
    def planes(self) -> Planes:
        return Planes(self.integers)

    @property
    def meaning_offset(self) -> float:
        return 0.0 if self.zero else self.offset

    @cached_property
    def _borders(self) -> tuple[Fraction, ...]:
        signed = [(-Fraction(entry), Fraction(entry)) for entry in self.basis]
        levels = sorted(sum(choice, Fraction(0)) for choice in product(*signed))
        middle = Fraction(self.offset)
        return tuple((low + high) / 2 + middle for low, high in pairwise(levels))

    def boundaries(self) -> np.ndarray:
        """All boundaries in float64, shape [1, levels − 1]."""
        return np.array([[float(border) for border in self._borders]])

    def boundary(self, level: int, channel: int) -> Fraction:
        """The real number between level − 1 and `level`."""
        del channel
        return self._borders[level - 1]

    def reaches(self, value: Fraction, level: int, channel: int) -> bool:
        """Whether `value` goes to `level` or above."""
        return value > self.boundary(level, channel)

    def quantize(self, value: Fraction, channel: int) -> int:
        """The rank of the level of `value`."""
        del channel
        return sum(value > border for border in self._borders)

    def values(self) -> np.ndarray:
        """The integers X at each rank, int64 [levels]."""
        numbers = self.planes.ranked
        bits = numbers[:, None] >> np.arange(len(self.integers)) & 1
        return (2 * bits - 1) @ np.array(self.integers)


Grid = UniformGrid | BasisGrid


def uniform_grid(
    scale: np.ndarray, zero: np.ndarray, bounds: tuple[int, int], ties: Ties = Ties.UP
) -> UniformGrid:
    """A checked grid from a quantizer's arguments.

    Args:
        scale: float scalar or [C].
        zero: integer scalar or [C], equal in all channels.
        bounds: lowest and highest level.
        ties: rule for values halfway between levels.

    Raises:
        McugenError: scale NaN, infinite, zero or negative; a zero point that is no integer or
            differs between channels; lo ≥ hi; levels beyond 16 bits.
    """
    scales = check_scale(scale)
    zeros = np.atleast_1d(np.asarray(zero, dtype=np.float64)).ravel()
    lo, hi = bounds
    if not np.isfinite(zeros).all() or (zeros != np.rint(zeros)).any():
        raise fail("lower", "zero point is not an integer", got=f"{zeros[:4].tolist()}")
    if len(set(zeros.tolist())) != 1:
        raise fail("lower", "zero points differ between the channels of an activation")
    if lo >= hi:
        raise fail("lower", f"quantizer has lo = {lo} and hi = {hi}", want="lo < hi")
    if hi - lo > 65535 or max(abs(lo), abs(hi)) > 65535 or abs(zeros[0]) > 2**20:
        raise fail("lower", f"quantizer with levels {lo}..{hi}", want="at most 16 bits")
    return UniformGrid(scales, int(zeros[0]), lo, hi, ties)


def check_scale(scale: np.ndarray) -> np.ndarray:
    """`scale` as a float64 vector; McugenError unless every entry is positive and finite."""
    scales = np.atleast_1d(np.asarray(scale, dtype=np.float64)).ravel()
    if not np.isfinite(scales).all() or (scales <= 0).any():
        bad = scales[~(np.isfinite(scales) & (scales > 0))]
        raise fail(
            "lower",
            f"quantizer scale {bad[0]:g}",
            want="positive and finite",
            help="calibrate on data that reaches this tensor, and check it for NaN",
        )
    if (scales < 1e-30).any() or (scales > 1e30).any():
        raise fail("lower", f"quantizer scale {scales.min():g}", want="between 1e-30 and 1e30")
    if len(scales) > 1 and (scales == scales[0]).all():
        return scales[:1]
    return scales
