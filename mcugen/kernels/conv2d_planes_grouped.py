"""Grouped convolution of bit planes by bit planes in plain C; see `planes` for the arithmetic.

A group's channels may begin and end inside a word: its weights are packed at the bits where the
input has them, and a mask per group keeps the neighbours' bits out of the count.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Planes
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import bit_words, numbers
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
    depth: int
    groups: int
    per_group: int
    words: int
    """Words of one plane of a pixel."""
    pixel_words: int
    span: int
    """Words of a pixel that one group reads."""
    first_c: str


def accepts(step: Step, core: Core) -> bool:
    del core
    op = step.op
    return isinstance(op, ops.Conv2d) and not step.reads_integers and op.groups > 1


def cost(step: Step, core: Core) -> int:
    """About 30 cycles a word, as `conv2d_planes` with masks."""
    del core
    op = step.op
    assert isinstance(op, ops.Conv2d)
    depth = step.inputs[0].type.channels // op.groups
    element = step.inputs[0].type.element
    assert isinstance(element, Planes)
    planes = weight_planes(step).basis.shape[1]
    taps = planes * element.count * step.macs // depth
    return 30 * taps * (words(depth) + 1) + 60 * planes * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Conv2d)
    taken = weight_planes(step)
    planes, out, height, width, depth = taken.codes.shape
    first, span = _placement(op.groups, depth)
    window = geometry(step, (height, width))
    summed, bases = product(step, taken)
    context = Context(
        product=summed,
        geometry=window,
        depth=depth,
        groups=op.groups,
        per_group=out // op.groups,
        words=words(op.groups * depth),
        pixel_words=step.inputs[0].storage.pixel_units,
        span=span,
        first_c=numbers("first", first, "weights", "").c.name,
    )
    weights = np.stack(
        [_placed(taken.codes[plane], first, span, op.groups) for plane in range(planes)], axis=1
    )
    masks = _placed(np.ones((op.groups, 1, 1, depth), np.int8), first, span, op.groups)
    return Recipe(
        context=context,
        constants=(
            bit_words("weights", weights, "weights", "[output][plane][row][column][word]"),
            bit_words("masks", masks, "weights", "[group][word]: bits that belong to the group"),
            numbers("first", first, "weights", "[group]: its first word in a pixel"),
            *bases,
        ),
        overlaps=(overlap(step, (height, width), per_channel=False),),
        epilogue=epilogue_of(step),
        helpers=frozenset({"popcount", "taps"} if window.clipped else {"popcount"}),
    )


def _placement(groups: int, depth: int) -> tuple[np.ndarray, int]:
    """First word of each group, and the words that the widest-spread group touches."""
    begin = np.arange(groups) * depth
    last = (begin + depth - 1) // WORD_BITS
    span = int((last - begin // WORD_BITS).max()) + 1
    # Near the pixel's end a group begins early rather than read beyond the pixel.
    return np.minimum(begin // WORD_BITS, words(groups * depth) - span), span


def _placed(codes: np.ndarray, first: np.ndarray, span: int, groups: int) -> np.ndarray:
    """Codes [output, row, column, depth] as words, at the bits their channels have in a pixel."""
    out, height, width, depth = codes.shape
    # −1 packs to a zero bit, as pad bits do.
    wide = np.full((out, height, width, span * WORD_BITS), -1, np.int8)
    for channel in range(out):
        group = channel // (out // groups)
        begin = group * depth - int(first[group]) * WORD_BITS
        wide[channel, :, :, begin : begin + depth] = codes[channel]
    return pack_planes(wide)


KERNEL = Kernel(
    "conv2d_planes_grouped",
    "conv2d in groups of bit planes by bit planes",
    accepts,
    cost,
    build,
)
