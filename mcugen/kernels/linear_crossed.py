"""Fully connected layer of 8-bit integers by one product for two (see `crossed`)."""

from mcugen.ir import ops
from mcugen.kernels import crossed, linear_paired
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


def accepts(step: Step, core: Core) -> bool:
    return crossed.accepts(step, core, ops.Linear)


def cost(step: Step, core: Core) -> int:
    return crossed.cost(step, core, crossed.shape_of(step, core, 1), 1)


def build(step: Step, core: Core) -> Recipe:
    shape = crossed.shape_of(step, core, 1)
    return linear_paired.recipe(step, crossed.crossed(step, core, shape))


KERNEL = Kernel(
    "linear_crossed",
    "linear of 8-bit integers by 8-bit integers, two by one product",
    accepts,
    cost,
    build,
)
