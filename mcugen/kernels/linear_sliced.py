"""Fully connected layer of bit planes by bit planes: bit-sliced counters fed from prefix XORs.

A convolution whose one window is the whole image is such a layer too. Pixels of few channels join
in one word.

Every weight is used once, so nothing is worth a table: an input's bit is spread over the lanes and
meets the weights of 32 outputs (`networks.prefixed`). The prefix exclusive ors of the input are
made once for all outputs, those of the weights where they are packed.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import TensorType
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import Constant, bit_words
from mcugen.kernels.counts import counts_of
from mcugen.kernels.sliced import Sliced, lanes, layer_of, thresholds
from mcugen.kernels.step import Step
from mcugen.kernels.storage import WORD_BITS, words
from mcugen.kernels.straight.routine import prefixed_counts
from mcugen.kernels.taps import Cases, cases_of, whole
from mcugen.target.cores import Core

#: Words of input that one run of the network may take, and what it takes besides, in words.
MOST_WORDS = 8
_OVERHEAD_WORDS = 0.3


@dataclass(frozen=True)
class Context:
    sliced: Sliced
    routine: str
    runs: int
    planes: int
    """Of the input."""
    pixels: int
    words: int
    """Words of one plane of a pixel."""
    pixel_words: int
    joined: int
    """Pixels that share a word of the input as the network takes it, if more than one."""
    channels: int
    source_words: int
    """Words of the input's plane, so joined."""
    input_words: int
    """Words of the input's plane as the network takes it, whole runs."""


def accepts(step: Step, core: Core) -> bool:
    del core
    if step.reads_integers:
        return False
    return step.main_is(ops.Linear) or _is_whole(step)


def _is_whole(step: Step) -> bool:
    """A convolution whose one window is the image and nothing around it."""
    op, image = step.op, step.inputs[0].type.shape[1:3]
    if not isinstance(op, ops.Conv2d) or op.groups > 1 or any(op.padding):
        return False
    return step.env.type(op.w).shape[1:3] == image


def _cases(step: Step) -> Cases:
    op, source = step.op, step.inputs[0].type
    if not isinstance(op, ops.Conv2d):
        return whole()
    return cases_of(op, source, (source.shape[1], source.shape[2]), by_number=True)


def _joined(channels: int) -> int:
    """Pixels of so many channels in a word."""
    return max(1, WORD_BITS // channels)


def _source_words(kind: TensorType) -> int:
    """Words of one plane of the input."""
    pixels = kind.size // kind.channels
    return -(-pixels // _joined(kind.channels)) * words(kind.channels)


def cost(step: Step, core: Core) -> int:
    """Measured on Cortex-M4 and M0+: the input's prefixes, runs, and what makes outputs."""
    small = core.architecture == "armv6-m"
    kind = step.inputs[0].type
    source, pixels = _source_words(kind), kind.size // kind.channels
    tile = _tile(source, core)
    planes = (source * WORD_BITS).bit_length() + 1
    counts = counts_of(step, may_share=False)
    pairs = counts.shifts.size
    run = tile * WORD_BITS * (10 if small else 7) + planes * 6 + 20
    passed = thresholds(step, counts)
    finish = passed * planes * 7 + 60 if passed else 32 * (25 + 15 * pairs)
    block = pairs * (-(-source // tile) * run + 60) + finish
    return words(step.accumulator.channels) * block + (18 * source + 4 * pixels) * step.planes_in


def _tile(input_words: int, core: Core) -> int:
    """Words of a run: as few runs as possible, with little beyond the input's end."""
    if core.architecture == "armv6-m":
        return 1  # Loads reach 32 words.
    sizes = range(1, MOST_WORDS + 1)
    return min(sizes, key=lambda size: -(-input_words // size) * (size + _OVERHEAD_WORDS))


def build(step: Step, core: Core) -> Recipe:
    source = step.inputs[0]
    channels, source_words = source.type.channels, _source_words(source.type)
    made = layer_of(step, _cases(step), may_share=False)
    tile = _tile(source_words, core)
    runs = -(-source_words // tile)
    routine = prefixed_counts(tile * WORD_BITS, made.sliced.planes)
    sliced = made.sliced
    scratch = 8 * sliced.counter_eights + sliced.lane_words + step.planes_in * runs * tile
    return Recipe(
        context=Context(
            sliced=sliced,
            routine=routine.name,
            runs=runs,
            planes=step.planes_in,
            pixels=source.type.size // channels,
            words=words(channels),
            pixel_words=source.storage.pixel_units,
            joined=_joined(channels),
            channels=channels,
            source_words=source_words,
            input_words=runs * tile,
        ),
        constants=(_packed(made.bits, made.constants, channels, runs * tile), *made.constants),
        overlaps=(None,),
        epilogue=made.epilogue,
        scratch_bytes=4 * scratch,
        helpers=made.helpers | {"prefix"},
        code_bytes=700 + routine.code_bytes,
        routines=(routine,),
    )


def _packed(
    bits: np.ndarray, constants: tuple[Constant, ...], channels: int, input_words: int
) -> Constant:
    """Bits [plane, …, O] as prefix exclusive ors in the order of the input's words.

    Plane 0 of the counters' start, where they have one, joins every prefix.
    """
    planes, out = bits.shape[0], bits.shape[-1]
    joined = _joined(channels)
    by_pixel = bits.reshape(planes, -1, channels, out)
    missing = -by_pixel.shape[1] % joined
    by_pixel = np.pad(by_pixel, ((0, 0), (0, missing), (0, 0), (0, 0)))
    by_word = by_pixel.reshape(planes, -1, joined * channels, out)
    behind = -by_word.shape[2] % WORD_BITS
    flat = np.pad(by_word, ((0, 0), (0, 0), (0, behind), (0, 0))).reshape(planes, -1, out)
    behind = input_words * WORD_BITS - flat.shape[1]
    flat = np.pad(flat, ((0, 0), (0, behind), (0, 0)))
    packed = np.moveaxis(lanes(np.logical_xor.accumulate(flat, axis=1)), -1, 0)
    initial = [item.values for item in constants if item.suffix == "initial"]
    if initial:
        packed = packed ^ initial[0][0, :, 0][:, None, None]
    layout = f"[{WORD_BITS} outputs][plane][input]: prefix exclusive ors"
    return bit_words("weights", packed, "weights", layout)


KERNEL = Kernel(
    "linear_sliced",
    "linear of bit planes by bit planes, and conv2d of the whole image, on bit-sliced counters",
    accepts,
    cost,
    build,
)
