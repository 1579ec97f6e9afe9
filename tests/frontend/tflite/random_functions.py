"""Builders of operators that are functions of numbers, enlarge images or remember."""

from collections.abc import Callable

import numpy as np
import tflite

from tests.frontend.tflite.parts import CODES, INT8, INT16, INT32, Grid, Model
from tests.frontend.tflite.writer import TensorSpec

RELU = tflite.ActivationFunctionType.RELU
TANH = tflite.ActivationFunctionType.TANH


def _unary(name: str, **table: str) -> Callable[[Model, Grid], Grid]:
    def build(model: Model, x: Grid) -> Grid:
        scale, zero = model.scale(0.01), model.zero()
        if name == "HARD_SWISH":
            scale = max(scale, x.scale / 100)
        if name in ("LOGISTIC", "SOFTMAX"):
            scale, zero = 1 / 256, -128
        y = model.made_of(x.shape, scale, zero)
        options = {}
        if name == "LEAKY_RELU":
            options["Alpha"] = float(np.float32(model.rng.uniform(-1, 1.5)))
        if name == "SOFTMAX":
            options["Beta"] = float(np.float32(model.pick(1, 1, 2) / 1.3))
        model.writer.operator(
            getattr(CODES, name), [x.index], [y.index], table.get("table", ""), **options
        )
        return y

    return build


def prelu(model: Model, x: Grid) -> Grid:
    slopes = model.rng.integers(-128, 128, (1,) * (len(x.shape) - 1) + (x.shape[-1],))
    alpha = model.writer.constant("slopes", slopes, INT8, [model.scale(0.01)], [model.zero()])
    y = model.made_of(x.shape, model.scale(x.scale), model.zero())
    model.writer.operator(CODES.PRELU, [x.index, alpha], [y.index])
    return y


def nearest(model: Model, x: Grid) -> Grid:
    x = model.image(x)
    extent = model.between(1, 9), model.between(1, 9)
    y = model.made_of((1, *extent, x.shape[3]), x.scale, x.zero)
    kind = model.pick(0, 1, 2)
    model.writer.operator(
        CODES.RESIZE_NEAREST_NEIGHBOR,
        [x.index, model.ints(extent)],
        [y.index],
        "ResizeNearestNeighborOptions",
        AlignCorners=kind == 1,
        HalfPixelCenters=kind == 2,
    )
    return y


def transpose_conv(model: Model, x: Grid) -> Grid:
    x = model.image(x)
    same, out, depth = model.pick(0, 1), model.between(1, 5), x.shape[3]
    size, stride = [[model.between(1, 3) for _ in range(2)] for _ in range(2)]
    places = zip(x.shape[1:3], stride, size, strict=True)
    extent = [n * s if same else (n - 1) * s + k for n, s, k in places]
    data = model.rng.integers(-127, 128, (out, *size, depth))
    scales = [model.scale(0.003) for _ in range(out)]
    inputs = [model.ints([1, *extent, out])]
    inputs.append(model.writer.constant("w", data, INT8, scales, [0] * out))
    inputs.append(x.index)
    if model.pick(0, 1):
        steps = [scale * x.scale for scale in scales]
        bias = model.rng.integers(-9999, 9999, out)
        inputs.append(model.writer.constant("b", bias, INT32, steps, [0] * out))
    near = x.scale * 0.1 * np.sqrt(depth * size[0] * size[1])
    y = model.made_of((1, *extent, out), model.scale(float(near)), model.zero())
    options = {"Padding": 1 - same, "StrideH": stride[0], "StrideW": stride[1]}
    model.writer.operator(
        CODES.TRANSPOSE_CONV, inputs, [y.index], "TransposeConvOptions", **options
    )
    return y


def _row(model: Model, x: Grid) -> Grid:
    """A few of the numbers of `x`, [1, n]: layers that remember are small."""
    size = int(np.prod(x.shape))
    flat = model.made_of((1, size), x.scale, x.zero)
    inputs = [x.index, model.ints(flat.shape)]
    model.writer.operator(CODES.RESHAPE, inputs, [flat.index], "ReshapeOptions")
    y = model.made_of((1, min(size, model.between(1, 8))), x.scale, x.zero)
    inputs = [flat.index, model.ints([0, 0]), model.ints(y.shape)]
    model.writer.operator(CODES.SLICE, inputs, [y.index], "SliceOptions")
    return y


def _matrix(model: Model, shape: tuple[int, int], near: float) -> int:
    data = model.rng.integers(-127, 128, shape)
    return model.writer.constant("w", data, INT8, [model.scale(near)], [0])


def svdf(model: Model, x: Grid) -> Grid:
    x, rng, w = _row(model, x), model.rng, model.writer
    units, rank, memory = model.between(1, 6), model.between(1, 3), model.between(1, 7)
    filters = units * rank
    feature = _matrix(model, (filters, x.shape[1]), 0.003)
    most = model.pick(200, 2000, 32767)
    data = rng.integers(-most, most, (filters, memory), endpoint=True)
    time = model.writer.constant("time", data, INT16, [model.scale(1e-4)], [0])
    bias = model.writer.constant("bias", rng.integers(-9999, 9999, units), INT32, [1e-7], [0])
    # Features that full weights could take beyond 32 bits, if their signs agreed.
    step = x.scale * w.tensors[feature].scales[0] * 255 * 127 * x.shape[1] / 30000
    kept = TensorSpec("s", (1, memory * filters), INT16, (step,), (0,), variable=True)
    inputs = [x.index, feature, time, model.pick(bias, bias, -1), model.writer.tensor(kept)]
    scale = step * w.tensors[time].scales[0] * most * 30000 * memory * rank / 4000
    # Coarser levels would tell sums beyond 32 bits apart: refused.
    y = model.made_of((1, units), min(model.scale(float(scale)), scale), model.zero())
    options = {"Rank": rank, "FusedActivationFunction": RELU}
    model.writer.operator(CODES.SVDF, inputs, [y.index], "SVDFOptions", **options)
    return y


def lstm(model: Model, x: Grid, steps: int = 0) -> Grid:
    """Of `steps` steps of equal shares of `x`; of one to three of some numbers where that is 0."""
    rng, w = model.rng, model.writer
    if not steps:
        x = _row(model, x)
        steps = model.pick(1, 1, 1, *(n for n in (2, 3) if x.shape[1] % n == 0))
    inputs, cells = x.shape[1] // steps, model.between(1, 7)
    rows = model.made_of((1, steps, inputs), x.scale, x.zero)
    w.operator(CODES.RESHAPE, [x.index, model.ints(rows.shape)], [rows.index], "ReshapeOptions")
    y = model.made_of((1, steps, cells), 1 / 128, model.zero())
    operands = [rows.index] + [-1] * 23
    for gate in range(model.pick(0, 0, 1), 4):
        operands[1 + gate] = _matrix(model, (cells, inputs), 0.01)
        operands[5 + gate] = _matrix(model, (cells, cells), 0.01)
        bias = rng.integers(-(10**5), 10**5, cells)
        operands[12 + gate] = w.constant("b", bias, INT32, [1e-4], [0])
    hidden = TensorSpec("h", (1, cells), INT8, (1 / 128,), (y.zero,), variable=True)
    power = 2.0 ** model.between(-15, -9)
    cell = TensorSpec("c", (1, cells), INT16, (power,), (0,), variable=True)
    operands[18], operands[19] = w.tensor(hidden), w.tensor(cell)
    between = [w.activation("i", (1,), 2.0**-12, 0, INT16) for _ in range(4)]
    between.append(w.activation("i", (1,), 1 / 128, y.zero))
    w.operator(
        CODES.UNIDIRECTIONAL_SEQUENCE_LSTM,
        operands,
        [y.index],
        "UnidirectionalSequenceLSTMOptions",
        intermediates=between,
        FusedActivationFunction=TANH,
        CellClip=float(rng.choice([0, 0, 0.1, 3.3])),
    )
    return y


FUNCTIONS: dict[str, Callable[[Model, Grid], Grid]] = {
    "LOGISTIC": _unary("LOGISTIC"),
    "TANH": _unary("TANH"),
    "HARD_SWISH": _unary("HARD_SWISH"),
    "LEAKY_RELU": _unary("LEAKY_RELU", table="LeakyReluOptions"),
    "PRELU": prelu,
    "SOFTMAX": _unary("SOFTMAX", table="SoftmaxOptions"),
    "RESIZE_NEAREST_NEIGHBOR": nearest,
    "TRANSPOSE_CONV": transpose_conv,
    "SVDF": svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
}
