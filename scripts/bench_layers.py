"""Single layers of bit planes for the benchmark, for the figures in docs/kernels.md."""

from collections.abc import Callable, Mapping

import numpy as np

from mcugen.ir import Int, Planes, Program, TensorType, ops
from mcugen.ir.types import BINARY, INT32_MAX, INT32_MIN, accumulator, spanning
from mcugen.passes import optimize
from tests.builder import Builder

_Basis = tuple[int, ...]


def _weights(b: Builder, rng: np.random.Generator, shape: tuple[int, ...], basis: _Basis) -> str:
    """Random planes; of more than one, rows have bases of their own unless those are 1, 2, 4 …"""
    codes = rng.choice([-1, 1], (len(basis), *shape))
    powers = basis == tuple(2**plane for plane in range(len(basis)))
    rows = [rng.integers(entry if powers else 1, entry + 1, shape[0]) for entry in basis]
    scale = np.stack(rows).reshape(len(basis), shape[0], *[1] * (len(shape) - 1))
    return b.const(codes * scale, Planes(basis))


def _thresholds(b: Builder, rng: np.random.Generator, acc: str, basis: _Basis) -> str:
    kind = b.program(acc).env.type(acc)
    reach = kind.integer.levels // 10
    table = np.sort(rng.integers(-reach, reach, (kind.channels, 2 ** len(basis) - 1)), axis=1)
    rising = b.const(np.ones(1, int), Int(2, True, -1, 1))
    table_c = b.const(table, accumulator(INT32_MIN, INT32_MAX))
    return b.op(ops.Threshold(acc, table_c, rising, basis=basis))


def _linear(inputs: int, x: _Basis = BINARY.basis, w: _Basis = BINARY.basis) -> Program:
    rng, b = np.random.default_rng(0), Builder(TensorType((1, inputs), Planes(x)))
    acc = b.op(ops.Linear(b.x, _weights(b, rng, (64, inputs), w)))
    return b.done(_thresholds(b, rng, acc, x))


def _conv2d(channels: int, x: _Basis = BINARY.basis, w: _Basis = BINARY.basis) -> Program:
    """3x3 on 8x8, padded by one, as many channels out as in."""
    shape = (1, 8, 8, channels)
    rng, b = np.random.default_rng(0), Builder(TensorType(shape, Planes(x)))
    weights = _weights(b, rng, (channels, 3, 3, channels), w)
    acc = b.op(ops.Conv2d(b.x, weights, padding=(1, 1, 1, 1)))
    return b.done(_thresholds(b, rng, acc, x))


def _depthwise(channels: int) -> Program:
    """3x3 on 16x16, padded by one."""
    shape = (1, 16, 16, channels)
    rng, b = np.random.default_rng(0), Builder(TensorType(shape, BINARY))
    weights = _weights(b, rng, (channels, 3, 3, 1), BINARY.basis)
    acc = b.op(ops.Conv2d(b.x, weights, padding=(1, 1, 1, 1), groups=channels))
    return b.done(_thresholds(b, rng, acc, BINARY.basis))


def _levels(shape: tuple[int, ...], size: tuple[int, ...], x: int, w: int) -> Program:
    """Integers −x..x by bell-shaped weights −w..w onto the same grid, as batch norm leaves it.

    `size`: that of the weights; padded so that the output is as large as the input.
    """
    rng, b = np.random.default_rng(0), Builder(TensorType(shape, spanning(-x, x)))
    data = np.clip(np.rint(rng.normal(0, w / 3, size)), -w, w).astype(np.int64)
    weights = b.const(data, spanning(-w, w))
    pad = size[1] // 2
    convolution = ops.Conv2d(b.x, weights, padding=(pad, pad, pad, pad))
    acc = b.op(convolution if len(size) == 4 else ops.Linear(b.x, weights))
    kind = b.program(acc).env.type(acc)
    step, offset = kind.integer.levels / 60 / x, rng.normal(0, 1, (kind.channels, 1))
    table = np.ceil((np.arange(2 * x) - x + 0.5 + offset) * step).astype(np.int64)
    rising = b.const(np.ones(1, int), Int(2, True, -1, 1))
    limits = b.const(table, accumulator(INT32_MIN, INT32_MAX))
    return optimize(b.done(b.op(ops.Threshold(acc, limits, rising, lo=-x))))


def _levels_conv2d(channels: int, window: int, x: int, w: int) -> Program:
    """On 16x16."""
    return _levels((1, 16, 16, channels), (channels, window, window, channels), x, w)


#: Programs of one layer each, by what they are; x and w say the planes' bases, at most for w.
LAYERS: Mapping[str, Callable[[], Program]] = {
    "linear 576 to 64, x 1, w 1": lambda: _linear(576),
    "linear 1024 to 64, x 1, w 1": lambda: _linear(1024),
    "linear 1024 to 64, x 3,7, w 50": lambda: _linear(1024, (3, 7), (50,)),
    "linear 1024 to 64, x 1,2, w 1,2": lambda: _linear(1024, (1, 2), (1, 2)),
    "linear 1024 to 64, x 3,7, w 50,70": lambda: _linear(1024, (3, 7), (50, 70)),
    "conv 3x3 16 to 16, x 1, w 1": lambda: _conv2d(16),
    "conv 3x3 32 to 32, x 1, w 1": lambda: _conv2d(32),
    "conv 3x3 64 to 64, x 1, w 1": lambda: _conv2d(64),
    "conv 3x3 64 to 64, x 1,2, w 1": lambda: _conv2d(64, (1, 2)),
    "conv 3x3 64 to 64, x 3,7, w 50": lambda: _conv2d(64, (3, 7), (50,)),
    "conv 3x3 64 to 64, x 1,2, w 1,2": lambda: _conv2d(64, (1, 2), (1, 2)),
    "conv 3x3 64 to 64, x 3,7, w 50,70": lambda: _conv2d(64, (3, 7), (50, 70)),
    "conv 3x3 64 to 64, x 3,7,16, w 50,70,90": lambda: _conv2d(64, (3, 7, 16), (50, 70, 90)),
    "linear 1024 to 64, x 3,7,16, w 50,70,90": lambda: _linear(1024, (3, 7, 16), (50, 70, 90)),
    "conv 3x3 16 to 16, 23 levels by 23": lambda: _levels_conv2d(16, 3, 11, 11),
    "conv 3x3 32 to 32, 23 levels by 23": lambda: _levels_conv2d(32, 3, 11, 11),
    "conv 3x3 64 to 64, 23 levels by 23": lambda: _levels_conv2d(64, 3, 11, 11),
    "conv 3x3 32 to 32, 15 levels by 15": lambda: _levels_conv2d(32, 3, 7, 7),
    "conv 3x3 32 to 32, 3 levels by 3": lambda: _levels_conv2d(32, 3, 1, 1),
    "conv 3x3 32 to 32, 255 levels by 255": lambda: _levels_conv2d(32, 3, 127, 127),
    "conv 1x1 64 to 64, 23 levels by 23": lambda: _levels_conv2d(64, 1, 11, 11),
    "linear 784 to 128, 23 levels by 23": lambda: _levels((1, 784), (128, 784), 11, 11),
    "depthwise 3x3 64, x 1, w 1": lambda: _depthwise(64),
}
