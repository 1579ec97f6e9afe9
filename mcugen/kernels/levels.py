"""Bit planes as integers: what `conv2d_levels` and `linear_levels` have in common.

A pixel of planes becomes int16 numbers in scratch memory, two in a word, once for all outputs;
weights are stored as int16, and the inner loop multiplies pairs (SMLAD where the core has it).

With X = Σ_k A_k·e_k and the bits b_k = (e_k + 1)/2, the numbers are U = Σ_k 2·A_k·b_k = X + ΣA ≥ 0:

    Σ w·(X − z) = −(ΣA + z)·Σw + Σ w·U

The first term is where the sums start, U = ΣA + z stands for a tap outside of the image, and all
of it holds modulo 2^32, so that only the result must fit. Bits i and i + 16 of a plane's word are
two channels whose planes are summed at once, Σ_k 2·A_k·(b_i + 2^16·b_(i + 16)); the last word of a
pixel is drawn apart into two halves first where it has few channels. templates/levels.j2 and
templates/levels_sums.j2 lay it out.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Planes
from mcugen.kernels.constants import Constant, bit_words
from mcugen.kernels.step import Step
from mcugen.kernels.storage import INT16, WORD_BITS, words
from mcugen.kernels.straight.printed import architecture_macro
from mcugen.target.cores import Core

#: Outputs whose sums are formed together.
LANES = 4
#: Words of numbers that are expanded at a time.
EXPANDED = 4
#: Bytes from its address that a load reaches.
_FARTHEST = 4095
_HALF = WORD_BITS // 2


@dataclass(frozen=True)
class Levels:
    """How the planes of a pixel become numbers, and where everything lies in scratch memory."""

    planes: tuple[int, ...]
    """Where the words of each plane begin in a pixel."""
    coefficients: tuple[str, ...]
    """2·A of each plane as C."""
    outside: str
    """The word of two taps outside of the image as C."""
    full: int
    """Words of a plane that are expanded whole."""
    tail: int
    """Half the channels of the word behind them, a multiple of four; 0 where there is none."""
    expanded: tuple[int, ...]
    """0 .. EXPANDED − 1."""
    tap_words: int
    """Words of numbers that a pixel becomes."""
    pixel_words: int
    """Words of planes in a pixel."""
    runs: int
    """Runs of memory that an output's inputs lie in, and the words of each."""
    run_words: int
    unrolled: int
    """Words that the inner loop takes at a time; a run is a multiple of it."""
    together: int
    """Output pixels that are computed together, 1 or 2."""
    pixel_step: int
    """Words from the input of one to that of the other."""
    blocks: int
    """Blocks of LANES outputs."""
    small: bool
    """The core has the instructions of Armv6-M only."""
    dsp: bool
    """It multiplies pairs of int16."""
    assembly_macro: str
    """What compilers define where the assembly can be used."""

    @property
    def sum_words(self) -> int:
        return LANES * self.blocks * self.together


def accepts(step: Step, op: type[ops.Conv2d | ops.Linear]) -> bool:
    """`step` is an `op` of planes by planes whose values and weights are numbers of 16 bits."""
    if not step.main_is(op) or step.reads_integers:
        return False
    element = step.inputs[0].type.element
    assert isinstance(element, Planes)
    weights = _weights(step)
    ends = (2 * element.reach, _zero(step), int(weights.min()), int(weights.max()))
    return INT16.lo <= min(ends) and max(ends) <= INT16.hi


def _weights(step: Step) -> np.ndarray:
    op = step.op
    assert isinstance(op, ops.Conv2d | ops.Linear)
    return step.env.data(op.w).astype(np.int64).sum(axis=0)


def _zero(step: Step) -> int:
    """The number U of an input at its zero point: ΣA + z."""
    op, element = step.op, step.inputs[0].type.element
    assert isinstance(op, ops.Conv2d | ops.Linear)
    assert isinstance(element, Planes)
    return element.reach + op.x_zero


def levels(step: Step, core: Core, runs: int, run_pixels: int, stride: int = 0) -> Levels:
    """Levels of a dense step whose sums take `runs` runs of `run_pixels` pixels of its input each.

    `stride`: pixels from the input of an output to that of the next, where there are two.
    """
    source = step.inputs[0]
    element, per_plane = source.type.element, words(source.type.channels)
    assert isinstance(element, Planes)
    full, tail = _split(source.type.channels)
    tap_words = full * _HALF + tail
    run_words = run_pixels * tap_words
    small = core.architecture == "armv6-m"
    near = 0 < 4 * stride * tap_words <= _FARTHEST and not small
    return Levels(
        planes=tuple(per_plane * plane for plane in range(element.count)),
        coefficients=tuple(f"{2 * entry}u" for entry in element.basis),
        outside=f"0x{(_zero(step) & 0xFFFF) * 0x10001:08X}u",
        full=full,
        tail=tail,
        expanded=tuple(range(EXPANDED)),
        tap_words=tap_words,
        pixel_words=source.storage.pixel_units,
        runs=runs,
        run_words=run_words,
        unrolled=8 if core.dsp and run_words % 8 == 0 else EXPANDED,
        together=2 if near else 1,
        pixel_step=stride * tap_words if near else 0,
        blocks=-(-step.accumulator.channels // LANES),
        small=small,
        dsp=core.dsp,
        assembly_macro="__ARM_FEATURE_DSP" if core.dsp else architecture_macro(core),
    )


def _split(channels: int) -> tuple[int, int]:
    """Words that are expanded whole, and half of the channels behind them, rounded up."""
    full, rest = divmod(channels, WORD_BITS)
    tail = -(-rest // (2 * EXPANDED)) * EXPANDED
    return (full + 1, 0) if tail == _HALF else (full, tail)


def packed_weights(step: Step) -> Constant:
    """Weights as words of two, in the order of the numbers that the input is expanded to."""
    channels = step.inputs[0].type.channels
    weights = _weights(step)
    rows = weights.reshape(len(weights), -1, channels)
    # One more channel, of zeros, stands where a half has no channel.
    rows = np.concatenate([rows, np.zeros((*rows.shape[:2], 1), np.int64)], axis=2)
    pairs = rows[:, :, _order(channels)].reshape(len(rows), -1, 2)
    blocks, count = -(-len(rows) // LANES), pairs.shape[1]
    whole = np.zeros((blocks * LANES, 1 + count, 2), dtype="<i2")
    whole[: len(rows), 1:] = pairs
    packed = whole.view("<u4").reshape(blocks, LANES, 1 + count)
    packed[:, :, 0].flat[: len(rows)] = -_zero(step) * rows.sum(axis=(1, 2))
    layout = f"[block of outputs][start, then pairs of inputs][{LANES} outputs]: pairs of int16"
    return bit_words("weights", packed.transpose(0, 2, 1), "weights", layout)


def _order(channels: int) -> np.ndarray:
    """Channels of the numbers that a pixel becomes, two for each word; `channels` is none."""
    full, tail = _split(channels)
    parts = [WORD_BITS * word + _halves(_HALF) for word in range(full)]
    if tail:
        parts.append(WORD_BITS * full + _halves(tail))
    return np.minimum(np.concatenate(parts), channels)


def _halves(size: int) -> np.ndarray:
    return np.arange(size)[:, None] + np.array([0, size])


def cost(step: Step, made: Levels, positions: int) -> int:
    """Cycles as the cycle model counts them, within a tenth where it was compared.

    `positions`: how many times sums are formed, for `made.together` pixels each.
    """
    turn = _word_cycles(made) * made.unrolled + (6 if made.together == 2 else 4)
    block = made.runs * (made.run_words // made.unrolled * turn + 15) + 15
    source, output = step.inputs[0], step.output
    element = output.type.element
    planes = element.count if isinstance(element, Planes) else 1
    expanded = (80 if made.small else 50) * source.storage.count
    stored = (25 if made.small else 14) * planes * output.type.size
    return positions * (made.blocks * block + 80) + expanded + stored


def _word_cycles(made: Levels) -> int:
    """Cycles of the assembly for a word of each pixel's numbers by four outputs."""
    if made.small:
        return 34
    if made.dsp:
        return 16 if made.together == 2 else 10
    return 48 if made.together == 2 else 28
