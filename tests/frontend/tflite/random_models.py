"""Random .tflite models over every operator that has a handler: shapes, strides, paddings, grids.

Zero points are at their extremes as often as not; scales are such that results use their range,
run into its ends, or stay at one level.
"""

from collections.abc import Callable

import numpy as np
import tflite

from tests.frontend.tflite.parts import CODES, INT8, INT32, Grid, Model, geometry, reshape, window
from tests.frontend.tflite.random_functions import FUNCTIONS

INT4 = tflite.TensorType.INT4
_ACTIVATIONS = (0, 0, 1, 1, 3, 2)


def random_model(seed: int, kind: str) -> bytes:
    """A model of one to four operators, of which the first is `kind`."""
    model = built(seed, kind)
    return model.writer.write([0], [model.made[-1].index])


def built(seed: int, kind: str) -> Model:
    """The model before it is written."""
    rng = np.random.default_rng(seed)
    model = Model(rng)
    x = KINDS[kind](model, model.input())
    names = list(KINDS)
    for _ in range(int(rng.integers(0, 4))):
        x = KINDS[names[int(rng.integers(len(names)))]](model, x)
    return model


def _weighted(
    model: Model, x: Grid, weights: np.ndarray, axis: int, products: int
) -> tuple[int, int, float]:
    """Weights and bias of a layer, and a scale that its result could have."""
    rng, outputs = model.rng, weights.shape[axis]
    several = axis >= 0 and bool(model.pick(0, 1, 1))
    scales = 2.0 ** rng.uniform(-9, -5, outputs if several else 1)
    int4 = bool(model.pick(0, 0, 0, 1))
    most = 7 if int4 else 127
    data = np.clip(weights, -most, most)
    w = model.writer.constant("w", data, INT4 if int4 else INT8, scales, [0] * len(scales), axis)
    near = float(x.scale * scales.max() * most / 2 * np.sqrt(products) * 70 / 50)
    reach = int(most * 60 * np.sqrt(products)) + 1
    steps = np.float32(x.scale) * scales.astype(np.float32)
    values = rng.integers(-reach, reach, outputs)
    bias = model.writer.constant("b", values, INT32, steps, [0] * len(scales))
    return w, bias, near


def _finish(
    model: Model, code: int, inputs: list[int], shape: tuple[int, ...], near: float, **options: int
) -> Grid:
    table = options.pop("table")
    y = model.made_of(shape, model.scale(near), model.zero())
    activation = model.pick(*_ACTIVATIONS)
    model.writer.operator(
        code, inputs, [y.index], table, FusedActivationFunction=activation, **options
    )
    return y


def conv2d(model: Model, x: Grid) -> Grid:
    x = model.image(x)
    size, outputs, depth = window(model, x), model.between(1, 9), x.shape[3]
    weights = model.rng.integers(-127, 128, (outputs, *size, depth))
    options, extents = geometry(model, x, size, dilated=True)
    w, bias, near = _weighted(model, x, weights, 0, size[0] * size[1] * depth)
    inputs = [x.index, w, bias]
    options["table"] = "Conv2DOptions"
    return _finish(model, CODES.CONV_2D, inputs, (1, *extents, outputs), near, **options)


def depthwise(model: Model, x: Grid) -> Grid:
    x = model.image(x)
    size, multiplier = window(model, x), model.pick(1, 1, 2)
    outputs = x.shape[3] * multiplier
    weights = model.rng.integers(-127, 128, (1, *size, outputs))
    options, extents = geometry(model, x, size, dilated=True)
    if options["StrideH"] != options["StrideW"]:
        return conv2d(model, x)
    w, bias, near = _weighted(model, x, weights, 3, size[0] * size[1])
    inputs = [x.index, w, bias]
    options |= {"DepthMultiplier": multiplier, "table": "DepthwiseConv2DOptions"}
    return _finish(model, CODES.DEPTHWISE_CONV_2D, inputs, (1, *extents, outputs), near, **options)


def fully_connected(model: Model, x: Grid) -> Grid:
    size, outputs = int(np.prod(x.shape)), model.between(1, 9)
    rows = next(rows for rows in (model.pick(1, 1, 2, 3), 1) if size % rows == 0)
    x = reshape(model, x, (rows, size // rows))
    weights = model.rng.integers(-127, 128, (outputs, size // rows))
    w, bias, near = _weighted(model, x, weights, 0, size // rows)
    inputs = [x.index, w, -1 if model.pick(0, 0, 1) else bias]
    table = "FullyConnectedOptions"
    return _finish(model, CODES.FULLY_CONNECTED, inputs, (rows, outputs), near, table=table)


def _second(model: Model, x: Grid) -> tuple[int, float]:
    """Another operand of the shape of `x`, or a constant, and its scale."""
    if model.pick(0, 0, 1):
        smaller = _smaller(model, x)
        return smaller.index, smaller.scale
    others = [item for item in model.made if item.shape == x.shape]
    if model.pick(0, 1) and others:
        other = others[int(model.rng.integers(len(others)))]
        return other.index, other.scale
    shape = [(1,), (x.shape[-1],), (*[1] * (len(x.shape) - 1), x.shape[-1])][model.between(0, 2)]
    scale, zero = model.scale(x.scale), model.zero()
    data = model.rng.integers(-128, 128, shape)
    return model.writer.constant("c", data, INT8, [scale], [zero]), float(np.float32(scale))


def _smaller(model: Model, x: Grid) -> Grid:
    """A part of `x` that is one long in some axes."""
    first = [0 if model.pick(0, 1) else extent for extent in x.shape]
    shape = tuple(extent or 1 for extent in first)
    y = model.made_of(shape, x.scale, x.zero)
    inputs = [x.index, model.ints([0] * len(shape)), model.ints(shape)]
    model.writer.operator(CODES.SLICE, inputs, [y.index], "SliceOptions")
    return y


def _arithmetic(code: int, table: str, product: bool) -> Callable[[Model, Grid], Grid]:
    def build(model: Model, x: Grid) -> Grid:
        other, scale = _second(model, x)
        near = x.scale * scale * 60 if product else 1.5 * max(x.scale, scale)
        inputs = [x.index, other] if model.pick(0, 1) else [other, x.index]
        return _finish(model, code, inputs, x.shape, near, table=table)

    return build


def _pool(code: int) -> Callable[[Model, Grid], Grid]:
    def build(model: Model, x: Grid) -> Grid:
        x = model.image(x)
        size = window(model, x)
        options, extents = geometry(model, x, size)
        options |= {"FilterHeight": size[0], "FilterWidth": size[1]}
        y = model.made_of((1, *extents, x.shape[3]), x.scale, x.zero)
        activation = model.pick(*_ACTIVATIONS)
        model.writer.operator(
            code,
            [x.index],
            [y.index],
            "Pool2DOptions",
            FusedActivationFunction=activation,
            **options,
        )
        return y

    return build


def mean(model: Model, x: Grid) -> Grid:
    x = model.image(x)
    axes = [[1, 2], [2, 1], [3], [-1], [2], [1], [-3, -2], [1, 2, 3]][model.between(0, 7)]
    keep = model.pick(0, 1)
    shape = tuple(
        1 if axis in {a % 4 for a in axes} else extent
        for axis, extent in enumerate(x.shape)
        if keep or axis not in {a % 4 for a in axes}
    )
    y = model.made_of(shape, model.scale(x.scale / 2), model.zero())
    model.writer.operator(
        CODES.MEAN, [x.index, model.ints(axes)], [y.index], "ReducerOptions", KeepDims=bool(keep)
    )
    return y


def pad(model: Model, x: Grid) -> Grid:
    x = model.image(x)
    widths = [[0, 0], *([model.between(0, 2), model.between(0, 2)] for _ in range(2)), [0, 0]]
    shape = tuple(extent + sum(width) for extent, width in zip(x.shape, widths, strict=True))
    y = model.made_of(shape, x.scale, x.zero)
    if model.pick(0, 1):
        model.writer.operator(CODES.PAD, [x.index, model.ints(widths)], [y.index], "PadOptions")
        return y
    value = model.writer.constant("v", np.array([model.zero()]), INT8, [x.scale], [x.zero])
    inputs = [x.index, model.ints(widths), value]
    model.writer.operator(CODES.PADV2, inputs, [y.index], "PadV2Options")
    return y


def _unary(code: int) -> Callable[[Model, Grid], Grid]:
    def build(model: Model, x: Grid) -> Grid:
        y = model.made_of(x.shape, model.scale(x.scale), model.zero())
        model.writer.operator(code, [x.index], [y.index])
        return y

    return build


def transpose(model: Model, x: Grid) -> Grid:
    rank = len(x.shape)
    first = [0] if x.shape[0] == 1 and rank > 1 else []
    perm = [*first, *(int(axis) for axis in model.rng.permutation(np.arange(len(first), rank)))]
    y = model.made_of(tuple(x.shape[axis] for axis in perm), x.scale, x.zero)
    inputs = [x.index, model.ints(perm)]
    model.writer.operator(CODES.TRANSPOSE, inputs, [y.index], "TransposeOptions")
    return y


def concatenate(model: Model, x: Grid) -> Grid:
    axis = model.between(1, len(x.shape) - 1) if len(x.shape) > 1 else 0
    count = model.between(1, 3)
    shape = tuple(extent * (count if a == axis else 1) for a, extent in enumerate(x.shape))
    y = model.made_of(shape, x.scale, x.zero)
    given = axis - len(x.shape) if model.pick(0, 1) else axis
    model.writer.operator(
        CODES.CONCATENATION, [x.index] * count, [y.index], "ConcatenationOptions", Axis=given
    )
    return y


def split(model: Model, x: Grid) -> Grid:
    axis = int(np.argmax(x.shape))
    extent = x.shape[axis]
    count = next(count for count in (3, 2, 1) if extent % count == 0)
    part = tuple(size // count if a == axis else size for a, size in enumerate(x.shape))
    parts = [model.made_of(part, x.scale, x.zero) for _ in range(count)]
    inputs, outputs = [model.ints(axis), x.index], [item.index for item in parts]
    model.writer.operator(CODES.SPLIT, inputs, outputs, "SplitOptions", NumSplits=count)
    return parts[int(model.rng.integers(count))]


def split_v(model: Model, x: Grid) -> Grid:
    axis = int(np.argmax(x.shape))
    first = model.between(1, x.shape[axis])
    sizes = [first] if first == x.shape[axis] else [first, x.shape[axis] - first]
    parts = [
        model.made_of((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.scale, x.zero)
        for size in sizes
    ]
    inputs, outputs = [x.index, model.ints(sizes), model.ints(axis)], [p.index for p in parts]
    model.writer.operator(CODES.SPLIT_V, inputs, outputs, "SplitVOptions", NumSplits=len(sizes))
    return parts[-1]


def _spans(model: Model, x: Grid) -> list[tuple[int, int]]:
    begins = [model.between(0, extent - 1) for extent in x.shape]
    return [
        (begin, model.between(begin + 1, extent))
        for begin, extent in zip(begins, x.shape, strict=True)
    ]


def slice_(model: Model, x: Grid) -> Grid:
    spans = _spans(model, x)
    y = model.made_of(tuple(end - begin for begin, end in spans), x.scale, x.zero)
    sizes = [
        -1 if end == extent and model.pick(0, 1) else end - begin
        for (begin, end), extent in zip(spans, x.shape, strict=True)
    ]
    inputs = [x.index, model.ints([begin for begin, _ in spans]), model.ints(sizes)]
    model.writer.operator(CODES.SLICE, inputs, [y.index], "SliceOptions")
    return y


def strided_slice(model: Model, x: Grid) -> Grid:
    spans = _spans(model, x)
    open_ = [begin == 0 and bool(model.pick(0, 1)) for begin, _ in spans]
    mask = sum(1 << axis for axis, yes in enumerate(open_) if yes)
    shape = tuple(end - begin for begin, end in spans)
    y = model.made_of(shape, x.scale, x.zero)
    ends = [
        end - extent if end < extent and model.pick(0, 1) else end
        for (_, end), extent in zip(spans, x.shape, strict=True)
    ]
    begins = [7 if yes else begin for yes, (begin, _) in zip(open_, spans, strict=True)]
    inputs = [x.index, model.ints(begins), model.ints(ends), model.ints([1] * len(shape))]
    model.writer.operator(
        CODES.STRIDED_SLICE, inputs, [y.index], "StridedSliceOptions", BeginMask=mask
    )
    return y


KINDS: dict[str, Callable[[Model, Grid], Grid]] = {
    "CONV_2D": conv2d,
    "DEPTHWISE_CONV_2D": depthwise,
    "FULLY_CONNECTED": fully_connected,
    "ADD": _arithmetic(CODES.ADD, "AddOptions", False),
    "SUB": _arithmetic(CODES.SUB, "SubOptions", False),
    "MUL": _arithmetic(CODES.MUL, "MulOptions", True),
    "AVERAGE_POOL_2D": _pool(CODES.AVERAGE_POOL_2D),
    "MAX_POOL_2D": _pool(CODES.MAX_POOL_2D),
    "MEAN": mean,
    "PAD": pad,
    "RESHAPE": reshape,
    "RELU": _unary(CODES.RELU),
    "RELU6": _unary(CODES.RELU6),
    "RELU_N1_TO_1": _unary(CODES.RELU_N1_TO_1),
    "RELU_0_TO_1": _unary(CODES.RELU_0_TO_1),
    "QUANTIZE": _unary(CODES.QUANTIZE),
    "TRANSPOSE": transpose,
    "CONCATENATION": concatenate,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "SLICE": slice_,
    "STRIDED_SLICE": strided_slice,
    **FUNCTIONS,
}
