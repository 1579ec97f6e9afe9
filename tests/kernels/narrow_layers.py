"""Random dense layers of narrow integers, and of bit planes with equidistant levels."""

from dataclasses import replace

import numpy as np

from mcugen.ir import Int, Planes, Program, TensorType, ops
from mcugen.ir.types import INT32_MAX, INT32_MIN, accumulator, spanning
from tests.builder import Builder

#: Greatest level numbers (N − 1) / 2 of inputs and weights whose products fit 8 bits: 19 pairs.
PAIRS = tuple(
    (127 // h_w, h_w) for h_w in range(2, 64) if 127 // (127 // h_w) == h_w and 127 // h_w >= 2
)
_CHANNELS = (1, 2, 3, 4, 7, 8, 12, 16, 17, 24, 32, 33, 40, 64)


class _Writer:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 7])

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def pick(self, *values: int) -> int:
        return int(self.rng.choice(values))

    def element(self) -> Int | Planes:
        """Integers of 1 to 6 bits anywhere within 8, or one to three planes a, 2a, 4a."""
        if self.rng.random() < 0.35:
            unit = self.between(1, 9)
            return Planes(tuple(unit << plane for plane in range(self.between(1, 3))))
        levels = self.between(1, 2 ** self.between(1, 6))
        low = self.pick(0, 0, -levels // 2, self.between(-128, 255 - levels))
        high = low + levels
        return spanning(low, high) if high <= 127 or low >= 0 else spanning(127 - levels, 127)

    def weights(self, b: Builder, shape: tuple[int, ...], x: Int | Planes) -> str:
        if isinstance(x, Planes):
            planes = self.between(1, 3)
            scale = self.rng.integers(1, self.pick(1, 9), shape[0], endpoint=True)
            steps = 2 ** np.arange(planes)[:, None] * scale
            codes = self.rng.choice([-1, 1], (planes, *shape))
            data = codes * steps.reshape(planes, -1, *[1] * (len(shape) - 1))
            return b.const(data, Planes(tuple(int(entry) for entry in steps.max(axis=1))))
        reach = self.between(1, 2 ** self.between(1, 6))
        data = self.rng.integers(-reach, reach, shape, endpoint=True)
        data[:: self.pick(1, 7)] = self.rng.choice([-reach, reach])
        return b.const(data, spanning(-reach, reach))

    def zero(self, x: Int | Planes) -> int:
        if isinstance(x, Planes):
            return self.pick(0, 0, 1, -9)
        return self.pick(0, x.lo, x.hi, self.between(x.lo, x.hi))

    def epilogue(self, b: Builder, acc: str) -> str:
        kind = b.program(acc).env.type(acc)
        if self.rng.random() < 0.3:
            return acc
        count = self.between(1, 22)
        reach = kind.integer.levels // self.pick(1, 4, 10) + 2
        rows = self.pick(1, kind.channels)
        table = np.sort(self.rng.integers(-reach, reach, (rows, count)), axis=1)
        thresholds = b.const(
            np.clip(table, INT32_MIN, INT32_MAX), accumulator(INT32_MIN, INT32_MAX)
        )
        directions = b.const(np.ones(1, int), Int(2, True, -1, 1))
        return b.op(ops.Threshold(acc, thresholds, directions))


def conv2d_layer(seed: int) -> Program:
    """A convolution with windows up to 5 pixels wide, some strided or dilated."""
    w = _Writer(seed)
    size = (w.between(1, 3), w.pick(1, 1, 2, 3, 3, 4, 5))
    shape = (1, w.between(1, 9), w.between(1, 15), w.pick(*_CHANNELS))
    x = w.element()
    b = Builder(TensorType(shape, x))
    weights = w.weights(b, (w.pick(*_CHANNELS), *size, shape[-1]), x)
    padding = tuple(w.between(0, 2) for _ in range(4))
    # What does not fit is padded until it does.
    room = [max(0, size[axis] - shape[1 + axis]) for axis in (0, 1)]
    padding = (padding[0] + room[0], padding[1], padding[2] + room[1], padding[3])
    stride = (w.between(1, 3), w.pick(1, 1, 2, 3))
    op = ops.Conv2d(b.x, weights, stride=stride, padding=padding, x_zero=w.zero(x))
    if w.rng.random() < 0.2 and min(shape[1:3]) > 8:
        op = replace(op, dilation=(w.pick(1, 2), 2))
    return _named(b.done(w.epilogue(b, b.op(op))), f"conv{seed}")


def linear_layer(seed: int) -> Program:
    """A fully connected layer, of an image or of features."""
    w = _Writer(seed)
    shape: tuple[int, ...] = (1, w.pick(*_CHANNELS) * w.between(1, 9))
    if w.rng.random() < 0.5:
        shape = (1, w.between(1, 4), w.between(1, 4), w.pick(*_CHANNELS))
    x = w.element()
    b = Builder(TensorType(shape, x))
    weights = w.weights(b, (w.pick(*_CHANNELS), int(np.prod(shape))), x)
    acc = b.op(ops.Linear(b.x, weights, x_zero=w.zero(x)))
    return _named(b.done(w.epilogue(b, acc)), f"linear{seed}")


def extreme_layer(pair: tuple[int, int], seed: int, *, dense: bool) -> Program:
    """Weights of a pair of grids, mostly at the ends; the input's interval is the whole grid."""
    rng = np.random.default_rng([*pair, seed])
    h_x, h_w = pair
    channels, out = int(rng.integers(1, 40)), int(rng.integers(1, 12))
    shape = (1, channels) if dense else (1, 4, int(rng.integers(3, 9)), channels)
    b = Builder(TensorType(shape, spanning(-h_x, h_x)))
    size = (out, channels) if dense else (out, 3, 3, channels)
    data = np.where(rng.random(size) < 0.1, rng.integers(-h_w, h_w, size, endpoint=True), h_w)
    data *= rng.choice([-1, 1], (out, *[1] * (len(size) - 1)))
    weights = b.const(data, spanning(-h_w, h_w))
    zero = int(rng.choice([-h_x, 0, h_x]))
    op: ops.Op = ops.Conv2d(b.x, weights, padding=(1, 1, 1, 1), x_zero=zero)
    if dense:
        op = ops.Linear(b.x, weights, x_zero=zero)
    return _named(b.done(b.op(op)), f"extreme{h_x}_{h_w}_{seed}")


def _named(program: Program, name: str) -> Program:
    return replace(program, name=name)
