"""ADD."""

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE, Activation, Context
from mcugen.frontend.tflite.epilogues import quantized_multiplier, rescaled_by
from mcugen.frontend.tflite.graph import Operator
from mcugen.frontend.tflite.options import AddOptions
from mcugen.ir import fixed_point, ops

#: Operands are shifted so far before they are scaled.
_LEFT = 20


def add(ctx: Context, operator: Operator) -> None:
    """Both operands on one scale of many bits, their sum on the scale of the result.

    tflite/kernels/add.cc and internal/reference/integer_ops/add.h.
    """
    ctx.options(operator, AddOptions)
    operands = ctx.activation(operator, 0), ctx.activation(operator, 1)
    result = ctx.result(operator)
    if operands[0].shape != operands[1].shape:
        got = f"{list(operands[0].shape)} and {list(operands[1].shape)}"
        raise fail(STAGE, "a sum of two computed tensors of different shapes", got=got)
    most = 2 * max(x.scale for x in operands)
    one, other = operands
    total = ops.Add(
        _scaled(ctx, operator, one, one.scale / most, "x"),
        _scaled(ctx, operator, other, other.scale / most, "y"),
    )
    acc = ctx.add(operator, total, "sum")
    pair = quantized_multiplier(most / (2**_LEFT * result.scale))
    ctx.finish(operator, rescaled_by(ctx, operator, acc, [pair], result))


def _scaled(ctx: Context, operator: Operator, x: Activation, scale: float, role: str) -> str:
    """An operand times `scale` and 2^20."""
    multiplier, exponent = (np.array([part]) for part in quantized_multiplier(scale))
    ends = np.array([x.element.lo, x.element.hi]) - x.zero
    low, high = fixed_point.multiply(ends, multiplier, exponent, _LEFT)
    op = ops.Rescale(
        x.ref,
        ctx.numbers(operator, f"{role}.bias", np.array([-x.zero])),
        ctx.numbers(operator, f"{role}.multiplier", multiplier),
        ctx.numbers(operator, f"{role}.exponent", exponent),
        zero=0,
        lo=int(low),
        hi=int(high),
        left=_LEFT,
    )
    return ctx.add(operator, op, role)
