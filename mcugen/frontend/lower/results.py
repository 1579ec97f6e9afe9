"""The end of the graph: scores, the functions that keep their order, argmax."""

import math
from dataclasses import replace

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.graph import GraphNode, Ref
from mcugen.frontend.lower.epilogues import real_functions
from mcugen.frontend.lower.functions import clamped_affine
from mcugen.frontend.lower.grids import UniformGrid
from mcugen.frontend.lower.layout import plain
from mcugen.frontend.lower.operands import integer, real
from mcugen.frontend.lower.place import materialize, quantize_real
from mcugen.frontend.lower.state import Context, Real, Tensor, unquantized
from mcugen.ir import ops
from mcugen.ir.program import Meaning, Node

#: Scores keep this many bits: far below any bit of the network's own.
_SCORE_BITS = 23


def softmax(ctx: Context, node: GraphNode) -> Tensor:
    """softmax and log_softmax at the end: dropped, since they keep the order of the scores."""
    x = real(ctx, node, "self" if "self" in node.arguments else "input")
    _only_at_the_end(ctx, node)
    if integer(node, "dim", -1) % len(x.shape) != 1:
        raise fail("lower", f"{node.target} along another axis than the channels")
    ctx.output_function = "log_softmax" if "log_softmax" in node.target else "softmax"
    return x


def argmax(ctx: Context, node: GraphNode) -> Tensor:
    """argmax over the scores at the end: the class itself."""
    x = scores(ctx, real(ctx, node, "self"), node)
    axis = node.arguments.get("dim")
    if len(x.shape) != 2 or axis not in (1, -1):
        raise fail("lower", f"argmax along {axis} of {list(x.shape)}", want="dim 1 of [1, classes]")
    _only_at_the_end(ctx, node)
    ref = ctx.builder.add(ops.ArgMax(x.ref), node.outputs[0], node.source, Meaning((1.0,)))
    shape = ctx.graph.metas[node.outputs[0]].shape
    return Real(ref, Meaning((1.0,)), shape, ctx.builder.types[ref].shape, quantized=True)


def _only_at_the_end(ctx: Context, node: GraphNode) -> None:
    ends = {"aten.argmax.default", "aten.view.default", "aten.squeeze.dim"}
    for user in ctx.graph.nodes:
        if Ref(node.outputs[0]) in user.arguments.values() and user.target not in ends:
            raise fail(
                "lower",
                f"{node.target} inside the network",
                want="softmax, log_softmax and argmax at the end only",
            )


def scores(ctx: Context, x: Real, node: GraphNode) -> Real:
    """`x` as integers of one scale: as they are, or on a power-of-two grid of 24 bits."""
    x = plain(ctx, x, node) if x.is_flat_image else x
    if x.on_grid:
        return x
    if not x.functions and not any(x.meaning.offset) and len(x.meaning.scale) == 1:
        return replace(materialize(ctx, x, node.source), quantized=True)
    form = clamped_affine(real_functions(x.meaning, x.functions))
    if form is None:
        raise unquantized("the model's output, behind an activation function,")
    element = ctx.builder.types[x.ref].integer
    ends = [form.scale * end + form.offset for end in (element.lo, element.hi)]
    reach = max(float(np.abs(np.clip(end, form.lo, form.hi)).max()) for end in ends) or 1.0
    step = 2.0 ** (math.frexp(reach)[1] - _SCORE_BITS)
    bound = 2**_SCORE_BITS
    named = replace(node, outputs=(f"{node.outputs[0]}.scores",))
    return quantize_real(ctx, x, UniformGrid(np.array([step]), 0, -bound, bound), named, False)


def with_meaning(node: Node, meaning: Meaning) -> Node:
    """`node` with the real-number meaning of its result."""
    return replace(node, result=replace(node.result, meaning=meaning))
