"""Functions of a tensor's levels as tables."""

from dataclasses import replace

import numpy as np

from mcugen.frontend.tflite.context import Activation, Context, node_name
from mcugen.frontend.tflite.graph import Operator
from mcugen.ir.ops import Lookup


def look_up(
    ctx: Context, operator: Operator, x: Activation, result: Activation, levels: np.ndarray
) -> Lookup:
    """The op that looks up `x`, of the element type of `result`.

    Args:
        ctx, operator: where the table goes.
        x: what is looked up.
        result: clamps `levels` by its type.
        levels: the result for each level that the type of `x` has, [levels] or [channels, levels].
    """
    element, occurs = result.element, ctx.builder.types[x.ref].integer
    first = occurs.lo - x.element.lo
    table = np.clip(np.atleast_2d(levels), element.lo, element.hi)
    table = table[:, first : first + occurs.levels]
    kind = replace(element, lo=int(table.min()), hi=int(table.max()))
    name = f"{node_name(ctx.graph.tensors[operator.outputs[0]])}.table"
    return Lookup(x.ref, ctx.builder.constant(name, table.astype(np.int64), kind))
