"""The loop of packed multiplies: sums of one tile of outputs, for all output channels.

For a block of outputs, J words of weights at a time meet G words of the input; after each segment
limbs are added to sums in memory. templates/packed_sums.j2 lays it out, `assembly` prints the loop
for cores with SMLAL.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from mcugen.kernels.constants import Constant, bit_words
from mcugen.kernels.packed.operands import Operands
from mcugen.kernels.packed.packing import Limb, Multiply, Packing, weight_words
from mcugen.kernels.packed.schedule import Schedule, at_best, prove, schedules
from mcugen.kernels.straight.printed import architecture_macro
from mcugen.target.cores import Core

#: The place of a piece lies above two flags: limbs become sums behind it, it is the last.
FLAG_BITS = 2
#: Steps that the loop may hold.
_MOST_UNROLLED = 32


@dataclass(frozen=True)
class Part:
    """A limb of one accumulator on its way to a sum of the block."""

    input: int
    """Word of the input and word of weights whose product the accumulator holds."""
    weight: int
    shift: int
    bits: int
    position: int
    """Of the sum among those of its output."""


@dataclass(frozen=True)
class Sums:
    """Where everything lies that the loop reads and writes."""

    packing: Packing
    schedule: Schedule
    distance: int
    """Words from one word of the input to the other, where there are two."""
    blocks: int
    core: Core

    @property
    def inputs(self) -> int:
        """G."""
        return _shape(self.packing, self.core)[0]

    @property
    def weights(self) -> int:
        """J."""
        return _shape(self.packing, self.core)[1]

    @property
    def small(self) -> bool:
        """The core has the instructions of Armv6-M only."""
        return _small(self.core)

    @property
    def unrolled(self) -> int:
        """Steps of the loop's body."""
        piece, most = self.schedule.piece, 8 if self.small else _MOST_UNROLLED
        return max(n for n in range(1, most + 1) if piece % n == 0)

    @property
    def turns(self) -> int:
        return self.schedule.piece // self.unrolled

    @property
    def outputs(self) -> int:
        """Of a block."""
        return self.weights * self.packing.outputs

    @property
    def channels(self) -> int:
        """Of all blocks, those that fill up the last included."""
        return self.blocks * self.outputs

    @property
    def carried(self) -> int:
        """Sums of an output that the next tile goes on with."""
        return 0 if self.packing.paired else self.packing.taps - 1

    @property
    def tile(self) -> int:
        """Outputs along the row that a tile completes."""
        return self.inputs * (1 if self.packing.paired else self.packing.pixels)

    @property
    def positions(self) -> int:
        """Sums of one output: those carried in, or begun, and those carried on."""
        return self.tile + self.carried

    @property
    def sum_words(self) -> int:
        return self.channels * self.positions

    @property
    def block_words(self) -> int:
        """Words of weights and starts of a block."""
        steps = self.schedule.pieces * self.schedule.piece
        return self.outputs + steps * self.weights

    @property
    def assembly_macro(self) -> str:
        """What compilers define where the assembly can be used."""
        return "__ARM_FEATURE_DSP" if self.core.dsp else architecture_macro(self.core)

    @property
    def start(self) -> tuple[int, int]:
        """The accumulators' low and high words at the beginning (where there are two)."""
        return self.packing.start & 0xFFFFFFFF, self.packing.start >> 32

    def parts(self, output: int) -> tuple[Part, ...]:
        """The limbs that make the sums of one output of a block."""
        word, own = divmod(output, self.packing.outputs)
        limbs = [limb for limb in self.packing.useful if limb.output == own]
        return tuple(
            Part(x, word, limb.shift, limb.bits, self._position(limb, x))
            for x in range(self.inputs)
            for limb in limbs
        )

    def _position(self, limb: Limb, x: int) -> int:
        return x if self.packing.paired else x * self.packing.pixels + limb.index

    @property
    def cycles(self) -> int:
        """Of one call, as the cycle model counts them."""
        turns, slow = self.turns * (self.turns > 1), 2 if self.small else 1
        piece = 13 * slow + self._step_cycles * self.schedule.piece + 6 * turns
        limbs = len(self.packing.useful) * self.inputs * self.weights
        sums = self.outputs * self.positions
        first = slow * (2.2 * limbs + 1.5 * sums + 20)
        later = slow * (2.2 * limbs + 4 * sums + 20)
        segments = self.schedule.segments
        return round(
            self.blocks * (self.schedule.pieces * piece + first + later * (segments - 1) + 20) + 40
        )

    @property
    def _step_cycles(self) -> int:
        if self.packing.by is Multiply.SMLAL:
            return 9 if self.core.dsp else 29
        if self.packing.by is Multiply.SMLAD:
            return 20
        return 22 if self.small else 15 if self.core.dsp else 23


def _small(core: Core) -> bool:
    return core.architecture == "armv6-m"


def _shape(packing: Packing, core: Core) -> tuple[int, int]:
    """Words of the input, and of weights, whose accumulators registers hold."""
    if packing.by is Multiply.SMLAL:
        return 2, 2
    if packing.by is Multiply.SMLAD:
        return 1, 8
    return (1, 6) if _small(core) else (2, 4)


@dataclass(frozen=True, eq=False)
class Form:
    """A way to compute a layer: its weights as [O, run, step, half, T]."""

    packing: Packing
    distance: int
    """Words from one word of the input to the other."""
    v: np.ndarray


def best(
    forms: Iterable[Form], u: tuple[int, int], core: Core, cycles: Callable[[Sums], int]
) -> tuple[Sums, np.ndarray] | None:
    """The cheapest way to sum, with its weights; none where limbs overflow at once in all forms.

    Args:
        forms: any number.
        u: the least and the greatest input.
        core: what it is for.
        cycles: what the layer costs.
    """
    found: tuple[Sums, np.ndarray] | None = None
    blanks = [(_blank(form, u, core), form) for form in forms]
    for blank, form in sorted(blanks, key=lambda item: cycles(item[0])):
        if found and cycles(blank) >= cycles(found[0]):
            break
        v = np.zeros((blank.channels, *form.v.shape[1:]), np.int64)
        v[: len(form.v)] = form.v
        made = [replace(blank, schedule=item) for item in schedules(form.packing, v, u)]
        cheapest = min(made, key=cycles, default=None)
        if cheapest and (found is None or cycles(cheapest) < cycles(found[0])):
            found = cheapest, v
    return found


def _blank(form: Form, u: tuple[int, int], core: Core) -> Sums:
    """As cheap as the form can be."""
    block = _shape(form.packing, core)[1] * form.packing.outputs
    blocks = -(-len(form.v) // block)
    return Sums(form.packing, at_best(form.packing, form.v, u), form.distance, blocks, core)


def packed_weights(made: Sums, v: np.ndarray, operands: Operands) -> Constant:
    """Starts and words of weights in the order of the loop, once they are proved to be safe.

    Raises:
        McugenError: the schedule lets a limb overflow.
    """
    packing, steps = made.packing, v.shape[1] * v.shape[2]
    shape = (made.blocks, made.weights, packing.outputs, steps, packing.halves, packing.taps)
    words = weight_words(packing, np.moveaxis(v.reshape(shape), 2, -3))
    prove(packing, made.schedule, words, operands.inputs)
    start = np.zeros(made.channels, np.int64)
    if plain(operands):
        start[: len(operands.start)] = operands.start
    start -= made.schedule.segments * packing.bias
    rows = [start.reshape(made.blocks, -1), words.transpose(0, 2, 1).reshape(made.blocks, -1)]
    values = (np.concatenate(rows, axis=1) & 0xFFFFFFFF).astype("<u4")
    layout = f"[block of outputs][{made.outputs} starts, then steps][{made.weights} words]"
    return bit_words("weights", values, "weights", layout)


def plain(operands: Operands) -> bool:
    """Sums begin at `start` and are the accumulators: nothing is multiplied or added at the end."""
    return bool((operands.factor == 1).all())
