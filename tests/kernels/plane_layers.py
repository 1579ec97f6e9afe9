"""Random dense layers of bit planes, one step each: every shape that their kernels tell apart."""

from dataclasses import replace

import numpy as np

from mcugen.ir import Int, Planes, Program, TensorType, ops
from mcugen.ir.types import BINARY, INT32_MAX, INT32_MIN, accumulator
from tests.builder import Builder

_CHANNELS = (1, 2, 5, 8, 16, 31, 32, 33, 48, 64, 65, 96, 100, 128)


class _Writer:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 5])

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def channels(self) -> int:
        return int(self.rng.choice(_CHANNELS))

    def planes(self) -> Planes:
        """One plane ±1, mostly; else powers of two, or any integers, zero among them."""
        kind = self.rng.random()
        if kind < 0.4:
            return BINARY
        if kind < 0.6:
            powers = self.rng.permutation(3)[: self.between(1, 3)]
            return Planes(tuple((self.between(1, 9) << powers).tolist()))
        return Planes(tuple(self.rng.integers(0, 40, self.between(1, 3)).tolist()))

    def weights(self, b: Builder, shape: tuple[int, ...], planes: int | None = None) -> str:
        """`planes`: so many, of any bases."""
        bound = Planes(tuple(self.rng.integers(0, 9, planes).tolist())) if planes else self.planes()
        data = self.rng.choice([-1, 1], (bound.count, *shape))
        if len(set(bound.basis)) == 1 or self.rng.random() < 0.5:
            data *= np.array(bound.basis).reshape(-1, *[1] * len(shape))
        else:
            rows = [self.rng.integers(0, entry, shape[0], endpoint=True) for entry in bound.basis]
            data *= np.stack(rows).reshape(bound.count, -1, *[1] * (len(shape) - 1))
        return b.const(data, bound)

    def zero(self) -> int:
        return int(self.rng.choice([0, 0, 0, 1, -9]))

    def epilogue(self, b: Builder, acc: str) -> str:
        """None, or thresholds onto planes or integers; some beyond what occurs."""
        target = self.planes() if self.rng.random() < 0.7 else None
        if self.rng.random() < 0.15:
            return acc
        return self._thresholds(b, acc, target)

    def bits(self, b: Builder, acc: str) -> str:
        """A threshold onto one plane."""
        return self._thresholds(b, acc, Planes((self.between(1, 9),)))

    def _thresholds(self, b: Builder, acc: str, target: Planes | None) -> str:
        kind = b.program(acc).env.type(acc)
        count = 2**target.count - 1 if target else self.between(1, 6)
        rows = int(self.rng.choice([1, kind.channels]))
        reach = kind.integer.levels // int(self.rng.choice([1, 6, 20])) + 2
        table = np.sort(self.rng.integers(-reach, reach, (rows, count)), axis=1)
        table = np.clip(table, INT32_MIN, INT32_MAX)
        direction = self.rng.choice([-1, 1], kind.channels if rows > 1 else 1)
        thresholds = b.const(table, accumulator(INT32_MIN, INT32_MAX))
        directions = b.const(direction, Int(2, True, -1, 1))
        basis = target.basis if target else ()
        return b.op(ops.Threshold(acc, thresholds, directions, basis=basis))


def conv2d_layer(seed: int) -> Program:
    """A convolution; windows may be strided, dilated and padded by different amounts."""
    return _convolution(_Writer(seed), f"conv{seed}", depthwise=False)


def depthwise_layer(seed: int) -> Program:
    """A depthwise convolution, as `conv2d_layer`."""
    return _convolution(_Writer(seed), f"depthwise{seed}", depthwise=True)


def _convolution(w: _Writer, name: str, *, depthwise: bool) -> Program:
    size = (w.between(1, 3), w.between(1, 3))
    shape = (1, w.between(1, 9), w.between(1, 9), w.channels() + depthwise)
    b = Builder(TensorType(shape, w.planes()))
    groups = shape[-1] if depthwise else 1
    out = groups if depthwise else w.channels()
    weights = w.weights(b, (out, *size, shape[-1] // groups))
    padding = tuple(w.between(0, 2) for _ in range(4))
    # What does not fit is padded until it does.
    room = [max(0, size[axis] - shape[1 + axis]) for axis in (0, 1)]
    padding = (padding[0] + room[0], padding[1], padding[2] + room[1], padding[3])
    op = ops.Conv2d(
        b.x,
        weights,
        stride=(w.between(1, 2), w.between(1, 3)),
        padding=padding,
        groups=groups,
        x_zero=w.zero(),
    )
    if w.rng.random() < 0.2 and min(shape[1:3]) > 4:
        op = replace(op, dilation=(2, 2))
    return _named(b.done(w.epilogue(b, b.op(op))), name)


def pattern_layer(seed: int) -> Program:
    """A convolution of one plane of few channels onto bits, all of whose taps are inside."""
    w = _Writer(seed)
    depth = int(w.rng.choice([1, 1, 2, 3]))
    size = (w.between(1, 8), w.between(1, 7 // depth))
    dilation = (w.between(1, 2), 1)
    room = (dilation[0] * (size[0] - 1) + 1, size[1])
    shape = (1, room[0] + w.between(0, 5), min(room[1] + w.between(0, 24), 32 // depth), depth)
    b = Builder(TensorType(shape, Planes((w.between(1, 9),))))
    weights = w.weights(b, (w.between(1, 32), *size, depth), planes=1)
    stride = (w.between(1, 2), w.between(1, 3))
    op = ops.Conv2d(b.x, weights, stride=stride, dilation=dilation, x_zero=w.zero())
    return _named(b.done(w.bits(b, b.op(op))), f"pattern{seed}")


def whole_layer(seed: int) -> Program:
    """A convolution whose one window is the whole image."""
    w = _Writer(seed)
    shape = (1, w.between(1, 6), w.between(1, 6), w.channels())
    b = Builder(TensorType(shape, w.planes()))
    weights = w.weights(b, (w.channels(), *shape[1:]))
    op = ops.Conv2d(b.x, weights, stride=(w.between(1, 2), 1), x_zero=w.zero())
    return _named(b.done(w.epilogue(b, b.op(op))), f"whole{seed}")


def linear_layer(seed: int) -> Program:
    """A fully connected layer, of an image or of features."""
    w = _Writer(seed)
    shape = (1, w.channels() * w.between(1, 9))
    if w.rng.random() < 0.5:
        shape = (1, w.between(1, 4), w.between(1, 4), w.channels())
    b = Builder(TensorType(shape, w.planes()))
    weights = w.weights(b, (w.channels(), int(np.prod(shape))))
    acc = b.op(ops.Linear(b.x, weights, x_zero=w.zero()))
    return _named(b.done(w.epilogue(b, acc)), f"linear{seed}")


def _named(program: Program, name: str) -> Program:
    return replace(program, name=name)
