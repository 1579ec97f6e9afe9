"""Border of a constant around an integer image, in plain C: fill, then copy row by row."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import literal
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    count: int
    value: str
    rows: int
    row_in: int
    row_out: int
    first: int
    """Index of the input's first element in the output."""


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Pad) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About six cycles a stored element."""
    del core
    return 6 * (step.output.type.size + step.inputs[0].type.size)


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Pad)
    _, rows, columns, channels = step.inputs[0].type.shape
    top, _, left, _ = op.padding
    row_out = step.output.type.shape[2] * channels
    context = Context(
        count=step.output.type.size,
        value=literal(op.value),
        rows=rows,
        row_in=columns * channels,
        row_out=row_out,
        first=top * row_out + left * channels,
    )
    return Recipe(context, (), (None,), None)


KERNEL = Kernel("pad", "pad of integers", accepts, cost, build)
