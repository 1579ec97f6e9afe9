"""Dense layers of bit planes on bit-sliced counters: what convolution and linear have in common.

32 output channels lie in the lanes of a word. Counters take in, lane by lane, how many bits of
input and weights are equal (`straight.networks`, `counts`). Where the layer ends in thresholds onto
planes and one counter holds all, counts never leave their planes: with a single threshold a counter
of m + 1 planes starts at 2^m − (the least count that passes) and ends with the answer in its last
plane; with more, each is compared plane by plane. Else counts become sums, lane by lane.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Planes
from mcugen.kernels.constants import Constant, bit_words, numbers
from mcugen.kernels.counts import Counts, bounds, counts_of, direction, starts
from mcugen.kernels.epilogue import Epilogue, epilogue_of
from mcugen.kernels.step import Step
from mcugen.kernels.storage import WORD_BITS, pack_planes, words
from mcugen.kernels.taps import AxisCases, Cases

#: More thresholds are cheaper to pass lane by lane.
MOST_COMPARED = 7


@dataclass(frozen=True)
class Term:
    """A counter among those of an output pixel, and what one count is worth."""

    place: int
    """Its first word."""
    factor: str
    plane: int
    """The plane of weights whose basis multiplies the sum."""
    keep: bool
    """The sum has terms before this one."""


@dataclass(frozen=True)
class Sliced:
    """Context of the macros in templates/sliced.j2."""

    blocks: int
    """Of 32 output channels."""
    channels: int
    planes: int
    """Of one counter."""
    places: tuple[tuple[int, ...], ...]
    """For each plane of the weights and of the input, where its counts are added."""
    counter_words: int
    """Words of all counters of one pixel and block."""
    terms: tuple[Term, ...]
    """Empty where counts stay in their planes."""
    plain: bool
    """Weights are ±1: no sum is multiplied by a basis."""
    sums: int
    """Sums for each output."""
    start_by_channel: bool
    initial: bool
    """Counters start where a table says, else at zero."""
    limits: int
    """Thresholds that are compared plane by plane."""
    outputs: tuple[int, ...]
    """Where the word of each plane of an output pixel lies; empty for numbers."""

    @property
    def counter_eights(self) -> int:
        """Eights of words that one pixel's counters take."""
        return -(-self.counter_words // 8)

    @property
    def lane_words(self) -> int:
        """Words for sums, lane by lane."""
        return self.sums * WORD_BITS

    @property
    def last_lanes(self) -> int:
        """Channels in the last block."""
        return self.channels - (self.blocks - 1) * WORD_BITS


@dataclass(frozen=True, eq=False)
class Layer:
    """A dense step on bit-sliced counters."""

    sliced: Sliced
    bits: np.ndarray
    """Where bits are equal if the input's are not set: bool [planes, ..., O]."""
    constants: tuple[Constant, ...]
    epilogue: Epilogue | None
    helpers: frozenset[str]


def thresholds(step: Step, counts: Counts) -> int:
    """Thresholds that counters can answer in their planes; none where they must leave them."""
    op = step.epilogue.op if step.epilogue else None
    if not counts.shared or not isinstance(op, ops.Threshold) or not op.basis:
        return 0
    number = 2 ** len(op.basis) - 1
    return number if number <= MOST_COMPARED and Planes(op.basis).ordered else 0


def layer_of(step: Step, cases: Cases, *, may_share: bool) -> Layer:
    """What the kernels share, for windows of which `cases` occur; see `counts_of`."""
    counts = counts_of(step, may_share=may_share)
    passed = thresholds(step, counts)
    planes = counts.most.bit_length() + (passed == 1)
    plain = bool((counts.basis == 1).all()) and counts.basis.shape[1] == 1
    constants = _constants(step, counts, cases, plain=plain)
    codes = np.moveaxis(counts.weights.codes, 1, -1)
    output, channels = step.output.type, step.accumulator.channels
    stored = output.element.count if isinstance(output.element, Planes) else 0
    places = _places(counts, planes)
    sliced = Sliced(
        blocks=words(channels),
        channels=channels,
        planes=planes,
        places=places,
        counter_words=max(map(max, places)) + planes,
        terms=() if passed else _terms(counts, places),
        plain=plain,
        sums=0 if passed else counts.basis.shape[1],
        start_by_channel=not passed and constants[0].values.shape[-1] > 1,
        initial=passed == 1,
        limits=passed if passed > 1 else 0,
        outputs=tuple(plane * words(channels) for plane in range(stored)),
    )
    return Layer(
        sliced=sliced,
        bits=(codes * direction(step) if passed else codes) < 0,
        constants=constants,
        epilogue=None if passed else epilogue_of(step),
        helpers=_helpers(passed),
    )


def _helpers(passed: int) -> frozenset[str]:
    if passed == 1:
        return frozenset()
    return frozenset({"clear"} if passed else {"clear", "unslice"})


def _places(counts: Counts, planes: int) -> tuple[tuple[int, ...], ...]:
    if counts.shared:
        return tuple(map(tuple, counts.shifts.tolist()))
    weights, inputs = counts.shifts.shape
    first = np.arange(weights * inputs).reshape(weights, inputs) * planes
    return tuple(map(tuple, first.tolist()))


def _terms(counts: Counts, places: tuple[tuple[int, ...], ...]) -> tuple[Term, ...]:
    if counts.shared:
        return (Term(0, f"{2 * counts.factors[0]}u", 0, keep=False),)
    return tuple(
        Term(place, f"{2 * factor}u", plane, keep=index > 0)
        for plane, row in enumerate(places)
        for index, (place, factor) in enumerate(zip(row, counts.factors, strict=True))
    )


def _constants(step: Step, counts: Counts, cases: Cases, *, plain: bool) -> tuple[Constant, ...]:
    """What the end of a layer reads: starts or limits of counters, or starts of sums and bases."""
    passed, bits = thresholds(step, counts), counts.most.bit_length()
    if not passed:
        layout = "[case of window][channel]: sum if no bit is equal"
        start = numbers("start", starts(step, counts, cases), "table", layout)
        basis = numbers("basis", counts.basis, "weights", "[output][sum]")
        return (start,) if plain else (start, basis)
    missing = 2**bits - bounds(step, counts, cases)
    spread = missing[..., None] >> np.arange(bits + 1) & 1
    # Case, block, plane, threshold; the lanes are outputs.
    packed = lanes(np.moveaxis(spread, 1, -1)).transpose(0, 3, 2, 1)
    if passed == 1:
        layout = "[case of window][32 outputs][plane]: 2^m - least count that passes"
        return (bit_words("initial", packed[..., 0], "table", layout),)
    layout = "[case of window][32 outputs][plane][threshold]: 2^m - least count that passes"
    return (bit_words("limits", packed, "table", layout),)


def lanes(bits: np.ndarray) -> np.ndarray:
    """Bits with the output channel last as words of 32 lanes: uint32 [..., blocks]."""
    return pack_planes(bits.astype(np.int8))


def range_constants(cases: Cases) -> tuple[Constant, ...]:
    """Tables that say at which output positions each tap is inside."""
    both = (("rows", "row", cases.rows), ("columns", "column", cases.columns))
    return tuple(
        numbers(name, axis.ranges, "table", f"[{one} of the window][first, end]: where inside")
        for name, one, axis in both
    )


def case_constants(cases: Cases) -> tuple[Constant, ...]:
    """Tables that say which case each window is, where there is more than one."""
    if cases.count == 1:
        return ()
    steps: tuple[tuple[str, AxisCases, int], ...] = (
        ("row", cases.rows, cases.columns.count),
        ("column", cases.columns, 1),
    )
    return tuple(
        numbers(f"{name}_case", axis.cases * step, "table", f"[output {name}]")
        for name, axis, step in steps
    )
