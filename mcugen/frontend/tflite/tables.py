"""Functions of a tensor's levels as tables."""

from dataclasses import replace

import numpy as np

from mcugen.frontend.tflite.context import Activation, Context, node_name
from mcugen.frontend.tflite.graph import Operator
from mcugen.ir.ops import Lookup


def look_up(
    ctx: Context, operator: Operator, ref: str, result: Activation, levels: np.ndarray
) -> Lookup:
    """The op that looks up `ref`, of the element type of `result`.

    Args:
        ctx, operator: where the table goes.
        ref: what is looked up.
        result: clamps `levels` by its type.
        levels: the result for each value that the type has, [values] or [channels, values].
    """
    element, x = result.element, ctx.builder.types[ref].integer
    first = x.lo - x.least
    table = np.clip(np.atleast_2d(levels), element.lo, element.hi)[:, first : first + x.levels]
    kind = replace(element, lo=int(table.min()), hi=int(table.max()))
    name = f"{node_name(ctx.graph.tensors[operator.outputs[0]])}.table"
    return Lookup(ref, ctx.builder.constant(name, table.astype(np.int64), kind))
