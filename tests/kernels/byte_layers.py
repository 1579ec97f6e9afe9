"""Random dense layers of 8-bit integers, one step each: shapes, intervals and epilogues.

Inputs reach the ends of their types, weights those of theirs, and multipliers are as wide as the
ones that frontends make.
"""

from dataclasses import replace

import numpy as np

from mcugen.ir import Int, Program, TensorType, ops
from mcugen.ir.types import INT32_MAX, INT32_MIN, accumulator
from tests.builder import Builder

_CHANNELS = (1, 2, 3, 4, 5, 7, 8, 12, 16, 20, 32)
INT8, UINT8 = Int(8, True, -128, 127), Int(8, False, 0, 255)
_INPUTS = (INT8, INT8, INT8, UINT8, UINT8, Int(8, True, -127, 100), Int(4, False, 0, 15))
_WEIGHTS = Int(8, True, -127, 127)


class _Writer:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 6])

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def channels(self) -> int:
        return int(self.rng.choice(_CHANNELS))

    def input(self) -> Int:
        return _INPUTS[self.between(0, len(_INPUTS) - 1)]

    def zero(self, kind: Int) -> int:
        return int(self.rng.choice([kind.lo, kind.hi, 0, self.between(kind.lo, kind.hi)]))

    def weights(self, b: Builder, shape: tuple[int, ...]) -> str:
        spread = float(self.rng.choice([3, 40, 1000]))
        data = np.clip(np.rint(self.rng.normal(0, spread, shape)), -127, 127).astype(np.int64)
        return b.const(data, _WEIGHTS)

    def padding(
        self, shape: tuple[int, ...], size: tuple[int, int], dilation: tuple[int, int], most: int
    ) -> tuple[int, ...]:
        """Up to `most` on each side; what does not fit is padded until it does."""
        padding = [self.between(0, most) for _ in range(4)]
        for axis in (0, 1):
            padding[2 * axis] += max(0, (size[axis] - 1) * dilation[axis] + 1 - shape[1 + axis])
        return tuple(padding)

    def epilogue(self, b: Builder, acc: str) -> str:
        kind = self.rng.random()
        if kind < 0.1:
            return acc
        if kind < 0.2:
            return self.thresholds(b, acc)
        if kind < 0.4:
            return rescaled(b, acc, (INT8, UINT8)[self.between(0, 1)], self.rng)
        target = (INT8, UINT8, INT8, UINT8, Int(8, True, -100, 90), Int(4, False, 0, 15))
        return requantized(b, acc, target[self.between(0, 5)], self.rng)

    def thresholds(self, b: Builder, acc: str) -> str:
        reach = b.program(acc).env.type(acc).integer.levels // 6 + 2
        table = np.sort(self.rng.integers(-reach, reach, (1, 5)), axis=1)
        rising = b.const(np.ones(1, int), Int(2, True, -1, 1))
        thresholds = b.const(table, accumulator(INT32_MIN, INT32_MAX))
        return b.op(ops.Threshold(acc, thresholds, rising))


def requantized(b: Builder, acc: str, target: Int, rng: np.random.Generator) -> str:
    """`acc` on `target`, whose levels span a part of what occurs, with scales per channel."""
    kind = b.program(acc).env.type(acc)
    bits = int(rng.choice([12, 31, 31]))
    rows = int(rng.choice([1, kind.channels]))
    part = kind.integer.levels / float(rng.choice([0.7, 3, 10]))
    scale = target.levels / part * rng.uniform(0.5, 1, rows)
    shift = int(np.clip(bits - 1 - np.ceil(np.log2(scale.max())), 1, 60))
    multiplier = np.minimum(np.rint(scale * 2.0**shift), 2**31 - 1).astype(np.int64)
    multiplier *= rng.choice([1, 1, 1, -1, 0], rows)
    offset = rng.integers(-int(part) // 4 - 1, int(part) // 4 + 1, rows)
    middle = (target.lo + target.hi) // 2
    bias = multiplier * offset + (middle << shift) + (1 << (shift - 1))
    if rng.random() < 0.5:
        bias += rng.integers(0, 1 << shift, rows)
    return b.op(
        ops.Requantize(
            acc,
            b.const(multiplier, Int(32, True, INT32_MIN, INT32_MAX)),
            b.const(bias, Int(64, True, -(2**63), 2**63 - 1)),
            shift=shift,
            lo=target.lo,
            hi=target.hi,
        )
    )


def rescaled(b: Builder, acc: str, target: Int, rng: np.random.Generator) -> str:
    """As `requantized`, with a bias and two roundings."""
    kind = b.program(acc).env.type(acc)
    rows = int(rng.choice([1, kind.channels]))
    part = kind.integer.levels / float(rng.choice([0.7, 3, 10]))
    exponent = np.ceil(np.log2(target.levels / part)).astype(int) - rng.integers(0, 3, rows)
    int32 = Int(32, True, INT32_MIN, INT32_MAX)
    bias = rng.integers(-int(part) // 4 - 1, int(part) // 4 + 1, rows)
    return b.op(
        ops.Rescale(
            acc,
            b.const(bias, int32),
            b.const(rng.integers(2**30, 2**31, rows), int32),
            b.const(np.clip(exponent, -31, 0), int32),
            zero=int(rng.choice([target.lo, (target.lo + target.hi) // 2, 3])),
            lo=target.lo,
            hi=target.hi,
        )
    )


def linear_layer(seed: int) -> Program:
    """A fully connected layer."""
    w = _Writer(seed)
    inputs = w.between(1, 100)
    b = Builder(TensorType((1, inputs), w.input()))
    weights = w.weights(b, (w.channels(), inputs))
    acc = b.op(ops.Linear(b.x, weights, x_zero=w.zero(b.program(b.x).env.type(b.x).integer)))
    return replace(b.done(w.epilogue(b, acc)), name=f"linear{seed}")


def conv2d_layer(seed: int) -> Program:
    """A convolution; windows may be strided, dilated and padded by different amounts."""
    w = _Writer(seed)
    size = (w.between(1, 4), w.between(1, 4))
    if w.rng.random() < 0.3:
        size = (1, 1)
    dilation = (2, 2) if w.rng.random() < 0.15 else (1, 1)
    shape = (1, w.between(1, 9), w.between(1, 9), w.channels())
    b = Builder(TensorType(shape, w.input()))
    weights = w.weights(b, (w.channels(), *size, shape[-1]))
    most = 0 if size == (1, 1) else 2
    op = ops.Conv2d(
        b.x,
        weights,
        stride=(w.between(1, 2), w.between(1, 3)),
        padding=w.padding(shape, size, dilation, most),
        dilation=dilation,
        x_zero=w.zero(b.program(b.x).env.type(b.x).integer),
    )
    return replace(b.done(w.epilogue(b, b.op(op))), name=f"conv{seed}")


def depthwise_layer(seed: int) -> Program:
    """A depthwise convolution, of one output a channel or several, with all kinds of windows."""
    w = _Writer(seed)
    channels, copies = w.between(1, 9), int(w.rng.choice([1, 1, 2, 3]))
    size = (3, 3) if w.rng.random() < 0.4 else (w.between(1, 6), w.between(1, 6))
    if w.rng.random() < 0.15:
        size = (1, w.between(7, 20)) if w.rng.random() < 0.5 else (w.between(7, 20), 1)
    dilation = (w.between(1, 2), w.between(1, 3)) if w.rng.random() < 0.2 else (1, 1)
    shape = (1, w.between(1, 13), w.between(1, 13), channels)
    b = Builder(TensorType(shape, w.input()))
    weights = w.weights(b, (channels * copies, *size, 1))
    op = ops.Conv2d(
        b.x,
        weights,
        stride=(w.between(1, 2), w.between(1, 3)),
        padding=w.padding(shape, size, dilation, most=2),
        dilation=dilation,
        groups=channels,
        x_zero=w.zero(b.program(b.x).env.type(b.x).integer),
    )
    if w.rng.random() < 0.4 and copies == 1:
        # The output is as large as the input.
        rows, columns = (extent * (step - 1) for extent, step in zip(dilation, size, strict=True))
        around = (rows // 2, rows - rows // 2, columns // 2, columns - columns // 2)
        op = replace(op, stride=(1, 1), padding=around)
    return replace(b.done(w.epilogue(b, b.op(op))), name=f"depthwise{seed}")


def winograd_layer(seed: int) -> Program:
    """A 3x3 convolution without stride onto 8 bits, as Winograd's algorithm takes it."""
    w = _Writer(seed)
    shape = (1, w.between(1, 9), w.between(1, 11), int(w.rng.choice([4, 8, 12, 16, 20, 32, 64])))
    b = Builder(TensorType(shape, w.input()))
    weights = w.weights(b, (int(w.rng.choice([4, 8, 12])), 3, 3, shape[-1]))
    padding = [w.between(0, 2) for _ in range(4)]
    # What does not fit is padded until it does.
    for axis, least in ((0, 4), (1, 6)):
        padding[2 * axis] += max(0, least - shape[1 + axis] - sum(padding[2 * axis :][:2]))
    zero = w.zero(b.program(b.x).env.type(b.x).integer)
    acc = b.op(ops.Conv2d(b.x, weights, padding=tuple(padding), x_zero=zero))
    target = (INT8, UINT8)[w.between(0, 1)]
    make = (requantized, rescaled)[w.between(0, 1)]
    return replace(b.done(make(b, acc, target, w.rng)), name=f"winograd{seed}")
