"""CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED."""

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE, Activation, Context
from mcugen.frontend.tflite.epilogues import rescaled, rescaled_wide, rounded
from mcugen.frontend.tflite.graph import Operator, Tensor
from mcugen.frontend.tflite.handlers.windows import geometry
from mcugen.frontend.tflite.options import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    TransposeConvOptions,
)
from mcugen.ir import ops

_DTYPES = ("int8", "int16")


def conv2d(ctx: Context, operator: Operator) -> None:
    """Weights lie as in the program, [output, row, column, input of a group]."""
    options = ctx.options(operator, Conv2DOptions)
    weights = _weights(ctx, operator, axis=0)
    x, _ = _ends(ctx, operator, 0)
    depth = weights.shape[3]
    if x.shape[-1] % depth:
        got = f"{list(weights.shape)} on {x.shape[-1]} channels"
        raise fail(STAGE, "weights do not fit their input", got=got)
    _convolve(ctx, operator, options, weights, x.shape[-1] // depth)


def depthwise(ctx: Context, operator: Operator) -> None:
    """Weights lie [1, row, column, output]; output o reads input o div multiplier."""
    options = ctx.options(operator, DepthwiseConv2DOptions)
    weights = _weights(ctx, operator, axis=3)
    x, _ = _ends(ctx, operator, 0)
    if weights.shape[0] != 1 or weights.shape[3] % x.shape[-1]:
        got = f"{list(weights.shape)} on {x.shape[-1]} channels"
        raise fail(STAGE, "weights do not fit their input", got=got)
    _convolve(ctx, operator, options, weights.transpose(3, 1, 2, 0), x.shape[-1])


def _convolve(
    ctx: Context, operator: Operator, options: Conv2DOptions, weights: np.ndarray, groups: int
) -> None:
    x, result = _ends(ctx, operator, 0)
    dilation = options.dilation_h_factor, options.dilation_w_factor
    place = geometry(x.shape, weights.shape[1:3], options, dilation)
    w = ctx.numbers(operator, "weights", weights)
    op = ops.Conv2d(x.ref, w=w, groups=groups, x_zero=x.zero, **place)
    acc = ctx.add(operator, op, "sum")
    _finish(ctx, operator, acc, (x, result), bias=2)


def _finish(
    ctx: Context, operator: Operator, acc: str, ends: tuple[Activation, Activation], bias: int
) -> None:
    """Sums on the levels of the result; `bias` is the operand's position."""
    x, result = ends
    scales = _scales(x, ctx.present(operator, 1), result)
    added = _bias(ctx, operator, ctx.builder.channels(acc), bias, x.tensor.dtype)
    rescale = rescaled_wide if x.tensor.dtype == "int16" else rescaled
    ctx.finish(operator, rescale(ctx, operator, acc, scales, result, added))


def _ends(ctx: Context, operator: Operator, position: int) -> tuple[Activation, Activation]:
    """Input and result, of one type; int16 has zero point 0."""
    x, result = ctx.activation(operator, position, _DTYPES), ctx.result(operator, 0, _DTYPES)
    if x.tensor.dtype != result.tensor.dtype:
        raise fail(STAGE, f"{operator.name} from {x.tensor.dtype} to {result.tensor.dtype}")
    if x.tensor.dtype == "int16" and (x.zero or result.zero):
        got = f"{x.zero} and {result.zero}"
        raise fail(STAGE, f"zero points of {operator.name} on int16", got=got, want="0")
    return x, result


def transpose(ctx: Context, operator: Operator) -> None:
    """Operands are the result's shape, weights [output, row, column, input], input and bias.

    What SAME pads is what a convolution of the result would pad.
    """
    options = ctx.options(operator, TransposeConvOptions)
    x, result = _ends(ctx, operator, 2)
    weights = _weights(ctx, operator, axis=0)
    if len(x.shape) != 4 or weights.shape[3] != x.shape[3]:
        got = f"{list(weights.shape)} on {list(x.shape)}"
        raise fail(STAGE, "weights do not fit their input", got=got)
    place = geometry(result.shape, weights.shape[1:3], options)
    top, _, left, _ = place["padding"]
    op = ops.TransposeConv2d(
        x.ref,
        w=ctx.numbers(operator, "weights", weights),
        stride=place["stride"],
        padding=(top, left),
        extent=(result.shape[1], result.shape[2]),
        x_zero=x.zero,
    )
    acc = ctx.add(operator, op, "sum")
    _finish(ctx, operator, acc, (x, result), bias=3)


def fully_connected(ctx: Context, operator: Operator) -> None:
    """Rows of [n, inputs] by [outputs, inputs]; several rows are the columns of an image."""
    options = ctx.options(operator, FullyConnectedOptions)
    if options.weights_format:
        raise fail(STAGE, "shuffled weights", want="the default weights format")
    x, result = _ends(ctx, operator, 0)
    weights = _weights(ctx, operator, axis=0, rank=2)
    outputs, inputs = weights.shape
    size = int(np.prod(x.shape))
    if size % inputs:
        got = f"{list(weights.shape)} on {list(x.shape)}"
        raise fail(STAGE, "weights do not fit their input", got=got)
    if size == inputs:
        w = ctx.numbers(operator, "weights", weights)
        acc = ctx.add(operator, ops.Linear(x.ref, w, x_zero=x.zero), "sum")
    else:
        w = ctx.numbers(operator, "weights", weights.reshape(outputs, 1, 1, inputs))
        rows = ctx.shaped(operator, x.ref, (1, 1, size // inputs, inputs), "rows")
        acc = ctx.add(operator, ops.Conv2d(rows, w=w, x_zero=x.zero), "sum")
    bias = _bias(ctx, operator, outputs, 2, x.tensor.dtype)
    scales = _scales(x, ctx.present(operator, 1), result)
    ctx.finish(operator, rounded(ctx, operator, acc, scales, result, bias))


def _weights(ctx: Context, operator: Operator, axis: int, rank: int = 4) -> np.ndarray:
    """Centred weights, int64; scales, where there are several, lie along `axis`."""
    tensor, data = ctx.present(operator, 1), ctx.constant(operator, 1).astype(np.int64)
    found = tensor.quantization
    if tensor.dtype not in ("int8", "int4") or found is None:
        raise fail(STAGE, f"weights of {tensor.dtype}", got=str(tensor), want="int8 or int4")
    if data.ndim != rank:
        raise fail(STAGE, f"weights {list(data.shape)}", want=f"{rank} axes")
    if not found.per_tensor and found.axis != axis:
        raise fail(STAGE, f"scales of weights along axis {found.axis}", want=f"axis {axis}")
    if rank == 2 and found.per_tensor:
        return data - found.zeros[0]
    if any(found.zeros):
        raise fail(STAGE, "weights with a zero point", got=str(tensor), want="0")
    return data


def _bias(
    ctx: Context, operator: Operator, outputs: int, position: int = 2, dtype: str = "int8"
) -> np.ndarray:
    """int64 [outputs], or one zero; `dtype` is the input's."""
    tensor = ctx.operand(operator, position)
    if tensor is None:
        return np.zeros(1, np.int64)
    data = ctx.constant(operator, position).astype(np.int64).ravel()
    kind = "int64" if dtype == "int16" else "int32"
    if tensor.dtype != kind or len(data) != outputs:
        got, want = f"{tensor.dtype}{list(tensor.shape)}", f"{kind}[{outputs}]"
        raise fail(STAGE, "a bias does not fit its layer", got=got, want=want)
    return data


def _scales(x: Activation, weights: Tensor, result: Activation) -> list[float]:
    """Levels of the result per unit of the accumulator, in the float64 arithmetic of LiteRT."""
    assert weights.quantization is not None  # _weights refuses others
    return [x.scale * scale / result.scale for scale in weights.quantization.scales]
