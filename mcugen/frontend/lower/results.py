"""The end of the graph: scores, the functions that keep their order, argmax."""

import math
from dataclasses import replace

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.graph import GraphNode, Ref
from mcugen.frontend.lower.grids import UniformGrid
from mcugen.frontend.lower.layout import memory_axis, plain
from mcugen.frontend.lower.operands import gridded, integer, real
from mcugen.frontend.lower.place import materialize, quantize_real, reach
from mcugen.frontend.lower.state import Context, Real, Tensor, unquantized
from mcugen.ir import ops
from mcugen.ir.program import Meaning, Node
from mcugen.ir.types import INT32_MAX, accumulator

#: Scores keep this many bits: far below any bit of the network's own.
_SCORE_BITS = 23


def softmax(ctx: Context, node: GraphNode) -> Tensor:
    """softmax and log_softmax: dropped at the end, since they keep the order of the scores.

    A softmax that is read by more of the network is computed, on a grid of 16 bits.
    """
    name = "self" if "self" in node.arguments else "input"
    x = real(ctx, node, name)
    rank = len(x.shape)
    if memory_axis(integer(node, "dim", -1) % rank, rank) != rank - 1:
        raise fail("lower", f"{node.target} along another axis than the channels")
    logarithm = "log_softmax" in node.target
    if logarithm or _is_at_the_end(ctx, node):
        _only_at_the_end(ctx, node)
        ctx.output_function = "log_softmax" if logarithm else "softmax"
        return x
    return _shares(ctx, gridded(ctx, node, name), node)


def _shares(ctx: Context, x: Real, node: GraphNode) -> Real:
    """Softmax of levels: every share of the whole in 65,536 parts."""
    levels = ctx.builder.types[x.ref].integer.levels
    if len(x.meaning.scale) != 1 or levels > 2**16:
        raise fail("lower", f"softmax of {levels} levels", want="one scale and at most 16 bits")
    exponentials = np.exp(-x.meaning.scale[0] * np.arange(levels))
    data = np.minimum(np.rint(exponentials * 2.0**31), INT32_MAX).astype(np.int64)
    table = ctx.builder.constant(f"{node.outputs[0]}.exps", data, accumulator(0, INT32_MAX))
    ref = ctx.builder.add(ops.Softmax(x.ref, table, bits=16, lo=0), node.outputs[0], node.source)
    return Real(ref, Meaning((2.0**-16,)), x.shape, x.memory)


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


_ENDS = ("aten.argmax.default", "aten.view.default", "aten.squeeze.dim")


def _is_at_the_end(ctx: Context, node: GraphNode) -> bool:
    """Whether nothing that changes values reads a node's result."""
    result = Ref(node.outputs[0])
    users = (user for user in ctx.graph.nodes if result in user.arguments.values())
    return all(user.target in _ENDS for user in users)


def _only_at_the_end(ctx: Context, node: GraphNode) -> None:
    if not _is_at_the_end(ctx, node):
        raise fail(
            "lower",
            f"{node.target} inside the network",
            want="log_softmax and argmax at the end only",
        )


def scores(ctx: Context, x: Real, node: GraphNode) -> Real:
    """`x` as integers of one scale: as they are, or on a power-of-two grid of 24 bits."""
    x = plain(ctx, x, node) if x.is_flat_image else x
    if x.on_grid:
        return x
    if not x.functions and not any(x.meaning.offset) and len(x.meaning.scale) == 1:
        return replace(materialize(ctx, x, node.source), quantized=True)
    largest = reach(ctx, x)
    if largest is None:
        raise unquantized("the model's output, behind an activation function,")
    step = 2.0 ** (math.frexp(largest)[1] - _SCORE_BITS)
    bound = 2**_SCORE_BITS
    named = replace(node, outputs=(f"{node.outputs[0]}.scores",))
    return quantize_real(ctx, x, UniformGrid(np.array([step]), 0, -bound, bound), named, False)


def with_meaning(node: Node, meaning: Meaning) -> Node:
    """`node` with the real-number meaning of its result."""
    return replace(node, result=replace(node.result, meaning=meaning))
