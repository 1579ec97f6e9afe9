"""Convolution of one bit plane by one bit plane in plain C: XNOR and population count.

The product of two codes −1/+1 is −1 where their bits differ, so a window of n products sums to
n − 2·(differing bits). Pad bits are zero on both sides and never differ; taps outside the image are
left out of the window.
"""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import bit_words
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.step import Step
from mcugen.kernels.storage import WORD_BITS, pack_planes, words
from mcugen.kernels.window import Geometry, geometry, overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    geometry: Geometry
    channels_in: int
    channels_out: int
    pixel_words: int


def accepts(step: Step, core: Core) -> bool:
    del core
    op = step.op
    return isinstance(op, ops.Conv2d) and not step.reads_integers and op.groups == 1


def cost(step: Step, core: Core) -> int:
    """About 24 cycles a word: two loads, the exclusive or, the count and the loop."""
    del core
    depth = step.inputs[0].type.channels
    return 24 * (step.macs // depth) * words(depth) + 50 * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Conv2d)
    codes = step.env.data(op.w)[0]
    out, height, width, depth = codes.shape
    window = geometry(step, (height, width))
    packed = bit_words(
        "weights", pack_planes(codes), "weights", f"[output][row][column][{WORD_BITS} inputs]"
    )
    context = Context(window, depth, out, words(depth))
    return Recipe(
        context=context,
        constants=(packed,),
        overlaps=(overlap(step, (height, width), per_channel=False),),
        epilogue=epilogue_of(step),
        helpers=frozenset({"popcount", "taps"} if window.clipped else {"popcount"}),
    )


KERNEL = Kernel("conv2d_planes", "conv2d of one bit plane by one bit plane", accepts, cost, build)
