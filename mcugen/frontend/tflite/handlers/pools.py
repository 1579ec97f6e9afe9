"""AVERAGE_POOL_2D, MAX_POOL_2D, MEAN."""

import math

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE, Activation, Context
from mcugen.frontend.tflite.epilogues import activation_range, quantized_multiplier, rescaled_by
from mcugen.frontend.tflite.graph import Operator
from mcugen.frontend.tflite.handlers.windows import geometry
from mcugen.frontend.tflite.options import Pool2DOptions
from mcugen.ir import ops

_DTYPES = ("int8", "uint8", "int16")
#: Sums of a mean are divided by its count in the multiplier, which gives up these bits at most.
_MOST_SHIFT = 32


def average(ctx: Context, operator: Operator) -> None:
    options = ctx.options(operator, Pool2DOptions)
    x, result = _one_grid(ctx, operator)
    low, high = activation_range(options.fused_activation_function, result)
    size = options.filter_height, options.filter_width
    place = geometry(x.shape, size, options)
    ctx.finish(operator, ops.AveragePool(x.ref, window=size, lo=low, hi=high, **place))


def maximum(ctx: Context, operator: Operator) -> None:
    options = ctx.options(operator, Pool2DOptions)
    x, result = _one_grid(ctx, operator)
    low, high = activation_range(options.fused_activation_function, result)
    size = options.filter_height, options.filter_width
    pool = ops.MaxPool(x.ref, window=size, **geometry(x.shape, size, options))
    if (low, high) == (result.element.lo, result.element.hi):
        ctx.finish(operator, pool)
        return
    largest = ctx.add(operator, pool, "largest")
    one, none = (ctx.numbers(operator, f"clamp.{n}", np.array([n])) for n in (1, 0))
    ctx.finish(operator, ops.Requantize(largest, one, none, shift=0, lo=low, hi=high))


def _one_grid(ctx: Context, operator: Operator) -> tuple[Activation, Activation]:
    """Input and result, which pools leave on the grid they were on."""
    x, result = ctx.activation(operator, 0, _DTYPES), ctx.result(operator, 0, _DTYPES)
    if (x.scale, x.zero) != (result.scale, result.zero):
        got = f"scale {x.scale:g}, zero {x.zero} to {result.scale:g}, {result.zero}"
        raise fail(
            STAGE, f"{operator.name} onto another grid", got=got, want="the grid of its input"
        )
    return x, result


def mean(ctx: Context, operator: Operator) -> None:
    """The mean over neighbouring axes: a sum whose multiplier divides.

    QuantizedMeanOrSum of tflite/kernels/internal/reference/reduce.h.
    """
    x, result = ctx.activation(operator, 0), ctx.result(operator)
    first, last = _span(x.shape, ctx.constant(operator, 1))
    count = math.prod(x.shape[first:last])
    before, after = math.prod(x.shape[:first]), math.prod(x.shape[last:])
    image = ctx.shaped(operator, x.ref, (1, before, count, after), "rows")
    acc = ctx.add(operator, ops.SumPool(image, window=(1, count), x_zero=x.zero), "sum")
    multiplier, exponent = quantized_multiplier(x.scale / result.scale)
    shift = min(count.bit_length() - 1, _MOST_SHIFT, 31 + exponent)
    pair = (multiplier << shift) // count, exponent - shift
    ctx.finish(operator, rescaled_by(ctx, operator, acc, [pair], result))


def _span(shape: tuple[int, ...], axes: np.ndarray) -> tuple[int, int]:
    """First axis and end of those that are summed; axes of one element count for nothing."""
    wrong = [int(axis) for axis in axes.ravel() if not -len(shape) <= axis < len(shape)]
    if wrong:
        raise fail(STAGE, f"axis {wrong[0]} of {list(shape)}")
    chosen = sorted({int(axis) % len(shape) for axis in axes.ravel()})
    summed = [axis for axis in chosen if shape[axis] > 1]
    if not summed:
        return 0, 1
    first, last = summed[0], summed[-1] + 1
    if any(shape[axis] > 1 for axis in range(first, last) if axis not in summed):
        raise fail(STAGE, f"a mean over axes {chosen} of {list(shape)}", want="neighbouring axes")
    return first, last
