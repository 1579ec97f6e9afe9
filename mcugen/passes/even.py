"""What passes share that put `requantize` in the place of another epilogue."""

import numpy as np

from mcugen.ir import ops
from mcugen.ir.program import Const, Node, Program, constant
from mcugen.ir.types import spanning
from mcugen.passes.staircase import Affine


def accumulator_ends(
    program: Program, x: str, maker: Node | None, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest x of each of `rows` channels; `maker` is what computes x."""
    element = program.env.type(x).integer
    if maker is not None and isinstance(maker.op, ops.Conv2d | ops.Linear) and rows > 1:
        return maker.op.products(program.env).bounds
    return np.full(rows, element.lo, np.int64), np.full(rows, element.hi, np.int64)


def as_requantize(
    program: Program, node: Node, found: Affine, clamp: tuple[int, int], consts: list[Const]
) -> Node:
    """`node`, an epilogue, as what was `found`; its constants are added to `consts`.

    `node` itself where its result would reach further, on accumulators that no channel takes.
    """
    x = node.op.operands[0]
    element, kind = program.env.type(x).integer, node.result.type.integer
    low, high = (
        np.clip((end * found.multiplier + found.bias) >> found.shift, *clamp)
        for end in (element.lo, element.hi)
    )
    if (int(low.min()), int(high.max())) != (kind.lo, kind.hi):
        return node
    names = [
        _constant(program, consts, f"{node.result.name[1:]}.{role}", values)
        for role, values in (("factor", found.multiplier), ("start", found.bias))
    ]
    lo, hi = clamp
    return Node(node.result, ops.Requantize(x, *names, shift=found.shift, lo=lo, hi=hi))


def _constant(program: Program, consts: list[Const], base: str, values: np.ndarray) -> str:
    """A new constant, one number where all are equal."""
    taken = {const.name for const in (*program.consts, *consts)}
    while f"@{base}" in taken:
        base += ".again"
    values = values[:1] if (values == values[0]).all() else values
    consts.append(constant(base, values, spanning(int(values.min()), int(values.max()))))
    return consts[-1].name
