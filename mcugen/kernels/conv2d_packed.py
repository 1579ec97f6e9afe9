"""Convolution by packed multiplies (`packed`): several pixels by several taps, or outputs, at once.

Each row of the image is brought into words of neighbouring pixels once, with what stands for
padding around it, [group of pixels][channel], and kept while windows reach it. A tile is two such
groups. Taps that are more than a word of weights holds meet the groups further right.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from mcugen.ir import ops
from mcugen.ir.ops import Window
from mcugen.ir.types import Planes
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import Constant, bit_words, word_literal
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.packed.assembly import lines
from mcugen.kernels.packed.assembly_small import lines as small_lines
from mcugen.kernels.packed.final import Final, final_of
from mcugen.kernels.packed.operands import Operands, operands_of
from mcugen.kernels.packed.packing import Multiply, Packing, widest, widest_forms
from mcugen.kernels.packed.sums import Form, Sums, best, packed_weights
from mcugen.kernels.ring import Ring, ring
from mcugen.kernels.step import Step
from mcugen.kernels.storage import WORD_BITS
from mcugen.kernels.window import geometry, overlap_by_rows
from mcugen.target.cores import Core

#: Words from one word of the input to the other that a load reaches.
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
    tile_words: int
    """Words from a tile to the next."""
    runs: int
    """Of memory that a row of the window lies in, and words from one to the next."""
    run_words: int
    pieces: int
    """Of a run."""
    channels_out: int
    tiles: tuple[Tile, ...]
    """The kinds of tiles in a row, from the left."""
    pieces_at: int
    """Where the places of pieces lie in scratch memory, and the sums."""
    sums_at: int


def accepts(step: Step, core: Core) -> bool:
    return _best(step, core) is not None


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


@dataclass(frozen=True)
class Layout:
    """How a row of the image lies in scratch memory: [group][channel], a word for P pixels.

    Numbers of columns count those of the image, numbers of groups those of the row.
    """

    pixel_columns: int
    """From a pixel of a group to the next."""
    group_columns: int
    """From a group to the next."""
    apart: int
    """Groups from one word of a tile to the other."""
    taps: int
    """Words of weights for a row of the window."""
    tap_groups: int
    """From a word's group to that of the next."""

    @property
    def runs(self) -> int:
        """Runs of memory that a row of the window lies in."""
        return 1 if self.tap_groups == 1 else self.taps

    def tile_groups(self, made: Sums) -> int:
        """From a tile to the next."""
        return made.inputs * self.apart

    def groups(self, made: Sums, tiles: int) -> int:
        """Of a row of `tiles`."""
        last = tiles * self.tile_groups(made) - self.apart
        return last + (self.taps - 1) * self.tap_groups + 1


def _layout(packing: Packing, horizontal: Window) -> Layout:
    """Words of several taps meet groups side by side; single taps begin a group at each column."""
    pixels, size, stride = packing.pixels, horizontal.size, horizontal.stride
    if packing.taps > 1 or size == 1:
        taps = -(-size // packing.taps)
        return Layout(stride, pixels * stride, apart=1, taps=taps, tap_groups=1)
    return Layout(stride, 1, apart=pixels * stride, taps=size, tap_groups=horizontal.dilation)


def _best(step: Step, core: Core) -> tuple[Sums, np.ndarray] | None:
    """The cheapest form, with its weights; none where no form computes the step."""
    op, source = step.op, step.inputs[0]
    if not isinstance(op, ops.Conv2d) or op.groups > 1 or source.storage.c.bytes == 2:
        return None
    operands = _operands(step)
    if not operands.narrow:
        return None
    forms = _forms(step, operands, core)
    return best(forms, operands.inputs, core, lambda made: _cycles(step, made))


def _forms(step: Step, operands: Operands, core: Core) -> Iterator[Form]:
    """Packings in which the layer can be computed, as `best` takes them."""
    horizontal, channels = _windows(step)[1], step.inputs[0].type.channels
    for packing in _packings(operands, horizontal, core):
        layout = _layout(packing, horizontal)
        distance = layout.apart * channels
        if packing.products > 1 and distance <= _FARTHEST:
            yield Form(packing, distance, _tapped(operands.v, packing.taps, layout))


def _packings(operands: Operands, horizontal: Window, core: Core) -> Iterator[Packing]:
    size, dense = horizontal.size, horizontal.stride == horizontal.dilation == 1
    multiplies = [Multiply.SINGLE, *([Multiply.SMLAL] if core.multiply_long else [])]
    some = range(1, _MOST + 1)
    for by, pixels, taps, outputs in product(multiplies, some, some, some):
        if taps > 1 and (not dense or (taps != size and (taps != pixels or taps > size))):
            continue
        if by is Multiply.SINGLE and taps > 1 and not core.multiply_long:
            continue
        forms = widest_forms(pixels, taps, outputs, by)
        found = {widest(form, u=operands.inputs, v=operands.weights) for form in forms}
        yield from sorted(filter(None, found), key=lambda item: item.bits)


def _tapped(v: np.ndarray, taps: int, layout: Layout) -> np.ndarray:
    """Weights [O, row, column, I] as [O, run, step, half, tap]."""
    out, height, width, depth = v.shape
    groups = -(-width // taps)
    padded = np.zeros((out, height, groups * taps, depth), np.int64)
    padded[:, :, :width] = v
    steps = padded.reshape(out, height, groups, taps, depth).swapaxes(3, 4)
    return steps.reshape(out, height * layout.runs, -1, 1, taps)


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
    layout = _layout(made.packing, horizontal)
    groups = layout.groups(made, _tiles(step, made))
    rows = ring(window, vertical, groups * channels)
    final = final_of(operands)
    sums_at = rows.words + made.schedule.pieces
    outside = sum(operands.outside << place for place in made.packing.input_places)
    per_plane = -(-channels // WORD_BITS)
    context = Context(
        ring=rows,
        sums=made,
        assembly=small_lines(made) if made.small else lines(made),
        final=final,
        sources=_sources(made.packing, operands, layout),
        outside=word_literal(outside),
        groups=groups,
        group_columns=layout.group_columns,
        tile_words=layout.tile_groups(made) * channels,
        before=horizontal.before,
        channels=channels,
        pixel_units=source.storage.pixel_units,
        planes=tuple(per_plane * plane for plane in range(step.planes_in)),
        coefficients=operands.coefficients,
        plane_words=tuple(
            min(WORD_BITS, channels - first) for first in range(0, channels, WORD_BITS)
        ),
        runs=layout.runs,
        run_words=layout.tap_groups * channels,
        pieces=made.schedule.pieces // (vertical.size * layout.runs),
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


def _sources(packing: Packing, operands: Operands, layout: Layout) -> tuple[Source, ...]:
    """Where a pixel is inside, its base takes the place of what is outside."""
    change = operands.base - operands.middle - operands.outside
    return tuple(
        Source(place, pixel * layout.pixel_columns, word_literal(change << place))
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
        bit_words("ends", ends, "table", "[piece]: 1 where limbs become sums, 3 at the last"),
    )


KERNEL = Kernel(
    "conv2d_packed",
    "conv2d of narrow integers, or of bit planes, without groups, several products at once",
    accepts,
    cost,
    build,
)
