"""Fully connected layer of 8-bit integers by pairs of weights (see `paired`)."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels import paired
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.paired import Paired
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    paired: Paired
    whole_words: int
    """Words of input; the bytes behind them fill one more."""
    rest: int
    """How many those are."""
    outputs: int


def accepts(step: Step, core: Core) -> bool:
    return paired.accepts(step, core, ops.Linear)


def cost(step: Step, core: Core) -> int:
    del core
    return paired.cost(step, paired.shape_of(step, 1), 1, gathered=0)


def build(step: Step, core: Core) -> Recipe:
    del core
    return recipe(step, paired.paired(step, paired.shape_of(step, 1)))


def recipe(step: Step, made: Paired) -> Recipe:
    """The layer `step` as `made` packs it, laid out by this kernel's template."""
    inputs = step.inputs[0].type.size
    context = Context(
        paired=made,
        whole_words=inputs // 4,
        rest=inputs % 4,
        outputs=step.accumulator.channels,
    )
    return Recipe(
        context=context,
        constants=(made.weights,),
        # All of the input is expanded before anything is written.
        overlaps=(0,),
        epilogue=made.epilogue,
        code_bytes=600,
        scratch_bytes=4 * made.scratch_words,
        helpers=made.helpers,
    )


KERNEL = Kernel(
    "linear_paired",
    "linear of 8-bit integers by 8-bit integers, two products at a time",
    accepts,
    cost,
    build,
)
