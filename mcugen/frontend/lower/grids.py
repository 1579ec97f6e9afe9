"""The grids quantizers put tensors on, and exact rounding onto them."""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import floor

import numpy as np

from mcugen.errors import fail


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
        steps = values / self.scale
        rounded = np.floor(steps + 0.5) if self.ties is Ties.UP else np.rint(steps)
        return np.clip(rounded + self.zero, self.lo, self.hi).astype(np.int64)


@dataclass(frozen=True, eq=False)
class BinaryGrid:
    """real = offset + scale·e, e ∈ {−1, +1}; values above `offset` take +1 (K = 1 basis)."""

    scale: float
    offset: float

    lo = 0
    hi = 1
    levels = 2

    def boundaries(self) -> np.ndarray:
        return np.array([[self.offset]])

    def boundary(self, level: int, channel: int) -> Fraction:
        del level, channel
        return Fraction(self.offset)

    def reaches(self, value: Fraction, level: int, channel: int) -> bool:
        del level, channel
        return value > Fraction(self.offset)

    def quantize(self, value: Fraction, channel: int) -> int:
        return int(self.reaches(value, 1, channel))


Grid = UniformGrid | BinaryGrid


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
