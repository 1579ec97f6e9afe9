"""Ops that slide a window over H and W: geometry, and pools."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mcugen.ir.ops.base import Env, Op, Ref, operand, positive, refuse
from mcugen.ir.ops.intervals import Products, dense_interval, widened
from mcugen.ir.types import Planes, TensorType

#: Taps of a window, and sets of taps times taps: arrays of them are made.
_MOST_TAPS = 2**20
_MOST_SETS = 2**24


@dataclass(frozen=True)
class Window:
    """Geometry of one spatial axis; also used by kernels."""

    size: int
    stride: int
    dilation: int
    before: int
    after: int

    def extent(self, n: int) -> int:
        """Output extent for an input extent of `n`; below 1 when the window does not fit."""
        return (
            n + self.before + self.after - self.dilation * (self.size - 1) - 1
        ) // self.stride + 1

    def inside(self, n: int) -> np.ndarray:
        """Which taps lie inside an input of `n`: bool [sets, taps], each set that occurs once."""
        positions = np.arange(self.extent(n)) * self.stride - self.before
        whole = (positions >= 0) & (positions + (self.size - 1) * self.dilation < n)
        # Of the many windows that are wholly inside, one: large images have to be quick, too.
        positions = np.append(positions[~whole], positions[whole][:1])
        taps = positions[:, None] + np.arange(self.size) * self.dilation
        return np.unique((taps >= 0) & (taps < n), axis=0)


@dataclass(frozen=True)
class Windowed(Op):
    """Ops that slide a window over H and W: shared attributes and their shape rule."""

    x: Ref = operand()
    stride: tuple[int, int] = field(default=(1, 1), kw_only=True)
    padding: tuple[int, int, int, int] = field(default=(0, 0, 0, 0), kw_only=True)
    """Top, bottom, left, right."""
    dilation: tuple[int, int] = field(default=(1, 1), kw_only=True)

    def windows(self, size: tuple[int, int]) -> tuple[Window, Window]:
        top, bottom, left, right = self.padding
        return (
            Window(size[0], self.stride[0], self.dilation[0], top, bottom),
            Window(size[1], self.stride[1], self.dilation[1], left, right),
        )

    def output_extent(self, x: TensorType, size: tuple[int, int]) -> tuple[int, int]:
        positive(self, stride=self.stride, dilation=self.dilation, window=size)
        if len(x.shape) != 4:
            raise refuse(self, f"needs an image [1,H,W,C], got {list(x.shape)}")
        if any(pad < 0 for pad in self.padding):
            raise refuse(self, f"padding {self.padding} is negative")
        if size[0] * size[1] > _MOST_TAPS:
            raise refuse(self, f"window {size} has more than {_MOST_TAPS} taps")
        vertical, horizontal = self.windows(size)
        height, width = vertical.extent(x.shape[1]), horizontal.extent(x.shape[2])
        if height < 1 or width < 1:
            raise refuse(self, f"window {size} does not fit the input {list(x.shape)}")
        if max(height * size[0], width * size[1]) > _MOST_SETS:
            raise refuse(self, f"{height}×{width} windows {size} are too many")
        return height, width

    def inside(self, x: TensorType, size: tuple[int, int]) -> np.ndarray:
        """Sets of taps that are inside the image together: bool [sets, taps of the window]."""
        vertical, horizontal = self.windows(size)
        rows, columns = vertical.inside(x.shape[1]), horizontal.inside(x.shape[2])
        if rows.size * columns.size > _MOST_SETS:
            raise refuse(self, f"windows {size} stand over the border in too many ways")
        both = rows[:, None, :, None] & columns[None, :, None, :]
        return both.reshape(-1, size[0] * size[1])


@dataclass(frozen=True)
class SumPool(Windowed):
    """acc = Σ (x − x_zero) over the taps inside the image.

    An average pool: the division by the window's size lies in the scale of the result.
    """

    mnemonic: ClassVar[str] = "sum_pool"
    window: tuple[int, int] = field(kw_only=True)
    x_zero: int = field(default=0, kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        height, width = self.output_extent(x, self.window)
        ones = np.ones((1, math.prod(self.window), 1), dtype=np.int64)
        inside = self.inside(x, self.window)
        element = dense_interval(self, Products(x.integer, self.x_zero, ones, inside))
        return TensorType((x.shape[0], height, width, x.channels), element)


@dataclass(frozen=True)
class AveragePool(Windowed):
    """clamp(mean, lo, hi) of x over the taps inside the image; every window holds one.

    The mean of q is rounded to the nearest integer, halves away from zero: as TFLite's kernels do.
    """

    mnemonic: ClassVar[str] = "average_pool"
    window: tuple[int, int] = field(kw_only=True)
    lo: int = field(kw_only=True)
    hi: int = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        height, width = self.output_extent(x, self.window)
        inside = self.inside(x, self.window)
        covered(self, inside)
        ones = np.ones((1, math.prod(self.window), 1), dtype=np.int64)
        dense_interval(self, Products(x.integer, 0, ones, inside))
        if self.lo > self.hi:
            raise refuse(self, f"clamp [{self.lo}..{self.hi}] is empty")
        lo, hi = (min(max(end, self.lo), self.hi) for end in (x.integer.lo, x.integer.hi))
        return TensorType((x.shape[0], height, width, x.channels), widened(x.integer, lo, hi))

    def counts(self, x: TensorType) -> tuple[int, ...]:
        """The numbers of taps inside the image that occur, rising."""
        return tuple(np.unique(self.inside(x, self.window).sum(axis=1)).tolist())


def covered(op: Windowed, inside: np.ndarray) -> None:
    """Refuse windows without a tap inside the image."""
    if not inside.any(axis=1).all():
        raise refuse(op, f"a window of padding {op.padding} lies outside the image")


@dataclass(frozen=True)
class MaxPool(Windowed):
    """Largest value over the taps inside the image; every window holds one.

    Bit planes must be ordered: among equal values the code of the highest number is taken.
    """

    mnemonic: ClassVar[str] = "max_pool"
    window: tuple[int, int] = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        height, width = self.output_extent(x, self.window)
        covered(self, self.inside(x, self.window))
        if isinstance(x.element, Planes) and not x.element.ordered:
            raise refuse(self, f"the codes of {x.element.spelling} do not rise with their numbers")
        return TensorType((x.shape[0], height, width, x.channels), x.element)
