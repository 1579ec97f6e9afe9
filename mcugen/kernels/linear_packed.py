"""Fully connected layer by packed multiplies: four inputs of an output at once (`packed`).

The input is brought into words of four once for all outputs; eight outputs at a time go over them.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Planes
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import bit_words, word_literal
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.packed.assembly import lines
from mcugen.kernels.packed.final import Final, final_of
from mcugen.kernels.packed.operands import Operands, operands_of
from mcugen.kernels.packed.packing import PAIRED, Packing, widest
from mcugen.kernels.packed.spread import Turn, turns
from mcugen.kernels.packed.sums import FLAG_BITS, Form, Sums, best, packed_weights
from mcugen.kernels.step import Step
from mcugen.kernels.storage import WORD_BITS
from mcugen.target.cores import Core

#: Inputs of a word.
_NUMBERS = 4
#: Steps are filled up to a multiple of this, so that a loop can hold several.
_STEPS = 16


@dataclass(frozen=True)
class Plain:
    """How integers become words."""

    full: int
    """Words of as many inputs as fit."""
    tail: int
    """Inputs in the word behind them."""
    shifts: tuple[int, ...]
    base: str
    """What is added to a full word, and to the last."""
    tail_base: str


@dataclass(frozen=True)
class Bits:
    """How planes become words."""

    pixels: int
    pixel_words: int
    planes: tuple[int, ...]
    """Where the words of each plane begin in a pixel."""
    full: int
    """Words of a plane that are full."""
    turns: tuple[Turn, ...]
    tail: tuple[Turn, ...]
    """Of the word behind them."""
    coefficients: tuple[int, ...]


@dataclass(frozen=True)
class Context:
    sums: Sums
    assembly: tuple[str, ...]
    final: Final
    plain: Plain | None
    bits: Bits | None
    middle: str
    """What is subtracted from each half of a word; empty for nothing."""
    steps: int
    filled: int
    """Words of the input, and with those that fill up the loop."""
    channels_out: int


def accepts(step: Step, core: Core) -> bool:
    return core.dsp and _best(step, core) is not None


def _operands(step: Step) -> Operands:
    return operands_of(step, padded=False)


def _best(step: Step, core: Core) -> tuple[Sums, np.ndarray] | None:
    """The cheapest form, with its weights; none where no form computes the step."""
    if not step.main_is(ops.Linear):
        return None
    operands = _operands(step)
    packing = widest(PAIRED, u=operands.inputs, v=operands.weights)
    if packing is None or not operands.narrow:
        return None
    forms = [Form(packing, 0, _weights(step, packing, operands))]
    return best(forms, operands.inputs, core, lambda made: made.cycles)


def _weights(step: Step, packing: Packing, operands: Operands) -> np.ndarray:
    """Weights in the order of the input's words: [O, 1, word, half, number]."""
    out, count = operands.v.shape
    padded = np.concatenate([operands.v, np.zeros((out, 1), np.int64)], axis=1)
    order = _order(step, packing)
    v = np.zeros((out, 1, _filled(len(order)), 2, 2), np.int64)
    v[:, 0, : len(order)] = padded[:, np.where(order < 0, count, order)].reshape(out, -1, 2, 2)
    return v


def _filled(steps: int) -> int:
    return steps if steps < _STEPS else -(-steps // _STEPS) * _STEPS


def _order(step: Step, packing: Packing) -> np.ndarray:
    """Which input each number of each word is, −1 for none: int [word, number]."""
    source, width = step.inputs[0].type, _NUMBERS
    if step.reads_integers:
        places = np.arange(-(-source.size // width) * width)
        return np.where(places < source.size, places, -1).reshape(-1, width)
    words = [
        [-1 if bit is None else WORD_BITS * word + bit for bit in turn.taken]
        for word in range(-(-source.channels // WORD_BITS))
        for turn in _turns(min(WORD_BITS, source.channels - WORD_BITS * word), packing)
    ]
    pixel = np.array(words)
    first = source.channels * np.arange(source.size // source.channels)[:, None, None]
    return np.where(pixel < 0, -1, pixel + first).reshape(-1, width)


def _turns(bits: int, packing: Packing) -> tuple[Turn, ...]:
    return turns(bits, packing.input_places)


def cost(step: Step, core: Core) -> int:
    found = _best(step, core)
    assert found is not None  # accepts
    source, element = step.inputs[0], step.output.type.element
    planes = element.count if isinstance(element, Planes) else 1
    packed = 3 * source.type.size if step.reads_integers else 60 * source.storage.count
    return found[0].cycles + packed + 14 * planes * step.output.type.size + 50


def build(step: Step, core: Core) -> Recipe:
    found, operands = _best(step, core), _operands(step)
    assert found is not None  # accepts
    made, v = found
    final, steps = final_of(operands), len(_order(step, made.packing))
    filled = made.schedule.pieces * made.schedule.piece
    integers = step.reads_integers
    context = Context(
        sums=made,
        assembly=lines(made),
        final=final,
        plain=_plain(step, made.packing, operands) if integers else None,
        bits=None if integers else _bits(step, made.packing, operands),
        middle=_middle(made.packing, operands),
        steps=steps,
        filled=filled,
        channels_out=step.accumulator.channels,
    )
    places = np.arange(made.schedule.pieces) * made.schedule.piece
    ends = np.array(made.schedule.ends, np.int64)
    ends[-1] = 3
    pieces = (places << 2 + FLAG_BITS) + ends
    return Recipe(
        context=context,
        constants=(
            packed_weights(made, v, operands),
            bit_words("pieces", pieces, "table", "[piece]: its place and flags"),
            *final.constants,
        ),
        # All of the input is brought into words before anything is written.
        overlaps=(0,),
        epilogue=epilogue_of(step),
        code_bytes=700 + 40 * made.unrolled,
        scratch_bytes=4 * (filled + made.sum_words),
    )


def _plain(step: Step, packing: Packing, operands: Operands) -> Plain:
    full, tail = divmod(step.inputs[0].type.size, _NUMBERS)
    places = packing.input_places
    bases = [sum(operands.base << place for place in some) for some in (places, places[:tail])]
    return Plain(full, tail, places, *map(word_literal, bases))


def _bits(step: Step, packing: Packing, operands: Operands) -> Bits:
    source = step.inputs[0]
    full, rest = divmod(source.type.channels, WORD_BITS)
    per_plane = full + (rest > 0)
    return Bits(
        pixels=source.type.size // source.type.channels,
        pixel_words=source.storage.pixel_units,
        planes=tuple(per_plane * plane for plane in range(step.planes_in)),
        full=full,
        turns=_turns(WORD_BITS, packing) if full else (),
        tail=_turns(rest, packing) if rest else (),
        coefficients=operands.coefficients,
    )


def _middle(packing: Packing, operands: Operands) -> str:
    halves = sum(operands.middle << place for place in packing.input_places)
    return word_literal(halves) if halves else ""


KERNEL = Kernel(
    "linear_packed",
    "linear of narrow integers, or of bit planes, several products at once",
    accepts,
    cost,
    build,
)
