"""Multiply-accumulate ops: convolution and fully connected."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mcugen.ir.ops.base import Env, Op, Ref, operand, positive, refuse
from mcugen.ir.ops.intervals import Products, dense_interval
from mcugen.ir.ops.windows import Windowed
from mcugen.ir.types import INT32_MAX, Planes, TensorType


def weights(op: Op, env: Env, ref: Ref, x: TensorType) -> np.ndarray:
    """Weights as plain integers; planes must meet planes, integers integers.

    Raises:
        McugenError: planes meet integers, or the sum of one pair of planes could leave 32 bits.
    """
    data = env.data(ref).astype(np.int64)
    element = env.type(ref).element
    if isinstance(element, Planes) != isinstance(x.element, Planes):
        raise refuse(op, f"weights {element.spelling} on {x.element.spelling}")
    if not isinstance(element, Planes) or not isinstance(x.element, Planes):
        return data
    # Kernels sum plane by plane, so the planes' sum is bounded besides the values' own.
    reach = np.abs(data).reshape(*data.shape[:2], -1).sum(axis=(0, 2)).max() * x.element.reach
    if reach >= INT32_MAX:
        raise refuse(op, "the sum over planes could overflow 32 bits", got=f"±{reach}")
    return data.sum(axis=0)


@dataclass(frozen=True)
class Conv2d(Windowed):
    """acc[n,y,x,o] = Σ w[o,ky,kx,i]·(x[…] − x_zero) over the taps inside the image.

    w is [O, kh, kw, I/groups]; `groups` = I with O a multiple of I is a depthwise convolution.
    Taps outside the image contribute 0 (real zero is x = x_zero). Bit planes count as their values.
    """

    mnemonic: ClassVar[str] = "conv2d"
    w: Ref = operand()
    groups: int = field(default=1, kw_only=True)
    x_zero: int = field(default=0, kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x, w = env.type(self.x), env.type(self.w)
        positive(self, groups=self.groups)
        if len(w.shape) != 4:
            raise refuse(self, f"weights must be [O,kh,kw,I], got {list(w.shape)}")
        out, kh, kw, depth = w.shape
        height, width = self.output_extent(x, (kh, kw))
        if depth * self.groups != x.channels or out % self.groups:
            raise refuse(
                self,
                f"weights {list(w.shape)} in {self.groups} groups do not fit {x.channels} channels",
            )
        element = dense_interval(self, self.products(env))
        return TensorType((x.shape[0], height, width, out), element)

    def products(self, env: Env) -> Products:
        """What is multiplied and summed; the weights must fit the input."""
        x, (out, kh, kw, depth) = env.type(self.x), env.type(self.w).shape
        rows = weights(self, env, self.w, x).reshape(out, kh * kw, depth)
        return Products(x.element, self.x_zero, rows, self.inside(x, (kh, kw)))

    def macs(self, env: Env) -> int:
        result, w = self.infer(env), env.type(self.w)
        return result.size * math.prod(w.shape[1:])


@dataclass(frozen=True)
class Linear(Op):
    """acc[n,o] = Σ_k w[o,k]·(x[n,k] − x_zero); x is read flat, in memory order (NHWC)."""

    mnemonic: ClassVar[str] = "linear"
    x: Ref = operand()
    w: Ref = operand()
    x_zero: int = field(default=0, kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x, w = env.type(self.x), env.type(self.w)
        if len(w.shape) != 2 or w.shape[1] != x.size // x.shape[0]:
            raise refuse(self, f"weights {list(w.shape)} do not fit the input {list(x.shape)}")
        return TensorType((x.shape[0], w.shape[0]), dense_interval(self, self.products(env)))

    def products(self, env: Env) -> Products:
        """What is multiplied and summed; the weights must fit the input."""
        x = env.type(self.x)
        rows = weights(self, env, self.w, x)[:, None]
        return Products(x.element, self.x_zero, rows, np.ones((1, 1), dtype=bool))

    def macs(self, env: Env) -> int:
        return env.type(self.w).size
