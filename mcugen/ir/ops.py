"""The operations of the integer program: one frozen dataclass each.

A field made by `operand()` refers to a value or constant; every other field is an attribute. Each
op states its result type, interval included, from its operands (`infer`); what it computes is
defined by the numpy interpreter (`interp.py`). The channel is the last axis, the batch the first.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from mcugen.errors import McugenError, fail
from mcugen.ir.types import (
    INT32_MAX,
    INT32_MIN,
    Element,
    Int,
    Planes,
    TensorType,
    accumulator,
    spanning,
)

Ref = str


def operand() -> Any:
    return field(metadata={"operand": True})


@dataclass(frozen=True)
class Env:
    """What an op may ask about its operands: types, and data of constants."""

    types: Mapping[Ref, TensorType]
    constants: Mapping[Ref, np.ndarray]

    def type(self, ref: Ref) -> TensorType:
        if ref not in self.types:
            raise fail("verify", f"{ref} is read before it is defined")
        return self.types[ref]

    def data(self, ref: Ref) -> np.ndarray:
        if ref not in self.constants:
            raise fail("verify", f"{ref} must be a constant")
        return self.constants[ref]


@dataclass(frozen=True)
class Op:
    """Base of all operations."""

    mnemonic: ClassVar[str]

    @cached_property
    def operands(self) -> tuple[Ref, ...]:
        """Every name this op reads, in the order of the text form."""
        refs: list[Ref] = []
        for item in fields(self):
            if item.metadata.get("operand"):
                value = getattr(self, item.name)
                refs.extend(value if isinstance(value, tuple) else (value,))
        return tuple(refs)

    def renamed(self, names: Mapping[Ref, Ref]) -> Self:
        """The same op on other operands; names not in `names` stay."""
        changed = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.metadata.get("operand") and isinstance(value, tuple):
                changed[item.name] = tuple(names.get(ref, ref) for ref in value)
            elif item.metadata.get("operand"):
                changed[item.name] = names.get(value, value)
        return replace(self, **changed)

    @property
    def attributes(self) -> dict[str, int | tuple[int, ...]]:
        return {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if not item.metadata.get("operand")
        }

    def infer(self, env: Env) -> TensorType:
        """The result type.

        Raises:
            McugenError: operands or attributes do not fit, or an accumulator could overflow.
        """
        raise NotImplementedError

    def macs(self, env: Env) -> int:
        """Multiply-accumulates per inference; 0 for everything but dense and convolution ops."""
        del env
        return 0


def _refuse(op: Op, what: str, **more: str) -> McugenError:
    return fail("verify", f"{op.mnemonic}: {what}", **more)


def _positive(op: Op, **attributes: tuple[int, ...] | int) -> None:
    for name, value in attributes.items():
        values = value if isinstance(value, tuple) else (value,)
        if any(item < 1 for item in values):
            raise _refuse(op, f"{name} {value} must be at least 1")


def _interval(element: Element, zero: int) -> tuple[int, int]:
    """Interval of (q − zero), or of a code in {−1, +1}."""
    if isinstance(element, Planes):
        return -1, 1
    return element.lo - zero, element.hi - zero


def _accumulate(op: Op, products_lo: np.ndarray, products_hi: np.ndarray, optional: bool) -> Int:
    """Accumulator type for rows of products with the given bounds.

    Any order of accumulation must fit 32 bits, so zero joins each product when the partial sums are
    bounded; it joins the result's interval only where a product may be missing (`optional`).
    """
    lowest = int(np.minimum(products_lo, 0).sum(axis=1).min())
    highest = int(np.maximum(products_hi, 0).sum(axis=1).max())
    # One short of the type's end: a threshold above every value must still be an int32.
    if lowest <= INT32_MIN or highest >= INT32_MAX:
        raise _refuse(
            op,
            "the accumulator could overflow 32 bits",
            got=f"partial sums in [{lowest}..{highest}]",
            help="narrow the weights or activations (fewer bits), or split the layer's inputs",
        )
    if optional:
        return accumulator(lowest, highest)
    return accumulator(int(products_lo.sum(axis=1).min()), int(products_hi.sum(axis=1).max()))


def _dense_interval(op: Op, x: Element, zero: int, rows: np.ndarray, optional: bool) -> Int:
    low, high = _interval(x, zero)
    ends = np.stack([rows * low, rows * high])
    return _accumulate(op, ends.min(axis=0), ends.max(axis=0), optional)


def _weights(op: Op, env: Env, ref: Ref, x: TensorType) -> np.ndarray:
    """Weights as plain integers; planes must meet planes, integers integers."""
    data = env.data(ref).astype(np.int64)
    element = env.type(ref).element
    if isinstance(element, Planes) != isinstance(x.element, Planes):
        raise _refuse(op, f"weights {element.spelling} on {x.element.spelling}")
    if isinstance(element, Planes):
        if element.count != 1 or not isinstance(x.element, Planes) or x.element.count != 1:
            raise _refuse(op, "only one plane on each side is supported", got=element.spelling)
        return data[0]
    return data


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
        _positive(self, stride=self.stride, dilation=self.dilation, window=size)
        if len(x.shape) != 4:
            raise _refuse(self, f"needs an image [1,H,W,C], got {list(x.shape)}")
        if any(pad < 0 for pad in self.padding):
            raise _refuse(self, f"padding {self.padding} is negative")
        vertical, horizontal = self.windows(size)
        height, width = vertical.extent(x.shape[1]), horizontal.extent(x.shape[2])
        if height < 1 or width < 1:
            raise _refuse(self, f"window {size} does not fit the input {list(x.shape)}")
        return height, width


@dataclass(frozen=True)
class Conv2d(Windowed):
    """acc[n,y,x,o] = Σ w[o,ky,kx,i]·(x[…] − x_zero) over the taps inside the image.

    w is [O, kh, kw, I/groups]; `groups` = I with O a multiple of I is a depthwise convolution.
    Taps outside the image contribute 0, for integers (real zero is q = x_zero) and planes alike.
    """

    mnemonic: ClassVar[str] = "conv2d"
    w: Ref = operand()
    groups: int = field(default=1, kw_only=True)
    x_zero: int = field(default=0, kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x, w = env.type(self.x), env.type(self.w)
        data = _weights(self, env, self.w, x)
        _positive(self, groups=self.groups)
        if len(w.shape) != 4:
            raise _refuse(self, f"weights must be [O,kh,kw,I], got {list(w.shape)}")
        out, kh, kw, depth = w.shape
        height, width = self.output_extent(x, (kh, kw))
        if depth * self.groups != x.channels or out % self.groups:
            raise _refuse(
                self,
                f"weights {list(w.shape)} in {self.groups} groups do not fit {x.channels} channels",
            )
        element = _dense_interval(
            self, x.element, self.x_zero, data.reshape(out, -1), any(self.padding)
        )
        return TensorType((x.shape[0], height, width, out), element)

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
        data = _weights(self, env, self.w, x)
        if len(w.shape) != 2 or w.shape[1] != x.size // x.shape[0]:
            raise _refuse(self, f"weights {list(w.shape)} do not fit the input {list(x.shape)}")
        element = _dense_interval(self, x.element, self.x_zero, data, optional=False)
        return TensorType((x.shape[0], w.shape[0]), element)

    def macs(self, env: Env) -> int:
        return env.type(self.w).size


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
            raise _refuse(self, f"shapes {list(x.shape)} and {list(y.shape)} differ")
        terms = []
        for kind, zero, factor in (
            (x, self.x_zero, self.x_factor),
            (y, self.y_zero, self.y_factor),
        ):
            low, high = _interval(kind.integer, zero)
            terms.append(sorted((low * factor, high * factor)))
        rows = np.array(terms, dtype=object)
        return TensorType(x.shape, _accumulate(self, rows[None, :, 0], rows[None, :, 1], False))


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
            raise _refuse(self, f"shapes {list(x.shape)} and {list(y.shape)} differ")
        ends = [
            a * b
            for a in _interval(x.integer, self.x_zero)
            for b in _interval(y.integer, self.y_zero)
        ]
        rows = np.array([[min(ends)]], dtype=object), np.array([[max(ends)]], dtype=object)
        return TensorType(x.shape, _accumulate(self, *rows, False))


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
        ones = np.ones((1, math.prod(self.window)), dtype=np.int64)
        element = _dense_interval(self, x.integer, self.x_zero, ones, any(self.padding))
        return TensorType((x.shape[0], height, width, x.channels), element)


@dataclass(frozen=True)
class MaxPool(Windowed):
    """Largest value (largest code) over the taps inside the image; every window holds one."""

    mnemonic: ClassVar[str] = "max_pool"
    window: tuple[int, int] = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        height, width = self.output_extent(x, self.window)
        for window, extent, size in zip(
            self.windows(self.window), x.shape[1:3], (height, width), strict=True
        ):
            if not all(_taps_inside(window, position, extent) for position in range(size)):
                raise _refuse(self, f"a window of padding {self.padding} lies outside the image")
        return TensorType((x.shape[0], height, width, x.channels), x.element)


def _taps_inside(window: Window, position: int, extent: int) -> int:
    """How many taps of the window at output `position` fall inside [0, extent)."""
    first = position * window.stride - window.before
    return sum(0 <= first + tap * window.dilation < extent for tap in range(window.size))


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
            raise _refuse(self, f"cannot pad {list(x.shape)} by {self.padding}")
        top, bottom, left, right = self.padding
        n, height, width, channels = x.shape
        lo, hi = min(x.integer.lo, self.value), max(x.integer.hi, self.value)
        shape = (n, height + top + bottom, width + left + right, channels)
        return TensorType(shape, _widened(x.integer, lo, hi))


def _widened(element: Int, lo: int, hi: int) -> Int:
    """`element` with the interval [lo, hi], in more bits where that needs them."""
    narrow = spanning(lo, hi)
    if lo >= element.least and hi <= element.greatest:
        return Int(element.bits, element.signed, lo, hi)
    return narrow


@dataclass(frozen=True)
class Reshape(Op):
    """The same elements in memory order under another shape."""

    mnemonic: ClassVar[str] = "reshape"
    x: Ref = operand()
    shape: tuple[int, ...] = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        _positive(self, shape=self.shape)
        if math.prod(self.shape) != x.size or self.shape[0] != x.shape[0]:
            raise _refuse(self, f"{list(x.shape)} does not reshape to {list(self.shape)}")
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
            raise _refuse(self, f"perm {self.perm} does not fit {list(x.shape)}")
        return TensorType(tuple(x.shape[axis] for axis in self.perm), x.integer)


@dataclass(frozen=True)
class Concat(Op):
    """Operands one after the other along `axis`, which is not the batch."""

    mnemonic: ClassVar[str] = "concat"
    xs: tuple[Ref, ...] = operand()
    axis: int = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        types = [env.type(ref) for ref in self.xs]
        if not types or not 1 <= self.axis < len(types[0].shape):
            raise _refuse(self, f"axis {self.axis} does not fit")
        rest = {(*t.shape[: self.axis], *t.shape[self.axis + 1 :]) for t in types}
        if len(rest) != 1 or len({len(t.shape) for t in types}) != 1:
            raise _refuse(self, f"shapes {[list(t.shape) for t in types]} do not join")
        shape = list(types[0].shape)
        shape[self.axis] = sum(t.shape[self.axis] for t in types)
        lo, hi = min(t.integer.lo for t in types), max(t.integer.hi for t in types)
        widest = max((t.integer for t in types), key=lambda element: element.bits)
        return TensorType(tuple(shape), _widened(widest, lo, hi))


def _per_channel(op: Op, env: Env, ref: Ref, x: TensorType) -> np.ndarray:
    """Constant with one row for all channels, or one per channel."""
    data = env.data(ref)
    if data.shape[0] not in (1, x.channels):
        raise _refuse(op, f"{ref} has {data.shape[0]} rows for {x.channels} channels")
    return data


@dataclass(frozen=True)
class Requantize(Op):
    """clamp((x·multiplier + bias) >> shift, lo, hi); the shift floors, the bias holds the rounding.

    `multiplier` is i32 and `bias` i64, [1] or [C]; the sum is formed in 64 bits.
    """

    mnemonic: ClassVar[str] = "requantize"
    x: Ref = operand()
    multiplier: Ref = operand()
    bias: Ref = operand()
    shift: int = field(kw_only=True)
    lo: int = field(kw_only=True)
    hi: int = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        multiplier = _per_channel(self, env, self.multiplier, x).astype(object)
        bias = _per_channel(self, env, self.bias, x).astype(object)
        if not 0 <= self.shift <= 62:
            raise _refuse(self, f"shift {self.shift} is outside 0..62")
        ends = [multiplier * end + bias for end in (x.integer.lo, x.integer.hi)]
        worst = max(abs(int(value)) for end in ends for value in end)
        if worst >= 2**63:
            raise _refuse(self, f"x·multiplier + bias reaches {worst}, beyond 64 bits")
        low = min(int(value) >> self.shift for end in ends for value in end)
        high = max(int(value) >> self.shift for end in ends for value in end)
        if self.lo > self.hi or self.lo < INT32_MIN or self.hi > INT32_MAX:
            raise _refuse(self, f"clamp [{self.lo}..{self.hi}] is empty or beyond 32 bits")
        clamp = spanning(self.lo, self.hi)
        lo, hi = (min(max(end, self.lo), self.hi) for end in (low, high))
        return TensorType(x.shape, Int(clamp.bits, clamp.signed, lo, hi))


@dataclass(frozen=True)
class Threshold(Op):
    """lo + #{t in table[c] : direction[c]·x ≥ t}; the code −1/+1 when lo..lo+1 is `planes`.

    A monotone step function per channel: batch norm, activation and quantizer in one. `table` is
    i32 [1|C, L−1], each row non-decreasing; `direction` is [1|C] of ±1. With `planes` = 1 the
    table has one column and the result is planes<1>.
    """

    mnemonic: ClassVar[str] = "threshold"
    x: Ref = operand()
    table: Ref = operand()
    direction: Ref = operand()
    lo: int = field(default=0, kw_only=True)
    planes: int = field(default=0, kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        table = _per_channel(self, env, self.table, x)
        direction = _per_channel(self, env, self.direction, x)
        if table.ndim != 2 or (np.diff(table, axis=1) < 0).any():
            raise _refuse(self, f"the rows of {self.table} must not decrease")
        if not np.isin(direction, (-1, 1)).all():
            raise _refuse(self, f"{self.direction} must be −1 or +1")
        if x.integer.lo <= INT32_MIN:
            raise _refuse(self, f"cannot negate {x} in 32 bits")
        if self.planes:
            if self.planes != 1 or table.shape[1] != 1:
                raise _refuse(self, "a result in planes needs planes=1 and one threshold")
            return TensorType(x.shape, Planes(1))
        ends = [
            (np.sign(direction)[:, None] * end >= table).sum(axis=1)
            for end in (x.integer.lo, x.integer.hi)
        ]
        low, high = int(np.min(ends)), int(np.max(ends))
        full = spanning(self.lo, self.lo + table.shape[1])
        return TensorType(x.shape, Int(full.bits, full.signed, self.lo + low, self.lo + high))


@dataclass(frozen=True)
class Lookup(Op):
    """table[c][x − x.lo]: any function of a small integer domain; table is [1|C, levels of x]."""

    mnemonic: ClassVar[str] = "lookup"
    x: Ref = operand()
    table: Ref = operand()

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        table = _per_channel(self, env, self.table, x)
        if table.ndim != 2 or table.shape[1] != x.integer.levels:
            raise _refuse(
                self, f"{self.table} has shape {list(table.shape)}, x has {x.integer.levels} levels"
            )
        return TensorType(x.shape, env.type(self.table).element)


@dataclass(frozen=True)
class ArgMax(Op):
    """Index of the largest value along the last axis; the first of equals."""

    mnemonic: ClassVar[str] = "argmax"
    x: Ref = operand()

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        if len(x.shape) != 2 or not isinstance(x.element, Int):
            raise _refuse(self, f"needs scores [1,C], got {x}")
        return TensorType((x.shape[0], 1), accumulator(0, x.channels - 1))


_OPS: tuple[type[Op], ...] = (
    Conv2d,
    Linear,
    Add,
    Mul,
    SumPool,
    MaxPool,
    Pad,
    Reshape,
    Transpose,
    Concat,
    Requantize,
    Threshold,
    Lookup,
    ArgMax,
)

OPS: dict[str, type[Op]] = {op.mnemonic: op for op in _OPS}
