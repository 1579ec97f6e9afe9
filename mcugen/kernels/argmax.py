"""Index of the largest score, the first of equals, in plain C."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.select import difference_fits
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    count: int
    by_sign: bool


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.ArgMax) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About ten cycles a score."""
    del core
    return 10 * step.inputs[0].type.size


def build(step: Step, core: Core) -> Recipe:
    del core
    scores = step.inputs[0]
    # Every score is read before the index is stored, so it may lie anywhere on them.
    return Recipe(Context(scores.type.channels, difference_fits(scores)), (), (0,), None)


KERNEL = Kernel("argmax", "argmax of integers", accepts, cost, build)
