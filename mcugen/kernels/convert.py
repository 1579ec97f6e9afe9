"""An epilogue on its own: requantize, threshold or lookup of every element of a tensor."""

from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.elementwise import recipe
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main is None and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About twenty-five cycles an element."""
    del core
    return 25 * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    return recipe(step, "in[i]")


KERNEL = Kernel("convert", "requantize, threshold and lookup of integers", accepts, cost, build)
