"""Sliding windows: geometry as templates need it, and how far output may run into the input."""

from dataclasses import dataclass

import numpy as np

from mcugen.ir.ops import Window, Windowed
from mcugen.ir.types import Planes
from mcugen.kernels.step import Step


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a layer; templates/window.j2 lays it out."""

    input: int
    output: int
    size: int
    dilation: int
    origin: str
    """First position of the window, from the output position."""
    clipped: bool
    """Some window reaches over the image's border, so the taps inside are computed."""
    misses: bool
    """Some window lies outside of the image altogether."""
    begin: str
    end: str
    """The taps inside the image, as C expressions."""
    taps: str
    """Their number."""
    at: str
    """Position of a tap in the image, and that of the first one inside."""
    first: str


@dataclass(frozen=True)
class Geometry:
    """Both axes, and the input's width in units of memory."""

    rows: Axis
    columns: Axis
    taps: str
    """Taps inside the image, a C expression."""
    clipped: bool
    row_is_run: bool
    """The taps of a window's row lie side by side in memory, and there always are some."""


def geometry(step: Step, size: tuple[int, int]) -> Geometry:
    """The geometry of a windowed step with a window of `size`."""
    op = step.op
    assert isinstance(op, Windowed)
    vertical, horizontal = op.windows(size)
    _, in_rows, in_columns, _ = step.inputs[0].type.shape
    _, out_rows, out_columns, _ = step.accumulator.shape
    rows = _axis(vertical, in_rows, out_rows, "y top ky")
    columns = _axis(horizontal, in_columns, out_columns, "x left kx")
    clipped = rows.clipped or columns.clipped
    taps = f"({rows.taps} * {columns.taps})" if clipped else str(rows.size * columns.size)
    row_is_run = horizontal.dilation == 1 and not columns.misses
    return Geometry(rows, columns, taps, clipped, row_is_run)


def _axis(window: Window, extent: int, positions: int, variables: str) -> Axis:
    position, origin, tap = variables.split()
    scaled = _times(position, window.stride)
    starts = np.arange(positions) * window.stride - window.before
    taps = starts[:, None] + np.arange(window.size)[None, :] * window.dilation
    inside = (taps >= 0) & (taps < extent)
    clipped = not bool(inside.all())
    begin, end = (f"{tap}_begin", f"{tap}_end") if clipped else ("0", str(window.size))
    return Axis(
        input=extent,
        output=positions,
        size=window.size,
        dilation=window.dilation,
        origin=f"{scaled} - {window.before}" if window.before else scaled,
        clipped=clipped,
        misses=not bool(inside.any(axis=1).all()),
        begin=begin,
        end=end,
        taps=f"({end} - {begin})" if clipped else end,
        at=f"{origin} + {_times(tap, window.dilation)}",
        first=f"{origin} + {_times(begin, window.dilation)}" if clipped else origin,
    )


def _times(term: str, factor: int) -> str:
    return f"{term} * {factor}" if factor > 1 else term


def overlap(step: Step, size: tuple[int, int], per_channel: bool) -> int:
    """How far the input must begin above the output for a kernel that goes pixel by pixel.

    `per_channel`: the kernel reads and writes channel by channel within a pixel, and an output
    channel reads only its own input channel; else every output channel reads the whole window.
    """
    read, source, target = _reads(step, size), step.inputs[0].storage, step.output.storage
    written = (np.arange(read.size) + 1) * target.pixel_bytes
    aligned = per_channel and target.c.bytes <= source.c.bytes
    own = written - target.pixel_bytes if aligned else written
    return ahead(read, own, written)


def ahead(read: np.ndarray, own: np.ndarray, written: np.ndarray) -> int:
    """How far an input must begin above an output that is computed part by part.

    For each part, in bytes from where the tensor begins: the first that is read, those that are
    written of this part and all before until the last is read, and those written in the end.
    """
    # What is read for any part after this one; nothing after the last.
    later = np.append(np.minimum.accumulate(read[::-1])[::-1][1:], np.iinfo(np.int64).max)
    return max(0, int((own - read).max()), int((written - later).max()))


def grouped_overlap(step: Step, size: tuple[int, int], together: int) -> int:
    """As `overlap`, for a kernel that reads the windows of `together` pixels before it writes them.

    No window is read twice; the last group may have fewer pixels.
    """
    read = _reads(step, size)
    starts = np.arange(0, read.size, together)
    groups = np.minimum.reduceat(read, starts)
    later = np.minimum.accumulate(groups[::-1])[::-1][1:]
    written = starts[1:] * step.output.storage.pixel_bytes
    return max(0, int((written - later).max(initial=0)))


def _reads(step: Step, size: tuple[int, int]) -> np.ndarray:
    """Where the first byte lies that each window reads: int64 [output pixels]."""
    op, source = step.op, step.inputs[0]
    assert isinstance(op, Windowed)
    _, in_rows, in_columns, _ = source.type.shape
    _, out_rows, out_columns, _ = step.output.type.shape
    vertical, horizontal = op.windows(size)
    first_row = _first(vertical, in_rows, out_rows)
    first_column = _first(horizontal, in_columns, out_columns)
    pixel = first_row[:, None] * in_columns + first_column[None, :]
    return pixel.ravel() * source.storage.pixel_bytes


def overlap_by_rows(step: Step, size: tuple[int, int]) -> int:
    """As `overlap`, for a kernel that reads all rows of a window before it writes a row's outputs.

    Rows that an earlier window reached are not read again.
    """
    op, source, target = step.op, step.inputs[0], step.output
    assert isinstance(op, Windowed)
    window, _ = op.windows(size)
    _, in_rows, in_columns, _ = source.type.shape
    _, out_rows, out_columns, _ = target.type.shape
    rows = np.arange(out_rows)
    behind = rows * window.stride - window.before + (window.size - 1) * window.dilation + 1
    unread = np.clip(behind, 0, in_rows) * in_columns * source.storage.pixel_bytes
    written = (rows + 1) * out_columns * target.storage.pixel_bytes
    return max(0, int((written - unread)[behind < in_rows].max(initial=0)))


def _first(window: Window, extent: int, positions: int) -> np.ndarray:
    """First position inside the image that each window reads (the end where it reads none)."""
    origin = np.arange(positions) * window.stride - window.before
    steps = np.maximum(0, -(origin // window.dilation))
    return np.minimum(origin + steps * window.dilation, extent)


def elementwise_overlap(step: Step) -> tuple[int | None, ...]:
    """For kernels that go through all operands once, pixel by pixel, from the first element.

    Words of several planes lie apart: they may be written before any input of their pixel is read.
    """
    target, element = step.output.storage, step.output.type.element
    pixels = target.count // target.pixel_units
    overlaps: list[int | None] = []
    for item in step.inputs:
        source = item.storage
        first = pixels - 1 if target.pixel_bytes > source.pixel_bytes else 0
        distance = max(0, pixels * (target.pixel_bytes - source.pixel_bytes))
        if isinstance(element, Planes) and element.count > 1:
            distance = (first + 1) * target.pixel_bytes - first * source.pixel_bytes
        overlaps.append(distance)
    return tuple(overlaps)
