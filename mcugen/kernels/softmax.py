"""Softmax of integers in plain C, row by row."""

import math
from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import literal, numbers
from mcugen.kernels.select import difference_fits
from mcugen.kernels.step import Step
from mcugen.kernels.window import elementwise_overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    rows: int
    length: int
    by_sign: bool
    exponent: int
    """Of the last shift, before the sum's leading zeros are taken off."""
    lo: str
    most: int
    """The largest share."""


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Softmax) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About forty cycles an element and a hundred a row."""
    del core
    size = step.output.type.size
    return 40 * size + 100 * (size // step.output.type.channels)


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Softmax)
    shape = step.output.type.shape
    context = Context(
        rows=math.prod(shape[:-1]),
        length=shape[-1],
        by_sign=difference_fits(step.inputs[0]),
        exponent=43 - op.bits,
        lo=literal(op.lo),
        most=(1 << op.bits) - 1,
    )
    wider = step.output.storage.c.bytes > step.inputs[0].storage.c.bytes
    return Recipe(
        context=context,
        constants=(numbers("exps", step.env.data(op.exps), "table", "[levels below the largest]"),),
        overlaps=(None,) if wider else elementwise_overlap(step),
        epilogue=None,
        helpers=frozenset({"leading_zeros", "product", "product_high", "reciprocal"}),
    )


KERNEL = Kernel("softmax", "softmax of integers", accepts, cost, build)
