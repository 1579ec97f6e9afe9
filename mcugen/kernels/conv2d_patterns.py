"""Convolution of one narrow bit plane by another onto bits: tables of what a row of taps can see.

Rows of the image are packed into words. For each row of taps a table in scratch memory holds, for
every pattern that the taps can see, how many bits each output has equal to it: eight outputs to a
word, a nibble each. An output pixel adds one entry a row of taps, two rows in nibbles, all in bytes
that start at 128 − (the least count that passes): their highest bits are the outputs. Where the
sliced kernels would pay for 32 outputs and a word for each pixel, this pays for eight and a look-up
for all taps of a row.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import bit_words
from mcugen.kernels.counts import bounds, counts_of, direction
from mcugen.kernels.sliced import thresholds
from mcugen.kernels.step import Step
from mcugen.kernels.storage import WORD_BITS
from mcugen.kernels.taps import Cases, cases_of
from mcugen.target.cores import Core

#: Outputs of a word of nibbles.
OUTPUTS = 8
#: Bits of a pattern: a count of them and of another row's fits a nibble.
MOST_BITS = 7
#: A count that stays below 256 from any start.
MOST_TERMS = 126
MOST_ROWS = 8
#: Pixels that one turn of the packing loop takes at most, and words of the tables.
_MOST_PIXELS = 12
_TURN = 8


@dataclass(frozen=True)
class Context:
    blocks: int
    """Words of eight outputs."""
    bits: int
    """Of a pattern."""
    taps: int
    """Rows of them."""
    dilation: int
    """Rows of the image from one to the next."""
    stride: int
    """Rows of the image from one output to the next."""
    shift: int
    """Bits of a packed row from one output to the next."""
    height: int
    """Of the output."""
    width: int
    packed: int
    """Rows of the image that are packed."""
    columns: int
    depth: int
    turn: int
    """Pixels packed at once."""

    @property
    def table_words(self) -> int:
        """Of one row of taps."""
        return self.blocks << self.bits

    @property
    def first_words(self) -> int:
        """Of the patterns that are written one by one; the others as many at a time."""
        return min(self.table_words, _TURN if _TURN % self.blocks == 0 else self.blocks)

    def highest(self, word: int) -> int:
        """Words of the patterns without the highest bit of that of `word`."""
        return self.blocks << (word // self.blocks).bit_length() - 1

    def weight_of(self, word: int) -> int:
        """Where the weights of the highest bit of the pattern of `word` lie."""
        return (word // self.blocks).bit_length() * self.blocks + word % self.blocks


def accepts(step: Step, core: Core) -> bool:
    del core
    op, shape = step.op, step.inputs[0].type.shape
    if not isinstance(op, ops.Conv2d) or step.reads_integers or op.groups > 1:
        return False
    counts = counts_of(step, may_share=False)
    if counts.shifts.size > 1 or thresholds(step, counts) != 1 or not _cases(step).inside.all():
        return False
    rows, columns = counts.weights.codes.shape[2:4]
    bits = columns * shape[3]
    return (
        op.dilation[1] == 1
        and bits <= MOST_BITS
        and rows <= MOST_ROWS
        and rows * bits <= MOST_TERMS
        and shape[2] * shape[3] <= WORD_BITS
        and step.accumulator.channels <= WORD_BITS
    )


def _cases(step: Step) -> Cases:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    size = step.env.type(op.w).shape[1:3]
    return cases_of(op, step.inputs[0].type, (size[0], size[1]), by_number=True)


def cost(step: Step, core: Core) -> int:
    """Measured on Cortex-M4 and M0+: tables, packed rows and output pixels."""
    k = _context(step)
    tables = k.taps * (k.table_words * 7 + 12 * k.bits)
    rows = k.packed * (k.columns * 5 + 10)
    pixels = k.height * k.width * (20 + 7 * k.taps + k.blocks * (8 * k.taps + 12))
    cycles = tables + rows + pixels
    return cycles * 3 // 2 if core.architecture == "armv6-m" else cycles


def build(step: Step, core: Core) -> Recipe:
    del core
    k, counts = _context(step), counts_of(step, may_share=False)
    least = bounds(step, counts, _cases(step))[0, :, 0]
    layout = "[row][if no bit is set, then for each bit][8 outputs]: equal bits, in nibbles"
    return Recipe(
        context=k,
        constants=(
            bit_words("weights", _gains(step), "weights", layout),
            bit_words("initial", _starts(least), "table", "[8 outputs][even, odd nibbles]: bytes"),
        ),
        overlaps=(None,),
        epilogue=None,
        scratch_bytes=4 * (k.taps * k.table_words + k.packed),
        code_bytes=500 + 20 * k.taps * k.blocks,
    )


def _context(step: Step) -> Context:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    _, height, width, channels = step.accumulator.shape
    _, _, columns, depth = step.inputs[0].type.shape
    _, taps, bits, _ = step.env.type(op.w).shape
    return Context(
        blocks=-(-channels // OUTPUTS),
        bits=bits * depth,
        taps=taps,
        dilation=op.dilation[0],
        stride=op.stride[0],
        shift=op.stride[1] * depth,
        height=height,
        width=width,
        packed=(height - 1) * op.stride[0] + (taps - 1) * op.dilation[0] + 1,
        columns=columns,
        depth=depth,
        turn=next(turn for turn in range(_MOST_PIXELS, 0, -1) if columns % turn == 0),
    )


def _gains(step: Step) -> np.ndarray:
    """What an empty pattern and each of its bits add: uint32 [row, 1 + bits, blocks].

    A bit that is set makes one more equal or one less; sums modulo 2^32 are exact, since every
    nibble of a pattern's entry is a count.
    """
    codes = counts_of(step, may_share=False).weights.codes[0]
    signs = codes * direction(step).reshape(-1, 1, 1, 1)
    by_row = signs.transpose(1, 2, 3, 0).reshape(signs.shape[1], -1, len(signs)).astype(np.int64)
    empty = (by_row < 0).sum(axis=1, keepdims=True)
    return _words(np.concatenate([empty, by_row], axis=1), 4)


def _starts(least: np.ndarray) -> np.ndarray:
    """128 − the least count that passes, in bytes; 0 without an output: uint32 [blocks, 2]."""
    halves = np.zeros((-(-len(least) // OUTPUTS), 2, OUTPUTS // 2), np.int64)
    halves.reshape(-1)[: len(least)] = 128 - least
    return (halves << 8 * np.arange(OUTPUTS // 2)).sum(axis=-1).astype(np.uint32)


def _words(values: np.ndarray, bits: int) -> np.ndarray:
    """Numbers with the output last as words: output 4·h + b of eight in nibble 2·b + h."""
    spread = np.zeros((*values.shape[:-1], -(-values.shape[-1] // OUTPUTS) * OUTPUTS), np.int64)
    spread[..., : values.shape[-1]] = values
    output = np.arange(OUTPUTS)
    places = bits * (2 * (output % 4) + output // 4)
    blocks = spread.reshape(*values.shape[:-1], -1, OUTPUTS)
    return ((blocks << places).sum(axis=-1) & 0xFFFFFFFF).astype(np.uint32)


KERNEL = Kernel(
    "conv2d_patterns",
    "conv2d of a plane of few bits by a plane onto bits, by tables of patterns",
    accepts,
    cost,
    build,
)
