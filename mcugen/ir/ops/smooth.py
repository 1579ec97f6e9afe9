"""Functions of 16-bit numbers: step by step as gemmlowp does, or between points of a table."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mcugen.ir import fixed_point
from mcugen.ir.ops.base import Env, Op, Ref, operand, refuse
from mcugen.ir.types import INT32_MAX, Int, TensorType, spanning


@dataclass(frozen=True)
class Smooth(Op):
    """A function of x / 2^(15 − integer_bits), as a fraction of 2^15."""

    x: Ref = operand()
    integer_bits: int = field(kw_only=True)
    most_bits: ClassVar[int]

    def apply(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        if x.integer.lo < -(2**15) or x.integer.hi >= 2**15:
            raise refuse(self, f"{x} is beyond 16 bits")
        if not 0 <= self.integer_bits <= self.most_bits:
            got = f"integer_bits {self.integer_bits}"
            raise refuse(self, got, want=f"0 to {self.most_bits}")
        values = self.apply(np.arange(x.integer.lo, x.integer.hi + 1))
        return TensorType(x.shape, Int(16, True, int(values.min()), int(values.max())))


@dataclass(frozen=True)
class Logistic(Smooth):
    """1 / (1 + e^−x): `fixed_point.logistic`."""

    mnemonic: ClassVar[str] = "logistic"
    most_bits: ClassVar[int] = 7

    def apply(self, x: np.ndarray) -> np.ndarray:
        return fixed_point.logistic(x, self.integer_bits)


@dataclass(frozen=True)
class Tanh(Smooth):
    """Hyperbolic tangent: `fixed_point.tanh`."""

    mnemonic: ClassVar[str] = "tanh"
    most_bits: ClassVar[int] = 6

    def apply(self, x: np.ndarray) -> np.ndarray:
        return fixed_point.tanh(x, self.integer_bits)


@dataclass(frozen=True)
class Interpolate(Op):
    """A function of 16 bits and its mirror image, between the points of a table.

    With u = (x·multiplier + 2^right / 2) >> right, h = |u| >> fraction and t the bits below h,
    r is table[h]·2^fraction + t·(table[h + 1] − table[h]), or `top` where there is no point h + 1.
    The result is (r + above) >> shift for u ≥ 0, else (below − r) >> shift.
    """

    mnemonic: ClassVar[str] = "interpolate"
    x: Ref = operand()
    table: Ref = operand()
    multiplier: int = field(kw_only=True)
    right: int = field(kw_only=True)
    fraction: int = field(kw_only=True)
    top: int = field(kw_only=True)
    above: int = field(kw_only=True)
    below: int = field(kw_only=True)
    shift: int = field(kw_only=True)

    def apply(self, x: np.ndarray, table: np.ndarray) -> np.ndarray:
        u = (x * self.multiplier + ((1 << self.right) >> 1)) >> self.right
        place, part = np.abs(u) >> self.fraction, np.abs(u) & ((1 << self.fraction) - 1)
        point = np.minimum(place, len(table) - 2)
        between = (table[point] << self.fraction) + part * (table[point + 1] - table[point])
        r = np.where(place < len(table) - 1, between, self.top)
        return np.where(u >= 0, r + self.above, self.below - r) >> self.shift

    def infer(self, env: Env) -> TensorType:
        x, table = env.type(self.x), env.data(self.table)
        if x.integer.lo < -(2**15) or x.integer.hi >= 2**15:
            raise refuse(self, f"{x} is beyond 16 bits")
        if table.ndim != 1 or len(table) < 2 or table.min() < 0 or table.max() >= 2**16:
            raise refuse(self, f"{self.table} must be a row of two or more 16-bit numbers")
        bits = (self.right, self.fraction, self.shift)
        if min(bits) < 0 or max(bits) > 30 or not 0 <= self.multiplier < 2**15:
            raise refuse(self, "a shift is outside 0..30, or the multiplier beyond 15 bits")
        # Partial sums stay below these ends, whatever part of the table they come from.
        most = max((int(table.max()) << self.fraction) * 2, abs(self.top))
        if most + max(abs(self.above), abs(self.below)) > INT32_MAX:
            raise refuse(self, "a value between points could overflow 32 bits")
        values = self.apply(np.arange(x.integer.lo, x.integer.hi + 1), table)
        return TensorType(x.shape, spanning(int(values.min()), int(values.max())))
