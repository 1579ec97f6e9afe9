"""Rescale once where that is proven equal to rescaling as TFLite does, with two roundings.

    %1 = conv2d %x, @w                         %1 = conv2d %x, @w
    %2 = rescale %1, @b, @m, @e {zero}   →     %2 = requantize %1, @m', @b' {shift}

Two roundings move the steps above real zero down, and those below it up, by one amount. Where the
result begins at its zero (behind a ReLU) only the former remain, and a bias moves them alike.
"""

from dataclasses import replace

import numpy as np

from mcugen.ir import ops
from mcugen.ir.program import Const, Node, Program
from mcugen.passes.even import accumulator_ends, as_requantize
from mcugen.passes.staircase import Affine, affine, steps_of

#: Bits behind the point of biases that need not be exact.
_BIAS_BITS = 12
#: Levels times channels that are looked at; operands of sums have millions of levels.
_MOST_STEPS = 2**18


def requantize_rescale(program: Program) -> Program:
    """The program with `requantize` for each `rescale` of which all channels are proven."""
    return requantized(program, proven=True)


def requantized(program: Program, proven: bool) -> Program:
    """The program with `requantize` for each `rescale`, where it is equal or `proven` is false."""
    makers = {node.result.name: node for node in program.nodes}
    consts: list[Const] = []
    nodes = [_replaced(program, node, makers, consts, proven) for node in program.nodes]
    return program.with_nodes(tuple(nodes), (*program.consts, *consts))


def _replaced(
    program: Program, node: Node, makers: dict[str, Node], consts: list[Const], proven: bool
) -> Node:
    op = node.op
    kind = node.result.type
    if not isinstance(op, ops.Rescale) or kind.integer.levels * kind.channels > _MOST_STEPS:
        return node
    found = _affine(program, op, makers.get(op.x))
    if not found.proven.all():
        if proven:
            return node
        found = _coarse(found)
    return as_requantize(program, node, found, (op.lo, op.hi), consts)


def _affine(program: Program, op: ops.Rescale, maker: Node | None) -> Affine:
    env = program.env
    multiplier, exponent = env.data(op.multiplier), env.data(op.exponent)
    slope = multiplier * 2.0 ** (exponent + op.left - 31)
    rows = max(len(env.data(ref)) for ref in (op.bias, op.multiplier, op.exponent))
    ends = accumulator_ends(program, op.x, maker, rows)
    steps = steps_of(lambda x: op.apply(x, env), ends, (op.lo, op.hi))
    return affine(steps, np.broadcast_to(slope, rows))


def _coarse(found: Affine) -> Affine:
    """The same with biases that kernels can add behind the product, off by 2^−13 of a level."""
    step = max(0, found.shift - _BIAS_BITS)
    half = (1 << step) >> 1
    return replace(found, bias=(found.bias + half) >> step << step)
