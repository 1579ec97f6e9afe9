"""Random programs of one op each: more of each than `tests.programs` has room for.

The same on every machine; a failure is replayed by its maker and seed.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import BINARY, Int, Planes, Program, TensorType, ops
from mcugen.ir.types import INT32_MAX, accumulator, spanning
from tests.builder import Builder

Maker = Callable[[int], Program]
_CHANNELS = (1, 2, 3, 4, 5, 8, 16, 33)


def _int8(rng: np.random.Generator) -> Int:
    """Eight bits, mostly whole."""
    signed = bool(rng.integers(2))
    whole = Int(8, True, -128, 127) if signed else Int(8, False, 0, 255)
    if rng.random() < 0.6:
        return whole
    lo, hi = np.sort(rng.integers(whole.lo, whole.hi, 2, endpoint=True)).tolist()
    return Int(8, signed, lo, hi)


def _int16(rng: np.random.Generator) -> Int:
    del rng
    return Int(16, True, -(2**15), 2**15 - 1)


def _image(rng: np.random.Generator) -> TensorType:
    element = _int16(rng) if rng.random() < 0.2 else _int8(rng)
    height, width = rng.integers(1, 8, 2).tolist()
    return TensorType((1, height, width, int(rng.choice(_CHANNELS))), element)


def _some(make: Callable[[np.random.Generator], Program], seed: int) -> Program:
    """What `make` gives for the first generator that the op's rules do not refuse."""
    for attempt in range(100):
        try:
            return make(np.random.default_rng([seed, attempt]))
        except McugenError:
            continue
    raise AssertionError(f"no program for seed {seed}")


def average_pool(seed: int) -> Program:
    def make(rng: np.random.Generator) -> Program:
        kind = _image(rng)
        b = Builder(kind)
        lo, hi = kind.integer.lo, kind.integer.hi
        if rng.random() < 0.4:
            lo, hi = np.sort(rng.integers(lo - 3, hi + 3, 2, endpoint=True)).tolist()
        pool = ops.AveragePool(
            b.x,
            window=tuple(rng.integers(1, 5, 2).tolist()),
            stride=tuple(rng.integers(1, 4, 2).tolist()),
            padding=tuple(rng.integers(0, 3, 4).tolist()) if rng.random() < 0.6 else (0, 0, 0, 0),
            dilation=(1, 2) if rng.random() < 0.2 else (1, 1),
            lo=lo,
            hi=hi,
        )
        return b.done(b.op(pool))

    return _some(make, seed)


def softmax(seed: int) -> Program:
    def make(rng: np.random.Generator) -> Program:
        element = _int8(rng)
        length = int(rng.choice([1, 2, 3, 10, 12, 100, 511]))
        shape = (1, length) if rng.random() < 0.5 else (1, *rng.integers(1, 4, 2).tolist(), length)
        b = Builder(TensorType(shape, element))
        bits = int(rng.choice([8, 8, 16]))
        exps = 2.0**31 * np.exp(-np.arange(element.levels) * rng.choice([0, 0.001, 0.1, 1, 50]))
        table = b.const(np.minimum(exps, INT32_MAX).astype(np.int64), accumulator(0, INT32_MAX))
        lo = 0 if rng.random() < 0.5 else -(1 << (bits - 1))
        return b.done(b.op(ops.Softmax(b.x, table, bits=bits, lo=lo)))

    return _some(make, seed)


def transpose_conv2d(seed: int) -> Program:
    def make(rng: np.random.Generator) -> Program:
        kind = _image(rng)
        b = Builder(kind)
        out, kh, kw = int(rng.choice(_CHANNELS)), *rng.integers(1, 5, 2).tolist()
        w = b.const(rng.integers(-128, 128, (out, kh, kw, kind.channels)), Int(8, True, -128, 127))
        stride, before = rng.integers(1, 4, 2), rng.integers(0, 3, 2)
        most = (np.array(kind.shape[1:3]) - 1) * stride + (kh, kw) + stride - 1 - before
        extent = np.maximum(1, most - rng.integers(0, 4, 2))
        x = b.op(
            ops.TransposeConv2d(
                b.x,
                w,
                stride=tuple(stride.tolist()),
                padding=tuple(before.tolist()),
                extent=tuple(extent.tolist()),
                x_zero=int(rng.choice([0, kind.integer.lo, kind.integer.hi])),
            )
        )
        if rng.random() < 0.5:
            return b.done(x)
        table = b.const(np.sort(rng.integers(-9999, 9999, (1, 1))), accumulator(-9999, 9999))
        up = b.const(np.array([1]), Int(2, True, -1, 1))
        return b.done(b.op(ops.Threshold(x, table, up, basis=(1,))))

    return _some(make, seed)


def resize(seed: int) -> Program:
    def make(rng: np.random.Generator) -> Program:
        kind = _image(rng)
        if rng.random() < 0.3:
            kind = replace(kind, element=Planes((1, 2)) if rng.random() < 0.5 else BINARY)
        b = Builder(kind)
        tables = [
            b.const(rng.integers(0, n, rng.integers(1, 9)), spanning(0, n - 1))
            for n in kind.shape[1:3]
        ]
        return b.done(b.op(ops.Resize(b.x, *tables)))

    return _some(make, seed)


def smooth(seed: int) -> Program:
    def make(rng: np.random.Generator) -> Program:
        element = _int16(rng) if rng.random() < 0.7 else _int8(rng)
        b = Builder(TensorType((1, int(rng.integers(1, 200))), element))
        if rng.random() < 0.5:
            return b.done(b.op(ops.Tanh(b.x, integer_bits=int(rng.integers(0, 7)))))
        return b.done(b.op(ops.Logistic(b.x, integer_bits=int(rng.integers(0, 8)))))

    return _some(make, seed)


def interpolate(seed: int) -> Program:
    def make(rng: np.random.Generator) -> Program:
        element = _int16(rng) if rng.random() < 0.7 else _int8(rng)
        b = Builder(TensorType((1, int(rng.integers(1, 200))), element))
        points = rng.integers(0, 2**16, rng.choice([2, 3, 256]))
        fraction = int(rng.integers(0, 14))
        return b.done(
            b.op(
                ops.Interpolate(
                    b.x,
                    b.const(points, Int(16, False, 0, 2**16 - 1)),
                    multiplier=int(rng.integers(0, 2**15)),
                    right=int(rng.integers(0, 16)),
                    fraction=fraction,
                    top=int(rng.integers(-(2**29), 2**29)),
                    above=int(rng.integers(-(2**25), 2**25)),
                    below=int(rng.integers(-(2**25), 2**25)),
                    shift=int(rng.integers(0, 16)),
                )
            )
        )

    return _some(make, seed)


#: One maker for each op.
MAKERS: tuple[Maker, ...] = (
    average_pool,
    softmax,
    transpose_conv2d,
    resize,
    smooth,
    interpolate,
)
