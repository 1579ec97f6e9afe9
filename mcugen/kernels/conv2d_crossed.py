"""Convolution of 8-bit integers by one product for two (see `crossed`), laid out as by `paired`."""

from mcugen.ir import ops
from mcugen.kernels import conv2d_paired, crossed
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.paired import Shape
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


def accepts(step: Step, core: Core) -> bool:
    if not crossed.accepts(step, core, ops.Conv2d):
        return False
    op = step.op
    assert isinstance(op, ops.Conv2d)
    return op.groups == 1


def _shape(step: Step, core: Core) -> Shape:
    return crossed.shape_of(step, core, conv2d_paired.pixels_of(step))


def cost(step: Step, core: Core) -> int:
    op, pixels = step.op, conv2d_paired.pixels_of(step)
    assert isinstance(op, ops.Conv2d)
    rows = step.env.type(op.w).shape[1]
    return crossed.cost(step, core, _shape(step, core), pixels) + 40 * rows * pixels


def build(step: Step, core: Core) -> Recipe:
    return conv2d_paired.recipe(step, crossed.crossed(step, core, _shape(step, core)))


KERNEL = Kernel(
    "conv2d_crossed",
    "conv2d of 8-bit integers by 8-bit integers without groups, two by one product",
    accepts,
    cost,
    build,
)
