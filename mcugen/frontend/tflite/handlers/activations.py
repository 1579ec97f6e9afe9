"""LOGISTIC, TANH, HARD_SWISH, LEAKY_RELU, PRELU, SOFTMAX.

Of 8 bits a function is a table, computed as tflite/kernels/activations.cc computes each element
with its reference kernels; what that does in float32 is done in float32 here.
"""

import math
from collections.abc import Callable

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE, Context
from mcugen.frontend.tflite.epilogues import multiplied, quantized_multiplier
from mcugen.frontend.tflite.graph import Operator
from mcugen.frontend.tflite.handlers.activations16 import LOGISTIC, TANH, between_points
from mcugen.frontend.tflite.options import LeakyReluOptions, SoftmaxOptions
from mcugen.frontend.tflite.tables import look_up
from mcugen.ir import fixed_point, ops

_BYTES = ("int8", "uint8")
#: Integer bits of what softmax takes the exponential of.
_SOFTMAX_BITS = 5


def logistic(ctx: Context, operator: Operator) -> None:
    if ctx.present(operator, 0).dtype == "int16":
        between_points(ctx, operator, LOGISTIC)
    else:
        _smooth(ctx, operator, lambda x: 1 / (1 + np.exp(-x)))


def tanh(ctx: Context, operator: Operator) -> None:
    if ctx.present(operator, 0).dtype == "int16":
        between_points(ctx, operator, TANH)
    else:
        _smooth(ctx, operator, np.tanh)


def _smooth(ctx: Context, operator: Operator, function: Callable[[np.ndarray], np.ndarray]) -> None:
    """LUTPopulate of tflite/kernels/internal/common.h: float32 throughout."""
    x, result = ctx.activation(operator, 0, _BYTES), ctx.result(operator, 0, _BYTES)
    real = np.float32(x.scale) * (x.levels - x.zero).astype(np.float32)
    with np.errstate(over="ignore"):
        scaled = (function(real) * (np.float32(1) / np.float32(result.scale))).astype(np.float64)
    near = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
    ctx.finish(operator, look_up(ctx, operator, x, result, near.astype(np.int64) + result.zero))


def hard_swish(ctx: Context, operator: Operator) -> None:
    """x·relu6(x + 3) / 6 in 16 bits: internal/reference/hard_swish.h."""
    x, result = ctx.activation(operator, 0, _BYTES), ctx.result(operator, 0, _BYTES)
    outer, outer_exponent = _half_multiplier(_quotient(1 / 128, x.scale, result.scale))
    inner, inner_exponent = _half_multiplier(_quotient(1 / 128, x.scale, 3 / 32768))
    if outer_exponent > 0:
        what = "the input's scale is more than 128 times the result's"
        raise fail(STAGE, what, got=f"{x.scale:g} to {result.scale:g}")
    value = (x.levels - x.zero) << 7
    share = value
    if inner_exponent > 0:
        share = _to_16_bits(share << (inner_exponent - 1))
    share = _half_product(share, inner)
    if inner_exponent > 0:
        share = _to_16_bits(share << 1)
    share = fixed_point.divide_by_power(share, max(0, -inner_exponent))
    share = (share + (1 << 15)) >> 1
    product = share * _half_product(value, outer)
    towards_zero = np.sign(product) * (np.abs(product) >> 15)
    levels = fixed_point.divide_by_power(towards_zero, -outer_exponent) + result.zero
    ctx.finish(operator, look_up(ctx, operator, x, result, levels))


def _half_multiplier(scale: float) -> tuple[int, int]:
    """A multiplier of 16 bits: multiplier · 2^(exponent − 15)."""
    multiplier, exponent = quantized_multiplier(scale)
    return min((multiplier + (1 << 15)) >> 16, 2**15 - 1), exponent


def _half_product(a: np.ndarray, b: int) -> np.ndarray:
    """a·b / 2^15 rounded, halves up."""
    return (a * b + (1 << 14)) >> 15


def _to_16_bits(values: np.ndarray) -> np.ndarray:
    return np.clip(values, -(2**15), 2**15 - 1)


def leaky_relu(ctx: Context, operator: Operator) -> None:
    """One multiplier above zero, one below: internal/reference/leaky_relu.h."""
    x, result = ctx.activation(operator, 0, _BYTES), ctx.result(operator, 0, _BYTES)
    alpha = ctx.options(operator, LeakyReluOptions).alpha
    below, above = _quotient(x.scale, alpha, result.scale), _quotient(x.scale, result.scale)
    value = x.levels - x.zero
    levels = np.where(
        value >= 0,
        multiplied(value, quantized_multiplier(above)),
        multiplied(value, quantized_multiplier(below)),
    )
    ctx.finish(operator, look_up(ctx, operator, x, result, levels + result.zero))


def prelu(ctx: Context, operator: Operator) -> None:
    """As `leaky_relu`, with a slope for each channel: internal/reference/prelu.h."""
    x, result = ctx.activation(operator, 0, _BYTES), ctx.result(operator, 0, _BYTES)
    tensor, slopes = ctx.present(operator, 1), ctx.constant(operator, 1).astype(np.int64)
    found = tensor.quantization
    if found is None or not found.per_tensor:
        raise fail(STAGE, "slopes without a grid", got=str(tensor), want="one scale")
    if slopes.size not in (1, ctx.builder.channels(x.ref)) or slopes.shape[-1:] != (slopes.size,):
        raise fail(STAGE, f"slopes {list(slopes.shape)}", want="one, or one for each channel")
    above = _quotient(x.scale, result.scale)
    below = _quotient(x.scale, found.scales[0], result.scale)
    value, alpha = x.levels - x.zero, slopes.reshape(-1, 1) - found.zeros[0]
    levels = np.where(
        value >= 0,
        multiplied(value, quantized_multiplier(above)),
        multiplied(value * alpha, quantized_multiplier(below)),
    )
    ctx.finish(operator, look_up(ctx, operator, x, result, levels + result.zero))


def _quotient(*factors: float) -> float:
    """All but the last, multiplied in float32, and divided by the last."""
    *above, below = (np.float32(factor) for factor in factors)
    with np.errstate(over="ignore", under="ignore"):
        quotient = float(np.prod(above, dtype=np.float32) / below)
    if not math.isfinite(quotient):
        raise fail(STAGE, "scales of input and result are too far apart", got=str(factors))
    return quotient


def softmax(ctx: Context, operator: Operator) -> None:
    """Along the last axis: internal/reference/softmax.h, its exponentials in a table."""
    x, result = ctx.activation(operator, 0, _BYTES), ctx.result(operator, 0, (*_BYTES, "int16"))
    beta = float(np.float32(ctx.options(operator, SoftmaxOptions).beta))
    fraction = 31 - _SOFTMAX_BITS
    multiplier, left = quantized_multiplier(min(beta * x.scale * 2**fraction, 2.0**31 - 1))
    if left < 0:
        raise fail(STAGE, f"softmax of a scale of {x.scale:g} times {beta:g}, too close to 0")
    reach = math.floor((2**_SOFTMAX_BITS - 1) * 2**fraction / 2**left)
    below = np.arange(ctx.builder.types[x.ref].integer.levels)
    near = np.minimum(below, reach)
    scaled = fixed_point.doubling_high_multiply(-near << left, multiplier)
    exps = np.where(below <= reach, fixed_point.exp(scaled, _SOFTMAX_BITS), 0)
    table = ctx.numbers(operator, "exps", exps)
    bits, lo = result.element.bits, result.element.lo
    ctx.finish(operator, ops.Softmax(x.ref, table, bits=bits, lo=lo))
