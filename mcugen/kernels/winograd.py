"""3x3 convolutions of 8-bit integers by Winograd's F(2x2, 3x3), in integers and exact.

Two by two outputs from four by four inputs d take 16 products a channel in place of 36 (Lavin and
Gray, "Fast Algorithms for Convolutional Neural Networks", 2015):

    outputs = Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A

With 2·G for G all is integers, and the outputs are four times too large. Inputs are sums of at most
four bytes, weights of at most nine: int16, two in a word. Sums of products are formed modulo 2^32,
so only four times the result must fit. Two tiles beside each other, a group, meet four outputs at a
time; the last group of a row, and the last row of groups, may repeat outputs. The inputs of a group
lie in scratch memory, the sums of products behind each of their 16 parts. templates/winograd.j2
lays it out.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Int
from mcugen.kernels.constants import Constant, bit_words
from mcugen.kernels.finish import Finish, finish, saturates
from mcugen.kernels.step import Step
from mcugen.kernels.storage import INT8
from mcugen.kernels.upper import most
from mcugen.target.cores import Core

#: Outputs are 2^BITS times too large.
BITS = 2
#: Outputs whose sums are formed together.
LANES = 4
#: Outputs of a group, rows and columns, and the inputs that they take.
_ROWS, _COLUMNS = 2, 4
_READ_ROWS, _READ_COLUMNS = 4, 6
#: Loops over more channels than this would be long.
_MOST_CHANNELS = 128


@dataclass(frozen=True, eq=False)
class Winograd:
    """A step, ready for templates, which see it as `k.winograd`."""

    rows: int
    columns: int
    groups: int
    """In a row."""
    rows_in: int
    columns_in: int
    top: int
    left: int
    """Padding."""
    inside: bool
    """Some groups may read what lies inside of the image."""
    channels_in: int
    channels_out: int
    blocks: int
    group_words: int
    """Words of scratch memory of a group."""
    window_words: int
    """And of its inputs, gathered where some are outside of the image."""
    chunk: int
    """Bytes that are moved at a time."""
    numbers: int
    """Numbers for the finish of a block of outputs."""
    table: Constant
    zero: int
    shift: int | None
    input_dtype: str
    result: str

    @property
    def helpers(self) -> frozenset[str]:
        channels, result = self.channels_in, self.result.replace("_", " ")
        names = {
            f"winograd_input {channels} {self.input_dtype}",
            f"winograd_output {channels} {result}",
        }
        return frozenset({"dsp", f"winograd_products {channels}", *names})


def accepts(step: Step, core: Core) -> bool:
    """`step` is a 3x3 convolution that Winograd's algorithm computes and registers finish."""
    if not core.dsp or not step.main_is(ops.Conv2d) or not saturates(step) or not _fits(step):
        return False
    return _finish(step) is not None


def _fits(step: Step) -> bool:
    op, source = step.op, step.inputs[0]
    assert isinstance(op, ops.Conv2d)
    weights = step.env.type(op.w)
    if not source.is_integer or source.type.integer.bits > INT8.bytes * 8:
        return False
    assert isinstance(weights.element, Int)
    plain = (op.groups, op.stride, op.dilation) == (1, (1, 1), (1, 1))
    shape = weights.shape[1:3] == (3, 3) and source.type.channels <= _MOST_CHANNELS
    whole = source.type.channels % 4 == 0 and step.accumulator.channels % LANES == 0
    _, rows, columns, _ = step.accumulator.shape
    narrow = INT8.lo <= weights.element.lo and weights.element.hi <= INT8.hi
    zero = source.storage.c.lo <= op.x_zero <= source.storage.c.hi
    return all((plain, shape, whole, narrow, zero, rows >= _ROWS, columns >= _COLUMNS))


def _finish(step: Step) -> Finish | None:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    low, high = op.products(step.env).bounds
    return None if max(-low.min(), high.max()) > most(BITS) else finish(step, (low, high), BITS)


def winograd(step: Step) -> Winograd:
    """A step that `accepts` takes."""
    op, source, form = step.op, step.inputs[0], _finish(step)
    assert isinstance(op, ops.Conv2d)
    assert form is not None
    channels, outputs = source.type.channels, step.accumulator.channels
    _, rows, columns, _ = step.accumulator.shape
    return Winograd(
        rows=rows,
        columns=columns,
        groups=-(-columns // _COLUMNS),
        rows_in=source.type.shape[1],
        columns_in=source.type.shape[2],
        top=op.padding[0],
        left=op.padding[2],
        inside=source.type.shape[1] >= _READ_ROWS and source.type.shape[2] >= _READ_COLUMNS,
        channels_in=channels,
        channels_out=outputs,
        blocks=outputs // LANES,
        group_words=16 * (channels + 2 * LANES),
        window_words=_READ_ROWS * _READ_COLUMNS * channels // 4,
        chunk=16 if channels % 16 == 0 else 4,
        numbers=LANES * (1 + form.columns.shape[1]),
        table=_table(step, form),
        zero=op.x_zero,
        shift=form.shift,
        input_dtype=str(source.storage.c.dtype),
        result=f"{form.way}_{step.output.storage.c.dtype}",
    )


def _table(step: Step, form: Finish) -> Constant:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    centre = -op.x_zero * step.env.data(op.w).astype(np.int64).sum(axis=(1, 2, 3))
    start = (centre + form.start) << BITS
    table = np.concatenate([start[:, None], form.columns], axis=1)
    layout = "[output]: start, then what the finish takes"
    return bit_words("numbers", (table & 0xFFFFFFFF).astype("<u4"), "table", layout)


def overlap(step: Step, by_row: bool) -> int:
    """How far the input must begin above the output.

    `by_row`: inputs of a whole row of groups are read before any of it is written.
    """
    op, source, target = step.op, step.inputs[0], step.output.storage
    assert isinstance(op, ops.Conv2d)
    _, rows, columns, _ = step.accumulator.shape
    y = np.minimum(np.arange(0, rows, _ROWS), rows - _ROWS)[:, None]
    x = np.minimum(np.arange(0, columns, _COLUMNS), columns - _COLUMNS)[None, :]
    first_row, first_column = np.maximum(y - op.padding[0], 0), np.maximum(x - op.padding[2], 0)
    read = (first_row * source.type.shape[2] + first_column) * source.storage.pixel_bytes
    written = ((y + _ROWS - 1) * columns + x + _COLUMNS) * target.pixel_bytes
    turns = (read.min(axis=1), written.max(axis=1)) if by_row else (read.ravel(), written.ravel())
    later = np.minimum.accumulate(turns[0][::-1])[::-1][1:]
    return max(0, int((np.maximum.accumulate(turns[1])[:-1] - later).max(initial=0)))


def cost(step: Step) -> int:
    """Cycles as the cycle model counts them, without those of weights that are made on the way."""
    channels, outputs = step.inputs[0].type.channels, step.accumulator.channels
    _, rows, columns, _ = step.accumulator.shape
    groups = -(-rows // _ROWS) * -(-columns // _COLUMNS)
    transform = 2 * 45 * channels + 40 + 12 * channels
    block = 16 * (8 * channels + 12) + 8 * 85 + 60
    return groups * (transform + outputs // LANES * block + 60)
