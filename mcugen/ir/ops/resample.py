"""Ops that make images larger: transposed convolution, nearest neighbours."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mcugen.ir.ops.base import Env, Op, Ref, operand, positive, refuse
from mcugen.ir.ops.intervals import Products, dense_interval
from mcugen.ir.types import TensorType


@dataclass(frozen=True)
class Spread:
    """Geometry of one spatial axis of a transposed convolution; also used by kernels.

    Position i of the input reaches i·stride − before + tap of the output.
    """

    size: int
    stride: int
    before: int
    output: int

    def sources(self, n: int) -> np.ndarray:
        """Position in the input of `n` that each tap of each output reads: [output, size].

        −1 where the tap meets no input.
        """
        reached = np.arange(self.output)[:, None] + self.before - np.arange(self.size)
        source = reached // self.stride
        meets = (reached % self.stride == 0) & (source >= 0) & (source < n)
        return np.where(meets, source, -1)


@dataclass(frozen=True)
class TransposeConv2d(Op):
    """acc[n,y,x,o] = Σ w[o,ky,kx,i]·(x[n,iy,ix,i] − x_zero), where iy·stride − top + ky = y.

    ix alike, with left. w is [O, kh, kw, I]; `padding` is (top, left), cut off the beginning of the
    output, and `extent` its height and width. Integers only.
    """

    mnemonic: ClassVar[str] = "transpose_conv2d"
    x: Ref = operand()
    w: Ref = operand()
    stride: tuple[int, int] = field(default=(1, 1), kw_only=True)
    padding: tuple[int, int] = field(default=(0, 0), kw_only=True)
    extent: tuple[int, int] = field(kw_only=True)
    x_zero: int = field(default=0, kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x, w = env.type(self.x), env.type(self.w)
        positive(self, stride=self.stride, extent=self.extent)
        if len(x.shape) != 4 or len(w.shape) != 4 or w.shape[3] != x.channels:
            raise refuse(self, f"weights {list(w.shape)} do not fit the input {list(x.shape)}")
        if min(self.padding) < 0:
            raise refuse(self, f"padding {self.padding} is negative")
        # Beyond this an output meets no input; it would only hold what a bias adds.
        for n, axis in zip(x.shape[1:3], self.axes(w.shape[1:3]), strict=True):
            most = (n - 1) * axis.stride + axis.size + axis.stride - 1 - axis.before
            if axis.output > most:
                raise refuse(self, f"extent {self.extent} is beyond the input's reach")
        element = dense_interval(self, self.products(env))
        return TensorType((x.shape[0], *self.extent, w.shape[0]), element)

    def axes(self, size: tuple[int, ...]) -> tuple[Spread, Spread]:
        return (
            Spread(size[0], self.stride[0], self.padding[0], self.extent[0]),
            Spread(size[1], self.stride[1], self.padding[1], self.extent[1]),
        )

    def products(self, env: Env) -> Products:
        """What is multiplied and summed; the weights must fit the input."""
        x, (out, kh, kw, depth) = env.type(self.x), env.type(self.w).shape
        vertical, horizontal = self.axes((kh, kw))
        rows = np.unique(vertical.sources(x.shape[1]) >= 0, axis=0)
        columns = np.unique(horizontal.sources(x.shape[2]) >= 0, axis=0)
        together = rows[:, None, :, None] & columns[None, :, None, :]
        weights = env.data(self.w).astype(np.int64).reshape(out, kh * kw, depth)
        return Products(x.integer, self.x_zero, weights, together.reshape(-1, kh * kw))

    def macs(self, env: Env) -> int:
        x, w = env.type(self.x), env.type(self.w)
        vertical, horizontal = self.axes(w.shape[1:3])
        pairs = (vertical.sources(x.shape[1]) >= 0).sum()
        pairs *= (horizontal.sources(x.shape[2]) >= 0).sum()
        return int(pairs) * w.shape[0] * w.shape[3]


@dataclass(frozen=True)
class Resize(Op):
    """y[n,i,j] = x[n, rows[i], columns[j]], whole pixels: nearest neighbours, however chosen.

    `rows` and `columns` are constants of positions.
    """

    mnemonic: ClassVar[str] = "resize"
    x: Ref = operand()
    rows: Ref = operand()
    columns: Ref = operand()

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        if len(x.shape) != 4:
            raise refuse(self, f"needs an image [1,H,W,C], got {list(x.shape)}")
        extent = []
        for ref, n in ((self.rows, x.shape[1]), (self.columns, x.shape[2])):
            positions = env.data(ref)
            if positions.ndim != 1 or positions.min() < 0 or positions.max() >= n:
                raise refuse(self, f"{ref} holds positions outside of 0..{n - 1}")
            extent.append(positions.size)
        return TensorType((x.shape[0], *extent, x.channels), x.element)
