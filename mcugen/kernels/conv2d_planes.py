"""Convolution of bit planes by bit planes in plain C: XNOR and population count.

See `planes` for the arithmetic; taps outside the image are left out of the window.
"""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import bit_words
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.planes import Product, product, weight_planes
from mcugen.kernels.step import Step
from mcugen.kernels.storage import WORD_BITS, pack_planes, words
from mcugen.kernels.window import Geometry, geometry, overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    product: Product
    geometry: Geometry
    channels_in: int
    channels_out: int
    words: int
    """Words of one plane of a pixel."""
    pixel_words: int
    row_is_run: bool
    """The words under a row of taps lie side by side."""


def accepts(step: Step, core: Core) -> bool:
    del core
    op = step.op
    return isinstance(op, ops.Conv2d) and not step.reads_integers and op.groups == 1


def cost(step: Step, core: Core) -> int:
    """About 24 cycles a word: two loads, the exclusive or, the count and the loop."""
    del core
    source = step.inputs[0]
    planes = weight_planes(step).basis.shape[1]
    taps = planes * step.macs // source.type.channels
    return 24 * taps * source.storage.pixel_units + 50 * planes * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    weights = weight_planes(step)
    _, out, height, width, depth = weights.codes.shape
    window = geometry(step, (height, width))
    summed, bases = product(step, weights)
    packed = pack_planes(weights.codes).swapaxes(0, 1)
    layout = f"[output][plane][row][column][{WORD_BITS} inputs]"
    return Recipe(
        context=Context(
            product=summed,
            geometry=window,
            channels_in=depth,
            channels_out=out,
            words=words(depth),
            pixel_words=step.inputs[0].storage.pixel_units,
            row_is_run=window.row_is_run and len(summed.inputs) == 1,
        ),
        constants=(bit_words("weights", packed, "weights", layout), *bases),
        overlaps=(overlap(step, (height, width), per_channel=False),),
        epilogue=epilogue_of(step),
        helpers=frozenset({"popcount", "taps"} if window.clipped else {"popcount"}),
    )


KERNEL = Kernel("conv2d_planes", "conv2d of bit planes by bit planes", accepts, cost, build)
