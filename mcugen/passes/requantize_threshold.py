"""Compute a level where thresholds lie as evenly as a multiplication and a shift place them.

    %1 = conv2d %x, @w                         %1 = conv2d %x, @w
    %2 = threshold %1, @t, @d {lo}       →     %2 = requantize %1, @m, @b {shift}

The thresholds of an evenly spaced grid behind affine functions are such; the two are proven equal
on every accumulator that occurs. A search among many thresholds takes longer than a multiplication.
"""

import numpy as np

from mcugen.ir import ops
from mcugen.ir.program import Const, Node, Program
from mcugen.passes.even import accumulator_ends, as_requantize
from mcugen.passes.staircase import Affine, affine, steps_of

#: Fewer are compared one after the other as fast.
_LEAST_THRESHOLDS = 4


def requantize_threshold(program: Program) -> Program:
    """The program with `requantize` for each `threshold` of which all channels are proven."""
    makers = {node.result.name: node for node in program.nodes}
    consts: list[Const] = []
    nodes = tuple(_replaced(program, node, makers, consts) for node in program.nodes)
    return program.with_nodes(nodes, (*program.consts, *consts))


def _replaced(program: Program, node: Node, makers: dict[str, Node], consts: list[Const]) -> Node:
    op, env = node.op, program.env
    if not isinstance(op, ops.Threshold) or op.basis:
        return node
    table = env.data(op.table).astype(np.int64)
    falls = bool((env.data(op.direction) < 0).any())
    if falls or table.shape[1] < _LEAST_THRESHOLDS:
        return node
    found = _affine(program, op, table, makers.get(op.x))
    if not found.proven.all():
        return node
    clamp = op.lo, op.lo + table.shape[1]
    return as_requantize(program, node, found, clamp, consts)


def _affine(program: Program, op: ops.Threshold, table: np.ndarray, maker: Node | None) -> Affine:
    def level(x: np.ndarray) -> np.ndarray:
        return op.lo + (x[..., None] >= table).sum(axis=-1)

    steps = steps_of(
        level,
        accumulator_ends(program, op.x, maker, len(table)),
        (op.lo, op.lo + table.shape[1]),
    )
    count = table.shape[1] - 1
    return affine(steps, count / np.maximum(1, table[:, -1] - table[:, 0]))
