"""Negate the weights of channels whose threshold function falls, so that all of them rise.

    %1 = linear %x, @w                       %1 = linear %x, @w'    # rows negated, d = −1
    %2 = threshold %1, @t, @d        →       %2 = threshold %1, @t, @one

−1·acc ≥ t is the same comparison as (−w)·x ≥ t, so the result is equal bit for bit; kernels then
compare without a direction.
"""

from dataclasses import replace

import numpy as np

from mcugen.ir.ops import Conv2d, Linear, Threshold
from mcugen.ir.program import Const, Node, Program, constant
from mcugen.ir.types import Int, Planes, spanning
from mcugen.passes.retype import retyped


def absorb_direction(program: Program) -> Program:
    """The program with directions of −1 moved into the weights in front of them."""
    for node in program.nodes:
        if isinstance(node.op, Threshold) and (program.env.data(node.op.direction) < 0).any():
            program = _absorb(program, node)
    return program


def _absorb(program: Program, node: Node) -> Program:
    op = node.op
    assert isinstance(op, Threshold)
    users = program.users()
    producer = next((n for n in program.nodes if n.result.name == op.x), None)
    if producer is None or not isinstance(producer.op, Conv2d | Linear):
        return program
    shared = len(users[op.x]) > 1 or len(users[producer.op.w]) > 1 or program.output == op.x
    if shared or len(users[op.direction]) > 1:
        return program
    weights = next(const for const in program.consts if const.name == producer.op.w)
    signs = np.broadcast_to(program.env.data(op.direction), node.result.type.channels)
    rising = constant(op.direction[1:], np.ones(1, dtype=np.int64), spanning(1, 1))
    consts = tuple(
        {weights.name: _negated(weights, signs), rising.name: rising}.get(const.name, const)
        for const in program.consts
    )
    return retyped(replace(program, consts=consts))


def _negated(weights: Const, signs: np.ndarray) -> Const:
    """`weights` with the output channels of sign −1 negated."""
    if isinstance(weights.type.element, Planes):
        shape = (1, -1, *[1] * (weights.data.ndim - 2))
        return constant(weights.name[1:], weights.data * signs.reshape(shape), weights.type.element)
    data = weights.data * signs.reshape(-1, *[1] * (weights.data.ndim - 1))
    element: Int = spanning(int(data.min()), int(data.max()))
    return constant(weights.name[1:], data, element)
