"""Operators that move values: PAD, RESHAPE and its kin."""

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE, Context, memory_shape
from mcugen.frontend.tflite.graph import Operator
from mcugen.ir import ops

#: What may be moved without a look at it.
DTYPES = ("int8", "uint8", "int16")


def reshape(ctx: Context, operator: Operator) -> None:
    """The shape is the result's: the file says it, whatever operand or option it came from."""
    x, result = ctx.activation(operator, 0, DTYPES), ctx.result(operator, 0, DTYPES)
    ctx.finish(operator, ops.Reshape(x.ref, shape=memory_shape(result.shape)))


def pad(ctx: Context, operator: Operator) -> None:
    """Real zero around rows and columns, or what PADV2 says."""
    x, result = ctx.activation(operator, 0, DTYPES), ctx.result(operator, 0, DTYPES)
    widths = ctx.constant(operator, 1).astype(np.int64)
    if widths.shape != (len(x.shape), 2) or widths.min() < 0:
        raise fail(STAGE, f"padding {widths.tolist()} of {list(x.shape)}")
    value = result.zero
    if operator.name == "PADV2" and ctx.operand(operator, 2) is not None:
        value = int(ctx.constant(operator, 2).ravel()[0])
    outer = np.delete(widths, [1, 2], axis=0) if len(x.shape) == 4 else widths
    if outer.any():
        raise fail(STAGE, f"padding {widths.tolist()}", want="rows and columns of an image")
    if not widths.any():
        ctx.finish(operator, ops.Reshape(x.ref, shape=memory_shape(x.shape)))
        return
    sides = tuple(int(width) for width in widths[1:3].ravel())
    padding = (sides[0], sides[1], sides[2], sides[3])
    ctx.finish(operator, ops.Pad(x.ref, padding=padding, value=value))
