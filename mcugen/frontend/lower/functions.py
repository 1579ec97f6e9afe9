"""Real functions of one variable, per tensor or per channel, as they stand between quantizers.

Each evaluates in float64 over arrays whose last axis is the channel, and exactly in rationals for
one channel: float64 finds a threshold quickly, the rational decides where float64 is too close to
tell. `rising`/`falling` state monotonicity per channel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

import numpy as np

_DIGITS = Context(prec=50)


@dataclass(frozen=True)
class Function:
    """Base of all functions; monotone rising unless a subclass says otherwise."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Float64 values of shape [..., C] to the same shape."""
        raise NotImplementedError

    def exact(self, x: Fraction, channel: int) -> Fraction:
        """The value at `x` for one channel, to 50 digits where it is irrational."""
        raise NotImplementedError

    @property
    def rising(self) -> np.ndarray:
        """Per channel (or one for all): whether the function never decreases."""
        return np.array([True])

    @property
    def falling(self) -> np.ndarray:
        """Per channel (or one for all): whether the function never increases."""
        return np.array([False])

    @property
    def channels(self) -> int:
        """1 for a function that is the same in every channel."""
        return 1


@dataclass(frozen=True, eq=False)
class Affine(Function):
    """scale·x + offset; arrays of one length, 1 or C."""

    scale: np.ndarray
    offset: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x * self.scale + self.offset

    def exact(self, x: Fraction, channel: int) -> Fraction:
        at = channel if len(self.scale) > 1 else 0
        return x * Fraction(float(self.scale[at])) + Fraction(float(self.offset[at]))

    @property
    def rising(self) -> np.ndarray:
        return self.scale >= 0

    @property
    def falling(self) -> np.ndarray:
        return self.scale <= 0

    @property
    def channels(self) -> int:
        return len(self.scale)


def affine(scale: np.ndarray | float, offset: np.ndarray | float) -> Affine:
    """An `Affine` from scalars or [C] arrays."""
    a, b = np.broadcast_arrays(np.atleast_1d(np.float64(scale)), np.atleast_1d(np.float64(offset)))
    return Affine(a.copy(), b.copy())


@dataclass(frozen=True)
class Clamp(Function):
    """min(max(x, lo), hi): ReLU, ReLU6, hardtanh."""

    lo: float = -math.inf
    hi: float = math.inf

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, self.lo, self.hi)

    def exact(self, x: Fraction, channel: int) -> Fraction:
        del channel
        if x < self.lo:
            return Fraction(self.lo)
        return Fraction(self.hi) if x > self.hi else x


@dataclass(frozen=True)
class LeakyRelu(Function):
    """x for x ≥ 0, slope·x below."""

    slope: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.where(x >= 0, x, x * self.slope)

    def exact(self, x: Fraction, channel: int) -> Fraction:
        del channel
        return x if x >= 0 else x * Fraction(self.slope)

    @property
    def rising(self) -> np.ndarray:
        return np.array([self.slope >= 0])


@dataclass(frozen=True)
class Sign(Function):
    """−1, 0 or +1."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.sign(x)

    def exact(self, x: Fraction, channel: int) -> Fraction:
        del channel
        return Fraction((x > 0) - (x < 0))


@dataclass(frozen=True)
class Sigmoid(Function):
    """1/(1 + e^−x)."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return 0.5 * (1 + np.tanh(0.5 * x))

    def exact(self, x: Fraction, channel: int) -> Fraction:
        del channel
        return 1 / (1 + _exp(-x))


@dataclass(frozen=True)
class Tanh(Function):
    """(1 − e^−2x)/(1 + e^−2x)."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x)

    def exact(self, x: Fraction, channel: int) -> Fraction:
        del channel
        e = _exp(-2 * x)
        return (1 - e) / (1 + e)


@dataclass(frozen=True)
class SelfGated(Function):
    """x·gate(x): SiLU with a sigmoid, hard swish with clamp(x/6 + 1/2, 0, 1). Not monotone."""

    gate: tuple[Function, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x * evaluate(self.gate, x)

    def exact(self, x: Fraction, channel: int) -> Fraction:
        return x * evaluate_exact(self.gate, x, channel)

    @property
    def rising(self) -> np.ndarray:
        return np.array([False])


@dataclass(frozen=True)
class Abs(Function):
    """|x|. Not monotone."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.abs(x)

    def exact(self, x: Fraction, channel: int) -> Fraction:
        del channel
        return abs(x)

    @property
    def rising(self) -> np.ndarray:
        return np.array([False])


def _exp(x: Fraction) -> Fraction:
    """e^x to 50 digits; beyond ±10^4 the functions above have long saturated."""
    bounded = min(max(x, Fraction(-10000)), Fraction(10000))
    value = _DIGITS.divide(Decimal(bounded.numerator), Decimal(bounded.denominator))
    return Fraction(_DIGITS.exp(value))


def evaluate(functions: Sequence[Function], x: np.ndarray) -> np.ndarray:
    """The composition at `x` in float64, first function first."""
    for function in functions:
        x = function(x)
    return x


def evaluate_exact(functions: Sequence[Function], x: Fraction, channel: int) -> Fraction:
    """The composition at the rational `x`."""
    for function in functions:
        x = function.exact(x, channel)
    return x


def directions(functions: Sequence[Function]) -> np.ndarray:
    """Per channel (or one for all): +1 rising, −1 falling, 0 where the composition is neither."""
    total = np.array([1])
    for function in functions:
        total = total * np.where(function.rising, 1, np.where(function.falling, -1, 0))
    return total


def channels_of(functions: Sequence[Function]) -> int:
    """1 when the composition is the same in every channel, else the number of channels."""
    return max((function.channels for function in functions), default=1)


@dataclass(frozen=True, eq=False)
class ClampedAffine:
    """clamp(scale·x + offset, lo, hi) per channel: what any chain of `Affine` and `Clamp` is."""

    scale: np.ndarray
    offset: np.ndarray
    lo: np.ndarray
    hi: np.ndarray

    def then(self, function: Function) -> "ClampedAffine | None":
        """The composition with `function` behind, or None where it leaves the form."""
        if isinstance(function, Affine):
            with np.errstate(invalid="ignore"):
                ends = np.stack([function(self.lo), function(self.hi)])
            return ClampedAffine(
                self.scale * function.scale,
                function(self.offset),
                # 0·∞ where a channel is constant: the affine part alone decides then.
                np.where(np.isnan(ends), -math.inf, ends).min(axis=0),
                np.where(np.isnan(ends), math.inf, ends).max(axis=0),
            )
        if isinstance(function, Clamp):
            return ClampedAffine(self.scale, self.offset, function(self.lo), function(self.hi))
        return None


def clamped_affine(functions: Sequence[Function]) -> ClampedAffine | None:
    """`functions` as one clamped affine, or None when one of them is neither."""
    form: ClampedAffine | None = ClampedAffine(
        np.ones(1), np.zeros(1), np.full(1, -math.inf), np.full(1, math.inf)
    )
    for function in functions:
        form = form.then(function) if form else None
    return form


def merged_affine(functions: Sequence[Function]) -> Affine | None:
    """`functions` as one affine function, or None when one of them is not affine."""
    form = affine(1.0, 0.0)
    for function in functions:
        if not isinstance(function, Affine):
            return None
        form = affine(form.scale * function.scale, function(form.offset))
    return form
