"""Convolution by packed multiplies (`packed`): several pixels by several taps, or outputs, at once.

Each row of the image is brought into words of neighbouring pixels once, with what stands for
padding around it, [group of pixels][channel], and kept while windows reach it. A tile is two such
groups. Taps that are more than a word of weights holds meet the groups further right.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.ops import Window
from mcugen.ir.types import Planes
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import Constant, numbers, word_literal
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.packed.assembly import lines
from mcugen.kernels.packed.final import Final, final_of
from mcugen.kernels.packed.operands import Operands, operands_of
from mcugen.kernels.packed.packing import Packing, long, widest
from mcugen.kernels.packed.sums import Sums, best, packed_weights
from mcugen.kernels.ring import Ring, ring
from mcugen.kernels.step import Step
from mcugen.kernels.storage import WORD_BITS
from mcugen.kernels.window import geometry, overlap_by_rows
from mcugen.target.cores import Core

#: Words of the input that a step takes, and words of weights.
_GROUPS, _WEIGHTS = 2, 2
#: Words from one to the other that a load reaches.
_FARTHEST = 1023
#: Pixels, taps and outputs of a word.
_MOST = 5


@dataclass(frozen=True)
class Source:
    """A pixel of a group on its way into words."""

    shift: int
    column: int
    """Of the image, from the group's first."""
    inside: str
    """What is added to the words where it is inside of the image."""


@dataclass(frozen=True)
class Tile:
    """Tiles of which the same positions are outputs."""

    first: int
    end: int
    before: int
    """The tiles behind begin there."""


@dataclass(frozen=True)
class Context:
    ring: Ring
    sums: Sums
    assembly: tuple[str, ...]
    final: Final
    sources: tuple[Source, ...]
    outside: str
    """A word of pixels that are outside of the image."""
    groups: int
    """Of a row."""
    group_columns: int
    """Columns of the image from a group to the next."""
    before: int
    """Columns in front of the image in the first group."""
    channels: int
    pixel_units: int
    """Units of memory of a pixel."""
    planes: tuple[int, ...]
    """Where the words of each plane begin in a pixel."""
    coefficients: tuple[int, ...]
    plane_words: tuple[int, ...]
    """Channels in each word of a plane."""
    tap_groups: int
    pieces: int
    """Of a run."""
    channels_out: int
    tiles: tuple[Tile, ...]
    """The kinds of tiles in a row, from the left."""
    pieces_at: int
    """Where the places of pieces lie in scratch memory, and the sums."""
    sums_at: int


def accepts(step: Step, core: Core) -> bool:
    return core.multiply_long and _best(step, core) is not None


def _size(step: Step) -> tuple[int, int]:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    height, width = step.env.type(op.w).shape[1:3]
    return height, width


def _windows(step: Step) -> tuple[Window, Window]:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    return op.windows(_size(step))


def _operands(step: Step) -> Operands:
    return operands_of(step, padded=geometry(step, _size(step)).clipped)


def _best(step: Step, core: Core) -> tuple[Sums, np.ndarray] | None:
    """The cheapest form, with its weights; none where no form computes the step."""
    op = step.op
    if not isinstance(op, ops.Conv2d) or op.groups > 1:
        return None
    source, horizontal = step.inputs[0], _windows(step)[1]
    if source.type.channels > _FARTHEST or source.storage.c.bytes == 2:
        return None
    if horizontal.size > 1 and (horizontal.stride > 1 or horizontal.dilation > 1):
        return None
    operands = _operands(step)
    if not operands.narrow:
        return None
    made = best(
        _forms(operands),
        operands.inputs,
        inputs=_GROUPS,
        weights=_WEIGHTS,
        distance=source.type.channels,
        core=core,
    )
    return min(made, key=lambda item: _cycles(step, item[0]), default=None)


def _forms(operands: Operands) -> Iterator[tuple[Packing, np.ndarray]]:
    """Packings in which the layer can be computed, with its weights [O, run, channel, tap]."""
    out, height, width, depth = operands.v.shape
    for pixels in range(1, _MOST + 1):
        for taps in range(1, min(width, _MOST) + 1):
            if taps != width and taps != pixels:
                continue
            groups = -(-width // taps)
            v = np.zeros((out, height, groups * taps, depth), np.int64)
            v[:, :, :width] = operands.v
            v = v.reshape(out, height * groups, 1, taps, depth).transpose(0, 1, 4, 2, 3)
            for outputs in range(1, _MOST + 1):
                forms = long(pixels, taps, outputs)
                found = {widest(form, u=operands.inputs, v=operands.weights) for form in forms}
                for packing in sorted(filter(None, found), key=lambda item: item.bits):
                    if packing.products > 1:
                        yield packing, v


def _tile_kinds(made: Sums, columns: int) -> tuple[Tile, ...]:
    kinds: list[Tile] = []
    for left in range(-made.carried, columns, made.tile):
        kind = Tile(max(0, -left), min(columns - left, made.tile), left + made.tile)
        if kinds and (kinds[-1].first, kinds[-1].end) == (kind.first, kind.end):
            kinds.pop()
        kinds.append(kind)
    return tuple(kinds)


def _tiles(step: Step, made: Sums) -> int:
    """Of a row."""
    return -(-(step.accumulator.shape[2] + made.carried) // made.tile)


def _cycles(step: Step, made: Sums) -> int:
    source, output = step.inputs[0], step.output
    element = output.type.element
    planes = element.count if isinstance(element, Planes) else 1
    rows = step.accumulator.shape[1]
    packed = source.type.size * (5 * max(1, step.planes_in) + 3)
    return rows * (_tiles(step, made) * (made.cycles + 40) + 60) + packed + _stored(step, planes)


def _stored(step: Step, planes: int) -> int:
    return 14 * planes * step.output.type.size


def cost(step: Step, core: Core) -> int:
    found = _best(step, core)
    assert found is not None  # accepts
    return _cycles(step, found[0])


def build(step: Step, core: Core) -> Recipe:
    found, operands = _best(step, core), _operands(step)
    assert found is not None  # accepts
    made, v = found
    window, (vertical, horizontal) = geometry(step, _size(step)), _windows(step)
    source, channels = step.inputs[0], step.inputs[0].type.channels
    pixels, tap_groups = made.packing.pixels, -(-horizontal.size // made.packing.taps)
    groups = _GROUPS * _tiles(step, made) + tap_groups - 1
    rows = ring(window, vertical, groups * channels)
    final = final_of(operands)
    sums_at = rows.words + made.schedule.pieces
    outside = sum(operands.outside << place for place in made.packing.input_places)
    per_plane = -(-channels // WORD_BITS)
    context = Context(
        ring=rows,
        sums=made,
        assembly=lines(made),
        final=final,
        sources=_sources(made.packing, operands, horizontal.stride),
        outside=word_literal(outside),
        groups=groups,
        group_columns=pixels * horizontal.stride,
        before=horizontal.before,
        channels=channels,
        pixel_units=source.storage.pixel_units,
        planes=tuple(per_plane * plane for plane in range(step.planes_in)),
        coefficients=operands.coefficients,
        plane_words=tuple(
            min(WORD_BITS, channels - first) for first in range(0, channels, WORD_BITS)
        ),
        tap_groups=tap_groups,
        pieces=channels // made.schedule.piece,
        channels_out=step.accumulator.channels,
        tiles=_tile_kinds(made, window.columns.output),
        pieces_at=rows.words,
        sums_at=sums_at,
    )
    return Recipe(
        context=context,
        constants=(packed_weights(made, v, operands), *_tables(step, made), *final.constants),
        overlaps=(overlap_by_rows(step, _size(step)),),
        epilogue=epilogue_of(step),
        code_bytes=1200 + 32 * made.unrolled,
        scratch_bytes=4 * (sums_at + made.sum_words),
    )


def _sources(packing: Packing, operands: Operands, stride: int) -> tuple[Source, ...]:
    """Where a pixel is inside, its base takes the place of what is outside."""
    change = operands.base - operands.middle - operands.outside
    return tuple(
        Source(place, pixel * stride, word_literal(change << place))
        for pixel, place in enumerate(packing.input_places)
    )


def _tables(step: Step, made: Sums) -> tuple[Constant, ...]:
    """What a pixel outside of the image is read from, and flags of pieces."""
    source = step.inputs[0].storage
    zeros = np.zeros(source.pixel_units, np.int64)
    ends = np.array(made.schedule.ends, np.int64)
    ends[-1] = 3
    return (
        Constant("outside", source.c, zeros, "table", "a pixel outside of the image"),
        numbers("ends", ends, "table", "[piece]: 1 where limbs become sums, 3 at the last"),
    )


KERNEL = Kernel(
    "conv2d_packed",
    "conv2d of narrow integers, or of bit planes, without groups, several products at once",
    accepts,
    cost,
    build,
)
