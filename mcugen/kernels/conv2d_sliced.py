"""Convolution of bit planes by bit planes: bit-sliced counters fed from tables in RAM.

For a block of 32 output channels, one tap and up to 64 of its inputs, the weights become tables of
three inputs each (`networks.tabulated`), which all pixels of a patch then share. Taps
outside of the image are never visited; what that means for the sums is in the counters' start.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import Constant, bit_words
from mcugen.kernels.counts import counts_of
from mcugen.kernels.sliced import (
    Sliced,
    case_constants,
    lanes,
    layer_of,
    range_constants,
    thresholds,
)
from mcugen.kernels.step import Step
from mcugen.kernels.storage import WORD_BITS, words
from mcugen.kernels.straight.gates import GROUP_INPUTS, GROUP_WORDS
from mcugen.kernels.straight.networks import groups
from mcugen.kernels.straight.routine import Routine, tabulated_counts
from mcugen.kernels.taps import Cases, cases_of
from mcugen.target.cores import Core

#: Inputs of one table: 22 groups of 64 bytes.
TILE = 64
#: Bytes that the counters of a patch may take.
PATCH_BYTES = 4096


@dataclass(frozen=True)
class Patch:
    """Output pixels whose counters lie in memory together."""

    rows: int
    columns: int
    eights: int
    """Eights of words that they take."""

    def count(self, height: int, width: int) -> int:
        """Patches of an image."""
        return -(-height // self.rows) * -(-width // self.columns)


@dataclass(frozen=True)
class Span:
    """Tiles of one size within the channels of a pixel."""

    routine: str
    first: int
    end: int
    words: int
    groups: int


@dataclass(frozen=True)
class Axis:
    size: int
    input: int
    output: int
    stride: int
    dilation: int
    before: int


@dataclass(frozen=True)
class Context:
    sliced: Sliced
    rows: Axis
    columns: Axis
    cases: bool
    """Windows differ in their taps inside the image."""
    spans: tuple[Span, ...]
    patch: Patch
    table_words: int
    plane_words: int
    pixel_words: int
    output_units: int
    """Units of an output pixel."""


def accepts(step: Step, core: Core) -> bool:
    del core
    op = step.op
    if not isinstance(op, ops.Conv2d) or step.reads_integers or op.groups > 1:
        return False
    # A tap that is always outside has no place to begin.
    return bool(_cases(step).inside.any(axis=0).all())


def _cases(step: Step) -> Cases:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    size = step.env.type(op.w).shape[1:3]
    return cases_of(op, step.inputs[0].type, (size[0], size[1]), by_number=op.x_zero == 0)


def cost(step: Step, core: Core) -> int:
    """Measured on Cortex-M4 and M0+: tables, runs of the network, and what makes outputs."""
    small = core.architecture == "armv6-m"
    depth = step.inputs[0].type.channels
    _, height, width, channels = step.accumulator.shape
    counts, cases = counts_of(step, may_share=True), _cases(step)
    planes, terms = counts.most.bit_length() + 1, 1 if counts.shared else counts.shifts.size
    rows, columns = cases.rows, cases.columns
    taps, calls = len(rows.ranges) * len(columns.ranges), rows.visits * len(columns.ranges)
    patches = _patch(height, width, planes * terms).count(height, width)
    tiles = _tiles(depth)
    tables = taps * len(counts.shifts) * patches * sum(len(groups(tile)) for tile in tiles)
    run = sum(tile * (8 if small else 5) + planes * 6 + 10 for tile in tiles)
    runs = (rows.visits * columns.visits * run + calls * len(tiles) * 50) * counts.shifts.size
    passed = thresholds(step, counts)
    finish = passed * planes * 7 + 60 if passed else 32 * (25 + 15 * terms)
    if small:
        tables, finish = tables * 3 // 2, finish * 3 // 2
    return words(channels) * (tables * 42 + runs + height * width * finish)


def build(step: Step, core: Core) -> Recipe:
    del core
    op, source = step.op, step.inputs[0]
    assert isinstance(op, ops.Conv2d)
    _, kh, kw, depth = step.env.type(op.w).shape
    _, height, width, _ = step.accumulator.shape
    cases = _cases(step)
    made = layer_of(step, cases, may_share=True)
    spans, routines = _spans(depth, made.sliced.planes)
    patch = _patch(height, width, made.sliced.counter_words)
    table_words = max(span.groups for span in spans) * GROUP_WORDS
    top, _, left, _ = op.padding
    _, in_rows, in_columns, _ = source.type.shape
    return Recipe(
        context=Context(
            sliced=made.sliced,
            rows=Axis(kh, in_rows, height, op.stride[0], op.dilation[0], top),
            columns=Axis(kw, in_columns, width, op.stride[1], op.dilation[1], left),
            cases=cases.count > 1,
            spans=spans,
            patch=patch,
            table_words=table_words,
            plane_words=words(depth),
            pixel_words=source.storage.pixel_units,
            output_units=step.output.storage.pixel_units,
        ),
        constants=(
            _packed(made.bits),
            *made.constants,
            *range_constants(cases),
            *case_constants(cases),
        ),
        overlaps=(None,),
        epilogue=made.epilogue,
        scratch_bytes=4 * (table_words + made.sliced.lane_words + 8 * patch.eights),
        helpers=made.helpers | {"tabulate"},
        code_bytes=900 + sum(routine.code_bytes for routine in routines),
        routines=routines,
    )


def _patch(height: int, width: int, pixel_words: int) -> Patch:
    """Rows as many as the limit takes, evenly; else a part of one row."""
    most = max(1, PATCH_BYTES // (4 * pixel_words))
    columns = -(-width // -(-width // most))
    strips = -(-height // max(1, most // width))
    rows = -(-height // strips)
    return Patch(rows, columns, -(-rows * columns * pixel_words // 8))


def _tiles(depth: int) -> list[int]:
    """Inputs of each tile of a pixel."""
    return [min(TILE, depth - first) for first in range(0, depth, TILE)]


def _spans(depth: int, planes: int) -> tuple[tuple[Span, ...], tuple[Routine, ...]]:
    """Full tiles and the rest, with the routines that count them."""
    tiles = _tiles(depth)
    spans, routines = [], []
    for size in dict.fromkeys(tiles):
        routine = tabulated_counts(size, planes)
        first = tiles.index(size) * words(TILE)
        spans.append(
            Span(
                routine=routine.name,
                first=first,
                end=first + tiles.count(size) * words(size),
                words=words(size),
                groups=len(groups(size)),
            )
        )
        routines.append(routine)
    return tuple(spans), tuple(routines)


def _packed(bits: np.ndarray) -> Constant:
    """Bits [plane, row, column, I, O] in the order in which tables are made."""
    planes, height, width, depth, out = bits.shape
    parts = []
    for tile, size in enumerate(_tiles(depth)):
        cut = bits[:, :, :, tile * TILE : tile * TILE + size]
        grouped = np.zeros((planes, height, width, len(groups(size)), GROUP_INPUTS, out), bool)
        for group, (first, count) in enumerate(groups(size)):
            grouped[:, :, :, group, :count] = cut[:, :, :, first : first + count]
        # Blocks of lanes first, then row, column, plane, group, input.
        packed = np.moveaxis(lanes(grouped), (-1, 0), (0, 3))
        parts.append(packed.reshape(words(out), height, width, -1))
    layout = f"[{WORD_BITS} outputs][row][column][{TILE} inputs][plane][3 inputs, padded at words]"
    return bit_words("weights", np.concatenate(parts, axis=-1), "weights", layout)


KERNEL = Kernel(
    "conv2d_sliced",
    "conv2d of bit planes by bit planes, on tables in RAM",
    accepts,
    cost,
    build,
)
