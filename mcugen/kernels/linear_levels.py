"""Fully connected layer of bit planes by bit planes as one of integers (see `levels`)."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels import levels
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.levels import Levels
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    levels: Levels
    outputs: int
    pixels: int
    """Pixels of the input."""


def accepts(step: Step, core: Core) -> bool:
    del core
    return levels.accepts(step, ops.Linear)


def _pixels(step: Step) -> int:
    return step.inputs[0].type.size // step.inputs[0].type.channels


def cost(step: Step, core: Core) -> int:
    return levels.cost(step, levels.levels(step, core, 1, _pixels(step)), positions=1)


def build(step: Step, core: Core) -> Recipe:
    made = levels.levels(step, core, 1, _pixels(step))
    return Recipe(
        context=Context(made, step.accumulator.channels, _pixels(step)),
        constants=(levels.packed_weights(step),),
        # All of the input is expanded before anything is written.
        overlaps=(0,),
        epilogue=epilogue_of(step),
        code_bytes=750,
        scratch_bytes=4 * (made.run_words + made.sum_words),
    )


KERNEL = Kernel(
    "linear_levels",
    "linear of bit planes by bit planes, as integers of 16 bits",
    accepts,
    cost,
    build,
)
