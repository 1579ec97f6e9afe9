"""From accumulators to the levels of a result, rounded as LiteRT's reference kernels round.

Convolutions, sums and means multiply by a 31-bit multiplier and round twice (`rescaled`). Fully
connected layers multiply in float64 and round once, halves away from zero (`rounded`): a function
that rises in steps, which becomes an integer one with the same steps.
"""

import math

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE, Activation, Context
from mcugen.frontend.tflite.graph import Operator
from mcugen.ir import fixed_point, ops
from mcugen.ir.ops import Op
from mcugen.passes.staircase import affine, steps_of

#: Levels times channels whose steps are looked for.
_MOST_STEPS = 2**24


def quantized_multiplier(scale: float) -> tuple[int, int]:
    """`scale` as (multiplier, exponent): multiplier · 2^(exponent − 31).

    QuantizeMultiplier of tflite/kernels/internal/quantization_util.cc.
    """
    fraction, exponent = math.frexp(scale)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, exponent = multiplier // 2, exponent + 1
    if exponent > 30:
        raise fail(STAGE, f"a scale {scale:g} times another", want="below 2^30")
    return (0, 0) if exponent < -31 else (multiplier, exponent)


def multiplied(values: np.ndarray, pair: tuple[int, int], left: int = 0) -> np.ndarray:
    """Integers times a multiplier and exponent, rounded twice; see `fixed_point.multiply`."""
    multiplier, exponent = (np.array(part) for part in pair)
    reach = int(np.abs(values).max()) << (left + max(pair[1], 0))
    if reach >= 2**31:
        raise fail(STAGE, "an operand times its scale overflows 32 bits", got=str(reach))
    return fixed_point.multiply(values, multiplier, exponent, left)


def activation_range(activation: str, result: Activation) -> tuple[int, int]:
    """The levels that a fused activation function leaves.

    CalculateActivationRangeQuantized of tflite/kernels/kernel_util.cc.
    """
    low, high = result.element.lo, result.element.hi
    ends: dict[str, tuple[float | None, float | None]] = {
        "NONE": (None, None),
        "RELU": (0.0, None),
        "RELU6": (0.0, 6.0),
        "RELU_N1_TO_1": (-1.0, 1.0),
        "RELU_0_TO_1": (0.0, 1.0),
    }
    if activation not in ends:
        raise fail(STAGE, f"a fused {activation}", want=" or ".join(ends))
    least, most = ends[activation]
    low = low if least is None else max(low, _level(least, result))
    high = high if most is None else min(high, _level(most, result))
    return low, max(low, high)


def _level(real: float, result: Activation) -> int:
    quotient = float(np.float32(real) / np.float32(result.scale))
    return result.zero + int(math.copysign(math.floor(abs(quotient) + 0.5), quotient))


def rescaled(
    ctx: Context,
    operator: Operator,
    ref: str,
    scales: list[float],
    result: Activation,
    bias: np.ndarray | None = None,
) -> Op:
    """The op that turns accumulators into levels of `result` with two roundings.

    Args:
        ctx, operator: where constants go.
        ref: the accumulators.
        scales: what one of the accumulator's units is in levels, one or per channel.
        result: with its activation function's range as `element` bounds.
        bias: added to accumulators first.
    """
    pairs = [quantized_multiplier(scale) for scale in scales]
    return rescaled_by(ctx, operator, ref, pairs, result, bias)


def rescaled_by(
    ctx: Context,
    operator: Operator,
    ref: str,
    pairs: list[tuple[int, int]],
    result: Activation,
    bias: np.ndarray | None = None,
) -> Op:
    """As `rescaled`, by pairs of multiplier and exponent."""
    return ops.Rescale(
        ref,
        ctx.numbers(operator, "bias", np.zeros(1) if bias is None else bias),
        ctx.numbers(operator, "multiplier", np.array([pair[0] for pair in pairs])),
        ctx.numbers(operator, "exponent", np.array([pair[1] for pair in pairs])),
        zero=result.zero,
        **_range(ctx, operator, result),
    )


def rescaled_wide(
    ctx: Context,
    operator: Operator,
    ref: str,
    scales: list[float],
    result: Activation,
    bias: np.ndarray,
) -> Op:
    """As `rescaled`, by multipliers of 15 bits and rounded once, halves up.

    MultiplyByQuantizedMultiplier of tflite/kernels/internal/common.cc for accumulators of 64 bits,
    which layers of int16 have. The program's have 32, of which it proves that they are enough.
    """
    pairs = [quantized_multiplier(scale) for scale in scales]
    shifts = [15 - exponent for _, exponent in pairs]
    most = max(shifts)
    if min(shifts) < 8 or most - min(shifts) > 16:
        got = f"{min(scales):g} … {max(scales):g}"
        raise fail(STAGE, "scales that 15 bits cannot hold together", got=got)
    factors = [min((multiplier + (1 << 15)) >> 16, 2**15 - 1) for multiplier, _ in pairs]
    rows = max(len(factors), len(bias))
    each = zip(*(_rows(item, rows) for item in (factors, shifts, bias.tolist())), strict=True)
    biases = [(b * f + (1 << shift >> 1)) << (most - shift) for f, shift, b in each]
    if max(map(abs, biases)) >= 2**63:
        raise fail(STAGE, "a bias times its scale overflows 64 bits")
    moved = [factor << (most - shift) for factor, shift in zip(factors, shifts, strict=True)]
    multiplier = ctx.numbers(operator, "multiplier", np.array(moved))
    added = ctx.numbers(operator, "bias", np.array(biases, np.int64))
    limits = _range(ctx, operator, result)
    return ops.Requantize(ref, multiplier, added, shift=most, **limits)


def _rows(items: list[int], count: int) -> list[int]:
    return items * count if len(items) == 1 else items


def _range(ctx: Context, operator: Operator, result: Activation) -> dict[str, int]:
    activation = getattr(operator.options, "fused_activation_function", "NONE")
    low, high = activation_range(activation, result)
    return {"lo": low, "hi": high}


def rounded(
    ctx: Context,
    operator: Operator,
    ref: str,
    scales: list[float],
    result: Activation,
    bias: np.ndarray,
) -> Op:
    """As `rescaled`, with a product in float64 rounded once, halves away from zero."""
    element = ctx.builder.types[ref].integer
    channels = max(len(scales), len(bias))
    slope = np.broadcast_to(np.array(scales, np.float64), channels)
    limits = _range(ctx, operator, result)
    if channels * result.element.levels > _MOST_STEPS:
        raise fail(STAGE, f"{operator.name} with {channels} outputs", want="fewer")

    def levels(x: np.ndarray) -> np.ndarray:
        product = (x + bias).astype(np.float64) * slope
        near = np.copysign(np.floor(np.abs(product) + 0.5), product)
        return np.clip(near + result.zero, limits["lo"], limits["hi"]).astype(np.int64)

    low, high = (np.full(channels, end, np.int64) for end in (element.lo, element.hi))
    steps = steps_of(levels, (low, high), (limits["lo"], limits["hi"]))
    found = affine(steps, slope)
    if found.proven.all():
        multiplier = ctx.numbers(operator, "multiplier", found.multiplier)
        added = ctx.numbers(operator, "bias", found.bias)
        return ops.Requantize(ref, multiplier, added, shift=found.shift, **limits)
    if result.element.bits > 8:
        raise fail(STAGE, f"{operator.name} that no multiplier of 31 bits rounds as LiteRT does")
    name = ctx.numbers(operator, "thresholds", np.where(steps.has_at, steps.at, element.hi + 1).T)
    rising = ctx.numbers(operator, "direction", np.ones(1))
    return ops.Threshold(ref, name, rising, lo=int(steps.level[0, 0]) - 1)
