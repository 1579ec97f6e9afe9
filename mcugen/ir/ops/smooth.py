"""Functions of 16-bit fixed-point numbers, computed step by step as gemmlowp does."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mcugen.ir import fixed_point
from mcugen.ir.ops.base import Env, Op, Ref, operand, refuse
from mcugen.ir.types import Int, TensorType


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
