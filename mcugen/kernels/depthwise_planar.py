"""Depthwise convolution of bytes channel by channel.

Four channels at a time are drawn out of the image into planes in scratch memory, with their padding
around them; the bytes of each plane then go to where the channel lies in the output. Lines of a
plane are rows of the image or columns, whichever takes fewer cycles. Two taps are
taken at a time (see straight.windows), without the DSP extension by crossed products; on Armv6-M
the compiler sees to the twin in C.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from mcugen.ir import ops
from mcugen.ir.ops import Window
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import Constant, bit_words
from mcugen.kernels.finish import Finish, finish, saturates
from mcugen.kernels.step import Step
from mcugen.kernels.storage import INT8, UINT8, CType
from mcugen.kernels.straight.plane import FARTHEST, Plane
from mcugen.kernels.straight.windows import Reach, Windows
from mcugen.kernels.upper import most
from mcugen.target.cores import Core

#: Channels that are drawn out together: the bytes of a word.
TOGETHER = 4
#: Outputs across the lines that a tile may have.
_ROWS = range(1, 9)
#: How much slower smaller code may be.
_NEAR = 1.03


@dataclass(frozen=True)
class Span:
    """One axis of the image as the planes see it, in positions of the input."""

    count: int
    """Positions that are drawn out."""
    step: int
    """Bytes of the input from one to the next."""
    before: int
    """Positions of padding ahead of them."""


@dataclass(frozen=True)
class TapPlace:
    """A tap in the portable twin."""

    word: int
    """The parameter that holds its weight, and how far up."""
    up: int
    at: int
    """Its byte behind the window's first."""


@dataclass(frozen=True)
class Number:
    """A byte of two neighbouring windows, and which tap of the first and the second meets it."""

    at: int
    first: int | None
    second: int | None


@dataclass(frozen=True)
class Context:
    plane: Plane
    assembly: tuple[str, ...]
    taps: tuple[TapPlace, ...]
    numbers: tuple[Number, ...]
    """What two neighbouring outputs read, in memory order."""
    pairs: int
    """Such pairs along a line."""
    number_c: str
    """A byte of the input as a number."""
    middle: int
    """What is subtracted from it."""
    byte: str
    """The type of outputs: int8 or uint8."""
    across: Span
    along: Span
    first: int
    """The byte of a plane where the image begins."""
    plane_bytes: int
    scratch_words: int
    outside: str
    """A word of padding as C."""
    channels: int
    together: int
    """Channels in whole words."""
    copies: int
    """Outputs per channel."""
    words: int
    """Parameters of an output."""
    twice: bool
    """Sums are rounded twice."""


@dataclass(frozen=True)
class _Axis:
    """An axis of the image: windows, positions, and bytes from one to the next."""

    window: Window
    input: int
    output: int
    step_in: int
    step_out: int

    @property
    def reach(self) -> Reach:
        window = self.window
        return Reach(window.size, window.stride, window.dilation, self.output, self.step_out)

    @property
    def span(self) -> Span:
        seen = self.reach.span(self.output) - self.window.before
        return Span(max(0, min(self.input, seen)), self.step_in, self.window.before)


def accepts(step: Step, core: Core) -> bool:
    """Bytes by bytes onto bytes, each output channel from one of the input's."""
    op = step.op
    if not isinstance(op, ops.Conv2d) or not step.reads_integers:
        return False
    source, weights = step.inputs[0], step.env.type(op.w).integer
    if op.groups != source.type.channels or not _holds(INT8, weights.lo, weights.hi):
        return False
    c = source.storage.c
    if c not in (INT8, UINT8) or (any(op.padding) and not _holds(c, op.x_zero, op.x_zero)):
        return False
    if core.multiply_long and not core.dsp and not _fits(step):
        return False
    low, high = op.products(step.env).bounds
    seen = all(axis.span.count for axis in _axes(step))
    small = max(-low.min(), high.max()) <= most(_bits(step))
    if not seen or not small or not saturates(step) or _chosen(step, core) is None:
        return False
    return _finish(step) is not None


def _fits(step: Step) -> bool:
    """No two crossed products can exceed 16 bits: two weights of −128 would."""
    op = step.op
    assert isinstance(op, ops.Conv2d)
    return int((step.env.data(op.w) == INT8.lo).sum(axis=(1, 2, 3)).max()) < 2


def _holds(c: CType, lo: int, hi: int) -> bool:
    return c.lo <= lo and hi <= c.hi


def _twice(step: Step) -> bool:
    """Sums are rounded twice."""
    return step.epilogue is not None and isinstance(step.epilogue.op, ops.Rescale)


def _bits(step: Step) -> int:
    """Weights are so many bits too large: what is rounded twice takes one, else more are better."""
    return 1 if _twice(step) else INT8.bytes * 8


def _finish(step: Step) -> Finish | None:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    return finish(step, op.products(step.env).bounds, _bits(step))


def _axes(step: Step) -> tuple[_Axis, _Axis]:
    """Rows and columns of the image."""
    op = step.op
    assert isinstance(op, ops.Conv2d)
    _, height, width, _ = step.env.type(op.w).shape
    vertical, horizontal = op.windows((height, width))
    _, in_rows, in_columns, in_channels = step.inputs[0].type.shape
    _, out_rows, out_columns, channels = step.output.type.shape
    return (
        _Axis(vertical, in_rows, out_rows, in_columns * in_channels, out_columns * channels),
        _Axis(horizontal, in_columns, out_columns, in_channels, channels),
    )


def _late(step: Step, core: Core) -> int:
    """Crossed weights must be small; it is their sums that are shifted up."""
    return 0 if core.dsp else _bits(step)


def _chosen(step: Step, core: Core) -> tuple[Plane, bool] | None:
    """The plane of a channel of `step`, and whether its lines are columns of the image.

    None where nothing is near enough for loads and stores.
    """
    rows, columns = _axes(step)
    signed = step.inputs[0].storage.c is INT8, step.output.storage.c is INT8
    finish = 3 if _twice(step) else 2, _late(step, core)
    upright = _fastest(rows.reach, columns.reach, finish, signed)
    turned = _fastest(columns.reach, rows.reach, finish, signed)
    found = [(plane, way) for plane, way in ((upright, False), (turned, True)) if plane]
    return min(found, key=lambda item: item[0].cycles, default=None)


@cache
def _fastest(
    across: Reach, along: Reach, finish: tuple[int, int], signed: tuple[bool, bool]
) -> Plane | None:
    """The plane with the tiles that take the fewest cycles, or little more and less code."""
    line = -(-along.span(along.outputs) // 4) * 4
    windows = Windows(across, along, line, finish[0], late=finish[1])
    planes = [Plane(windows, *signed, rows) for rows in _ROWS if rows <= across.outputs]
    planes = [plane for plane in planes if plane.reach <= FARTHEST]
    if not planes:
        return None
    least = min(plane.cycles for plane in planes)
    near = [plane for plane in planes if plane.cycles <= _NEAR * least]
    return min(near, key=lambda plane: len(plane.lines))


def cost(step: Step, core: Core) -> int:
    """Cycles as the cycle model counts them, within a tenth where it was compared."""
    chosen = _chosen(step, core)
    assert chosen is not None  # held by accepts
    drawn = (3 if core.unaligned else 10) * step.inputs[0].type.size
    if core.multiply_long:
        return step.output.type.channels * (chosen[0].cycles + 15) + drawn
    return 7 * step.macs + 60 * step.output.type.size + drawn


def build(step: Step, core: Core) -> Recipe:
    op, form, chosen = step.op, _finish(step), _chosen(step, core)
    assert isinstance(op, ops.Conv2d)
    assert form is not None  # held by accepts
    assert chosen is not None
    turned, windows = chosen[1], replace(chosen[0].windows, shift=form.shift or 0)
    plane = replace(chosen[0], windows=windows)
    rows, columns = _axes(step)
    across, along = (columns, rows) if turned else (rows, columns)
    taps = tuple(_taps(windows))
    middle = step.inputs[0].storage.c.hi - INT8.hi if windows.late else 0
    byte = step.output.storage.c.name.removesuffix("_t")
    lines = windows.across.span(windows.across.outputs)
    plane_bytes = lines * windows.line + 4
    channels = step.inputs[0].type.channels
    context = Context(
        plane=plane,
        assembly=tuple(plane.lines) if core.multiply_long else (),
        taps=taps,
        numbers=tuple(_numbers(taps, windows.along.stride)),
        pairs=windows.along.outputs // 2,
        number_c=step.inputs[0].storage.c.name,
        middle=middle,
        byte=byte,
        across=across.span,
        along=along.span,
        first=across.span.before * windows.line + along.span.before,
        plane_bytes=plane_bytes,
        scratch_words=TOGETHER * plane_bytes // 4,
        outside=f"0x{(op.x_zero & 0xFF) * 0x01010101:08X}u",
        channels=channels,
        together=channels - channels % TOGETHER,
        copies=step.output.type.channels // channels,
        words=windows.words,
        twice=_twice(step),
    )
    return Recipe(
        context=context,
        constants=(_parameters(step, windows, form, turned, middle),),
        overlaps=(None,),
        in_place=context.copies == 1,  # four channels leave the image before their outputs enter it
        epilogue=None,
        scratch_bytes=TOGETHER * plane_bytes,
        code_bytes=300 + 4 * len(plane.lines),
        helpers=frozenset(
            {
                *(["dsp" if core.dsp else "crossed"] if core.multiply_long else []),
                "product" if context.twice else "upper",
                f"saturate {byte}",
                *(["planes"] if context.together else []),
            }
        ),
    )


def _taps(windows: Windows) -> Iterator[TapPlace]:
    seen = set()
    for index, word in enumerate(windows.weights):
        for half, tap in enumerate(word):
            if tap is not None and tap not in seen:
                seen.add(tap)
                at = tap.line * windows.across.dilation * windows.line
                at += tap.along * windows.along.dilation
                crossed = windows.late and word[1] is not None
                yield TapPlace(windows.head + index, 16 * (not half if crossed else half), at)


def _numbers(taps: tuple[TapPlace, ...], stride: int) -> Iterator[Number]:
    first = {tap.at: index for index, tap in enumerate(taps)}
    second = {at + stride: index for at, index in first.items()}
    for at in sorted({*first, *second}):
        yield Number(at, first.get(at), second.get(at))


def _parameters(step: Step, windows: Windows, form: Finish, turned: bool, middle: int) -> Constant:
    """Start, multiplier, addend and weights of each output, as the tiles read them."""
    op = step.op
    assert isinstance(op, ops.Conv2d)
    up = 0 if windows.late else _bits(step)
    weights = step.env.data(op.w)[..., 0].astype(np.int64) << up
    start = (form.start << up) + (middle - op.x_zero) * weights.sum(axis=(1, 2))
    if turned:
        weights = weights.transpose(0, 2, 1)
    words = [start, *form.columns.T]
    for low, high in windows.weights:
        first = weights[:, low.line, low.along]
        second = weights[:, high.line, high.along] if high else 0
        if windows.late:
            words.append(second + (first << 16) if high else first)
        else:
            words.append((first & 0xFFFF) + (second << 16))
    layout = f"[output]: start, {windows.columns} numbers for the finish, pairs of weights"
    table = (np.stack(words, axis=1) & 0xFFFF_FFFF).astype(np.uint32)
    return bit_words("weights", table, "weights", layout)


KERNEL = Kernel(
    "depthwise_planar",
    "depthwise conv2d of bytes onto bytes, channel by channel",
    accepts,
    cost,
    build,
)
