"""SVDF: a layer that remembers what its features were."""

import numpy as np

from mcugen.errors import McugenError, fail
from mcugen.frontend.tflite.context import STAGE, Context, node_name
from mcugen.frontend.tflite.epilogues import multiplied, quantized_multiplier
from mcugen.frontend.tflite.graph import Operator
from mcugen.frontend.tflite.options import SVDFOptions
from mcugen.frontend.tflite.recurrent import (
    INT8,
    INT16,
    Onto,
    clamped,
    rescale,
    scale_of,
    state_of,
    weights_of,
)
from mcugen.ir import Int, ops
from mcugen.ir.types import INT32_MAX, spanning

_FEATURE, _TIME, _BIAS, _STATE = 1, 2, 3, 4


def svdf(ctx: Context, operator: Operator) -> None:
    """Filters of the input, each over its last results in time, summed by unit.

    EvalIntegerSVDF of tflite/kernels/internal/reference/svdf.h. The newest results are the last
    row of an image [1, memory, 1, filters], of which a convolution takes what is one unit's. LiteRT
    takes the fused ReLU for granted: the result's type is all that clamps.
    """
    x, result = ctx.activation(operator, 0), ctx.result(operator)
    feature = weights_of(ctx, operator, _FEATURE, "int8")
    time = weights_of(ctx, operator, _TIME, "int16")
    kept = scale_of(ctx, operator, _STATE)
    units = _units(ctx, operator)
    w = ctx.numbers(operator, "feature", feature)
    acc = ctx.add(operator, ops.Linear(x.ref, w, x_zero=x.zero), "feature.sum")
    pair = quantized_multiplier(x.scale * scale_of(ctx, operator, _FEATURE) / kept)
    newest = rescale(ctx, operator, acc, "newest", Onto([pair], INT16))
    rows = _window(ctx, operator, newest, time.shape[1])
    by_unit = time.reshape(units, -1, time.shape[1]).transpose(0, 2, 1)[:, :, None]
    scale = kept * scale_of(ctx, operator, _TIME) / result.scale
    bias = np.zeros(1, np.int64)
    if ctx.operand(operator, _BIAS) is not None:
        bias = ctx.constant(operator, _BIAS).astype(np.int64).ravel()
    onto = Onto([quantized_multiplier(scale)], INT8, result.zero, bias)
    made = rescale(ctx, operator, _sums(ctx, operator, rows, by_unit, onto), "units", onto)
    ctx.finish(operator, ops.Reshape(made, shape=(1, units)))


def _sums(ctx: Context, operator: Operator, rows: str, weights: np.ndarray, onto: Onto) -> str:
    """The filters over time, of 16 by 16 bits.

    LiteRT sums them in 32 bits, which it takes for enough. Where that is not certain, upper and
    lower bytes of the weights are summed apart, and the upper sum is clamped to what fits: sums
    that large leave the result at an end of its type, whatever they are.
    """
    try:
        return _sum(ctx, operator, rows, weights, "sum")
    except McugenError:
        upper = (weights + 128) >> 8
    high = _sum(ctx, operator, rows, upper, "upper")
    low = _sum(ctx, operator, rows, weights - (upper << 8), "lower")
    element = ctx.builder.types[low].integer
    reach = max(abs(element.lo), abs(element.hi))
    most = (INT32_MAX - 1 - reach - int(np.abs(onto.bias).max())) >> 8
    large = (most << 8) - reach
    ends = [multiplied(end + onto.bias, onto.pairs[0]) + onto.zero for end in (-large, large)]
    if ends[0].max() > INT8.lo or ends[1].min() < INT8.hi:
        got = f"results of {ends[0].max()} … {ends[1].min()} at 32 bits"
        raise fail(STAGE, "filters in time could overflow 32 bits", got=got)
    limits = Int(32, True, -most, most)
    high = clamped(ctx, operator, high, "upper.clamped", limits)
    return ctx.add(operator, ops.Add(high, low, x_factor=256), "sum")


def _sum(ctx: Context, operator: Operator, rows: str, weights: np.ndarray, role: str) -> str:
    element = spanning(int(weights.min()), int(weights.max()))
    name = f"{node_name(ctx.graph.tensors[operator.outputs[0]])}.{role}.time"
    filters = ctx.builder.constant(name, weights, element)
    return ctx.add(operator, ops.Conv2d(rows, filters, groups=len(weights)), role)


def _window(ctx: Context, operator: Operator, newest: str, memory: int) -> str:
    """The last results, the newest behind, [1, memory, 1, filters]; all but the first are kept."""
    filters = ctx.builder.channels(newest)
    rows = ctx.shaped(operator, newest, (1, 1, 1, filters), "row")
    if memory == 1:
        return rows
    made = ctx.builder.types[newest].integer
    element = Int(16, True, min(0, made.lo), max(0, made.hi))
    old = state_of(ctx, operator, _STATE, element, (1, memory - 1, 1, filters))
    window = ctx.add(operator, ops.Concat((old, rows), axis=1), "window")
    later = ctx.add(operator, ops.Slice(window, axis=1, begin=1, end=memory), "later")
    ctx.add(operator, ops.StateWrite(later, old), "kept")
    return window


def _units(ctx: Context, operator: Operator) -> int:
    """How many there are, once all operands fit each other."""
    rank = ctx.options(operator, SVDFOptions).rank
    x, feature, time, bias, state = (ctx.operand(operator, position) for position in range(5))
    assert x is not None
    assert feature is not None
    assert time is not None
    filters, memory = time.shape
    units = filters // rank if rank > 0 else 0
    fits = units * rank == filters and feature.shape == (filters, *x.shape[-1:])
    fits = fits and np.prod(x.shape) == feature.shape[1]
    fits = fits and (state is None or np.prod(state.shape) == memory * filters)
    if not fits or (bias is not None and bias.shape != (units,)):
        got = ", ".join(str(list(item.shape)) for item in (x, feature, time, bias, state) if item)
        raise fail(STAGE, f"operands of SVDF do not fit its rank {rank}", got=got)
    return units
