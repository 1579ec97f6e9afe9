"""Random nodes of the ops that TFLite's arithmetic and enlarged images need (see `programs`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import BINARY, Int, TensorType, ops
from mcugen.ir.types import INT32_MAX

if TYPE_CHECKING:
    from tests.programs import Writer

Maker = Callable[["Writer", str], str]


def makers(kind: TensorType) -> list[Maker]:
    """What can be appended behind integers of this type."""
    found: list[Maker] = []
    if len(kind.shape) == 4:
        found += [_average_pool, _transpose_conv2d, _resize]
        if is_bytes(kind):
            found += [byte_layer] * 3
    if kind.integer.levels <= 256:
        found.append(_softmax)
    if kind.integer.bits <= 16:
        found += [_smooth, _interpolate]
    return found


def is_bytes(kind: TensorType) -> bool:
    """An image of bytes."""
    return len(kind.shape) == 4 and isinstance(kind.element, Int) and kind.element.bits == 8


def byte_layer(writer: Writer, x: str) -> str:
    """What networks of bytes are made of: 3×3, dense or depthwise, onto all levels of a byte."""
    channels = writer.types[x].channels
    groups = channels if writer.chance(0.4) else 1
    out = channels if groups > 1 else writer.one_of((4, 4, 8, 8, 17))
    w = writer.const(
        writer.rng.integers(-127, 127, (out, 3, 3, channels // groups), endpoint=True),
        Int(8, True, -127, 127),
    )
    kind = writer.types[x].integer
    made = ops.Conv2d(
        x,
        w,
        stride=(writer.one_of((1, 1, 1, 2)),) * 2,
        padding=(writer.between(0, 1),) * 4,
        groups=groups,
        x_zero=writer.between(kind.lo, kind.hi),
    )
    return writer.requantize(writer.add(made), byte(writer))


def bit_layer(writer: Writer, x: str) -> str:
    """What binary networks are made of: 3×3, one threshold for each channel, onto bits."""
    channels = writer.types[x].channels
    out = writer.one_of((1, 8, 31, 32))
    w = writer.const(writer.rng.choice([-1, 1], (1, out, 3, 3, channels)), BINARY)
    sums = writer.add(ops.Conv2d(x, w, stride=(writer.between(1, 2),) * 2))
    kind = writer.types[sums].integer
    table = writer.rng.integers(kind.lo, kind.hi, (out, 1), endpoint=True)
    rising = writer.const(np.array([1]), Int(2, True, -1, 1))
    return writer.add(ops.Threshold(sums, writer.integers(table), rising, basis=(1,)))


def byte(writer: Writer) -> Int:
    """All levels of a byte."""
    return Int(8, True, -128, 127) if writer.chance(0.5) else Int(8, False, 0, 255)


def _average_pool(writer: Writer, x: str) -> str:
    window = (writer.between(1, 3), writer.between(1, 3))
    kind = writer.types[x].integer
    lo, hi = sorted(writer.between(kind.lo, kind.hi) for _ in range(2))
    shape = writer.windowed(writer.types[x], window, 1)
    return writer.add(ops.AveragePool(x, window=window, lo=lo, hi=hi, **shape))


def _transpose_conv2d(writer: Writer, x: str) -> str:
    kind = writer.types[x]
    size, stride = ((writer.between(1, 3), writer.between(1, 3)) for _ in range(2))
    w, zero = writer.weights(kind, (writer.between(1, 9), *size, kind.channels))
    padding = (writer.between(0, size[0] - 1), writer.between(0, size[1] - 1))
    axes = zip(kind.shape[1:3], stride, size, padding, strict=True)
    reach = [(n - 1) * s + k - p for n, s, k, p in axes]
    extent = (max(1, reach[0] - writer.between(0, 1)), max(1, reach[1]))
    return writer.add(
        ops.TransposeConv2d(x, w, stride=stride, padding=padding, extent=extent, x_zero=zero)
    )


def _resize(writer: Writer, x: str) -> str:
    rows, columns = (
        np.sort(writer.rng.integers(0, n, writer.between(1, 2 * n)))
        for n in writer.types[x].shape[1:3]
    )
    return writer.add(ops.Resize(x, writer.integers(rows), writer.integers(columns)))


def _softmax(writer: Writer, x: str) -> str:
    levels = writer.types[x].integer.levels
    bits = writer.one_of((8, 8, 16))
    falling = -np.sort(-writer.rng.integers(0, INT32_MAX, levels - 1, endpoint=True))
    exps = writer.const(np.append(INT32_MAX, falling), Int(32, True, 0, INT32_MAX))
    return writer.add(ops.Softmax(x, exps, bits=bits, lo=writer.one_of((0, -(1 << (bits - 1))))))


def _smooth(writer: Writer, x: str) -> str:
    op = ops.Logistic if writer.chance(0.5) else ops.Tanh
    return writer.add(op(x, integer_bits=writer.between(0, op.most_bits)))


def _interpolate(writer: Writer, x: str) -> str:
    points = np.sort(writer.rng.integers(0, 2**16, writer.one_of((2, 9, 65, 257))))
    return writer.add(
        ops.Interpolate(
            x,
            writer.const(points, Int(16, False, 0, 2**16 - 1)),
            multiplier=writer.between(0, 2**15 - 1),
            right=writer.between(0, 12),
            fraction=writer.between(0, 9),
            top=int(points[-1]) << 9,
            above=writer.between(0, 2**10),
            below=writer.between(0, 2**10),
            shift=writer.between(0, 12),
        )
    )


def is_bits(kind: TensorType) -> bool:
    """A binary image."""
    return len(kind.shape) == 4 and kind.element == BINARY


#: What networks mostly begin with, by the type of their input.
USUAL: tuple[tuple[Callable[[TensorType], bool], Maker], ...] = (
    (is_bytes, byte_layer),
    (is_bits, bit_layer),
)
