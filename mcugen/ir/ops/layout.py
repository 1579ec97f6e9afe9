"""Ops that move values without looking at them."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from mcugen.ir.ops.base import Env, Op, Ref, operand, positive, refuse
from mcugen.ir.ops.intervals import widened
from mcugen.ir.types import TensorType


@dataclass(frozen=True)
class Pad(Op):
    """Border of constant `value` around the image: top, bottom, left, right."""

    mnemonic: ClassVar[str] = "pad"
    x: Ref = operand()
    padding: tuple[int, int, int, int] = field(kw_only=True)
    value: int = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        if len(x.shape) != 4 or any(pad < 0 for pad in self.padding):
            raise refuse(self, f"cannot pad {list(x.shape)} by {self.padding}")
        top, bottom, left, right = self.padding
        n, height, width, channels = x.shape
        lo, hi = min(x.integer.lo, self.value), max(x.integer.hi, self.value)
        shape = (n, height + top + bottom, width + left + right, channels)
        return TensorType(shape, widened(x.integer, lo, hi))


@dataclass(frozen=True)
class Reshape(Op):
    """The same elements in memory order under another shape."""

    mnemonic: ClassVar[str] = "reshape"
    x: Ref = operand()
    shape: tuple[int, ...] = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        positive(self, shape=self.shape)
        if math.prod(self.shape) != x.size or self.shape[0] != x.shape[0]:
            raise refuse(self, f"{list(x.shape)} does not reshape to {list(self.shape)}")
        return TensorType(self.shape, x.integer)


@dataclass(frozen=True)
class Transpose(Op):
    """Axes in the order `perm`; the batch stays first."""

    mnemonic: ClassVar[str] = "transpose"
    x: Ref = operand()
    perm: tuple[int, ...] = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        if sorted(self.perm) != list(range(len(x.shape))) or self.perm[0] != 0:
            raise refuse(self, f"perm {self.perm} does not fit {list(x.shape)}")
        return TensorType(tuple(x.shape[axis] for axis in self.perm), x.integer)


@dataclass(frozen=True)
class Slice(Op):
    """The positions begin … end − 1 of `axis`, which is not the batch."""

    mnemonic: ClassVar[str] = "slice"
    x: Ref = operand()
    axis: int = field(kw_only=True)
    begin: int = field(kw_only=True)
    end: int = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        if not 1 <= self.axis < len(x.shape):
            raise refuse(self, f"axis {self.axis} does not fit {list(x.shape)}")
        if not 0 <= self.begin < self.end <= x.shape[self.axis]:
            raise refuse(self, f"{self.begin}..{self.end} does not fit {list(x.shape)}")
        shape = (*x.shape[: self.axis], self.end - self.begin, *x.shape[self.axis + 1 :])
        return TensorType(shape, x.integer)


@dataclass(frozen=True)
class Concat(Op):
    """Operands one after the other along `axis`, which is not the batch."""

    mnemonic: ClassVar[str] = "concat"
    xs: tuple[Ref, ...] = operand()
    axis: int = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        types = [env.type(ref) for ref in self.xs]
        if not types or not 1 <= self.axis < len(types[0].shape):
            raise refuse(self, f"axis {self.axis} does not fit")
        rest = {(*t.shape[: self.axis], *t.shape[self.axis + 1 :]) for t in types}
        if len(rest) != 1 or len({len(t.shape) for t in types}) != 1:
            raise refuse(self, f"shapes {[list(t.shape) for t in types]} do not join")
        shape = list(types[0].shape)
        shape[self.axis] = sum(t.shape[self.axis] for t in types)
        lo, hi = min(t.integer.lo for t in types), max(t.integer.hi for t in types)
        widest = max((t.integer for t in types), key=lambda element: element.bits)
        return TensorType(tuple(shape), widened(widest, lo, hi))
