"""Fully connected layer of bit planes by bit planes in plain C: XNOR and population count.

The weights have the input's own layout, pad bits of each pixel included, so that an image feeds the
layer as it lies. See `planes` for the arithmetic.
"""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import bit_words
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.planes import Product, product, weight_planes
from mcugen.kernels.step import Step
from mcugen.kernels.storage import pack_planes, words
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    product: Product
    inputs: int
    outputs: int
    pixels: int
    words: int
    """Words of one plane of a pixel."""
    pixel_words: int


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Linear) and not step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About 24 cycles a word: two loads, the exclusive or, the count and the loop."""
    del core
    rows = weight_planes(step).basis.size
    return 24 * step.inputs[0].storage.count * rows + 30 * rows


def build(step: Step, core: Core) -> Recipe:
    del core
    source = step.inputs[0]
    weights = weight_planes(step)
    planes, outputs, inputs = weights.codes.shape
    channels = source.type.channels
    packed = pack_planes(weights.codes.reshape(planes, outputs, -1, channels)).swapaxes(0, 1)
    summed, bases = product(step, weights)
    layout = "[output][plane][pixel][word]"
    return Recipe(
        context=Context(
            product=summed,
            inputs=inputs,
            outputs=outputs,
            pixels=inputs // channels,
            words=words(channels),
            pixel_words=source.storage.pixel_units,
        ),
        constants=(bit_words("weights", packed, "weights", layout), *bases),
        overlaps=(None,),
        epilogue=epilogue_of(step),
        helpers=frozenset({"popcount"}),
    )


KERNEL = Kernel("linear_planes", "linear of bit planes by bit planes", accepts, cost, build)
