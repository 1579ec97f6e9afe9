"""Spreading a tensor over a larger shape, as elementwise operators do with smaller operands."""

import math

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE, Context, memory_shape
from mcugen.frontend.tflite.graph import Operator
from mcugen.ir import ops


def broadcast_shape(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an elementwise result.

    Raises:
        McugenError: extents that differ, of which none is 1.
    """
    try:
        return tuple(map(int, np.broadcast_shapes(one, other)))
    except ValueError as error:
        got = f"{list(one)} and {list(other)}"
        raise fail(STAGE, "shapes do not fit each other", got=got) from error


def spread(
    ctx: Context, operator: Operator, ref: str, shape: tuple[int, ...], onto: tuple[int, ...]
) -> str:
    """`ref` of the file's `shape`, repeated along the axes where `onto` has more, in its shape."""
    extents = [1] * (len(onto) - len(shape)) + list(shape)
    for axis, extent in enumerate(onto):
        if extents[axis] == extent:
            continue
        before, after = math.prod(extents[:axis]), math.prod(extents[axis + 1 :])
        column = ctx.shaped(operator, ref, (1, before, 1, after), "column")
        rows = ctx.numbers(operator, "rows", np.arange(before))
        columns = ctx.numbers(operator, "columns", np.zeros(extent))
        ref = ctx.add(operator, ops.Resize(column, rows, columns), "spread")
        extents[axis] = extent
    return ctx.shaped(operator, ref, memory_shape(onto), "spread")
