"""Functions between the points of a table, element by element, in plain C."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import literal, numbers
from mcugen.kernels.step import Step
from mcugen.kernels.window import elementwise_overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    count: int
    last: int
    """The last point of the table."""
    multiplier: int
    half: int
    right: int
    fraction: int
    mask: int
    """Of the bits between points."""
    top: str
    above: str
    mirrored: str
    """What is added besides where the input is below zero."""
    shift: int


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Interpolate) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About thirty cycles an element."""
    del core
    return 30 * step.output.type.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Interpolate)
    table = step.env.data(op.table)
    context = Context(
        count=step.output.type.size,
        last=len(table) - 1,
        multiplier=op.multiplier,
        half=(1 << op.right) >> 1,
        right=op.right,
        fraction=op.fraction,
        mask=(1 << op.fraction) - 1,
        top=literal(op.top),
        above=literal(op.above),
        mirrored=literal(op.below - op.above),
        shift=op.shift,
    )
    constants = (numbers("points", table, "table", "[point]"),)
    return Recipe(context, constants, elementwise_overlap(step), None)


KERNEL = Kernel("interpolate", "interpolate of integers", accepts, cost, build)
