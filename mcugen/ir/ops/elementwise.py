"""Sums and products of two tensors."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mcugen.ir.ops.base import Env, Op, Ref, operand, refuse
from mcugen.ir.ops.intervals import accumulate, interval
from mcugen.ir.types import TensorType


@dataclass(frozen=True)
class Add(Op):
    """acc = x_factor·(x − x_zero) + y_factor·(y − y_zero), elementwise on equal shapes."""

    mnemonic: ClassVar[str] = "add"
    x: Ref = operand()
    y: Ref = operand()
    x_factor: int = field(default=1, kw_only=True)
    y_factor: int = field(default=1, kw_only=True)
    x_zero: int = field(default=0, kw_only=True)
    y_zero: int = field(default=0, kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x, y = env.type(self.x), env.type(self.y)
        if x.shape != y.shape:
            raise refuse(self, f"shapes {list(x.shape)} and {list(y.shape)} differ")
        terms = []
        for kind, zero, factor in (
            (x, self.x_zero, self.x_factor),
            (y, self.y_zero, self.y_factor),
        ):
            low, high = interval(kind.integer, zero)
            terms.append(sorted((low * factor, high * factor)))
        ends = np.array(terms, dtype=object).T[:, None, :, None]
        together = np.ones((1, 2), dtype=bool)
        return TensorType(x.shape, accumulate(self, ends[0], ends[1], together))


@dataclass(frozen=True)
class Mul(Op):
    """acc = (x − x_zero)·(y − y_zero), elementwise on equal shapes."""

    mnemonic: ClassVar[str] = "mul"
    x: Ref = operand()
    y: Ref = operand()
    x_zero: int = field(default=0, kw_only=True)
    y_zero: int = field(default=0, kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x, y = env.type(self.x), env.type(self.y)
        if x.shape != y.shape:
            raise refuse(self, f"shapes {list(x.shape)} and {list(y.shape)} differ")
        ends = [
            a * b
            for a in interval(x.integer, self.x_zero)
            for b in interval(y.integer, self.y_zero)
        ]
        low, high = (np.full((1, 1, 1), end, dtype=object) for end in (min(ends), max(ends)))
        return TensorType(x.shape, accumulate(self, low, high, np.ones((1, 1), dtype=bool)))
