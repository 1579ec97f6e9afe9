"""Part of an axis of an integer tensor, in plain C: runs copied from the first to the last.

An element never moves towards the end, so that the output may lie over the input.
"""

import math
from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    runs: int
    run: int
    """Elements copied at once."""
    first: int
    """Index of the first of them in the input."""
    stride: int
    """From one run to the next in the input."""


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Slice) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About six cycles an element."""
    del core
    return 6 * step.output.type.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op, shape = step.op, step.inputs[0].type.shape
    assert isinstance(op, ops.Slice)
    inner = math.prod(shape[op.axis + 1 :])
    context = Context(
        runs=math.prod(shape[: op.axis]),
        run=(op.end - op.begin) * inner,
        first=op.begin * inner,
        stride=shape[op.axis] * inner,
    )
    return Recipe(context, (), (0,), None)


KERNEL = Kernel("slice", "slice of integers", accepts, cost, build)
