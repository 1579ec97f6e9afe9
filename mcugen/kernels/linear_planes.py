"""Fully connected layer of one bit plane by one bit plane in plain C: XNOR and population count.

The weights have the input's own layout, pad bits of each pixel included, so that an image feeds the
layer as it lies. See `conv2d_planes` for the arithmetic.
"""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import bit_words
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.step import Step
from mcugen.kernels.storage import pack_planes
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    inputs: int
    outputs: int
    words: int


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Linear) and not step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About 24 cycles a word: two loads, the exclusive or, the count and the loop."""
    del core
    return 24 * step.inputs[0].storage.count * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op, source = step.op, step.inputs[0]
    assert isinstance(op, ops.Linear)
    codes = step.env.data(op.w)[0]
    outputs, inputs = codes.shape
    packed = pack_planes(codes.reshape(outputs, -1, source.type.channels))
    return Recipe(
        context=Context(inputs, outputs, source.storage.count),
        constants=(bit_words("weights", packed, "weights", "[output][word of the input]"),),
        overlaps=(None,),
        epilogue=epilogue_of(step),
        helpers=frozenset({"popcount"}),
    )


KERNEL = Kernel("linear_planes", "linear of one bit plane by one bit plane", accepts, cost, build)
