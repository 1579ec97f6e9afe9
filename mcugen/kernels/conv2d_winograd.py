"""3x3 convolution of 8-bit integers by Winograd's F(2x2, 3x3), in integers and exact.

Two by two outputs from four by four inputs d take 16 products a channel in place of 36 (Lavin and
Gray, "Fast Algorithms for Convolutional Neural Networks", 2015):

    outputs = Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A

With 2·G for G all is integers, and the outputs are four times too large. Inputs are sums of at most
four bytes, weights of at most nine: int16, two in a word. Sums of products are formed modulo 2^32,
so only four times the result must fit. Two tiles beside each other meet four outputs at a time; the
last tiles of a row, and the last row of tiles, may repeat outputs. Weights take 32 bytes for nine.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Int
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import Constant, bit_words
from mcugen.kernels.finish import Finish, finish, saturates
from mcugen.kernels.step import Step
from mcugen.kernels.storage import INT8
from mcugen.kernels.upper import most
from mcugen.target.cores import Core

#: Outputs are 2^BITS times too large.
BITS = 2
#: Outputs that are computed together, rows and columns, and the inputs that they take.
ROWS, COLUMNS = 2, 4
READ_ROWS, READ_COLUMNS = 4, 6
LANES = 4
#: Loops over more channels than this would be long.
_MOST_CHANNELS = 128
_G = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])


@dataclass(frozen=True)
class Context:
    rows: int
    columns: int
    rows_in: int
    columns_in: int
    top: int
    left: int
    """Padding."""
    inside: bool
    """Some tiles lie inside of the image."""
    channels_in: int
    channels_out: int
    blocks: int
    block_words: int
    """Words of weights of a block of outputs."""
    numbers: int
    """Numbers for the finish of a block of outputs."""
    sums_at: int
    """Where the first sums of products lie in scratch memory, and the inputs at borders."""
    window_at: int
    chunk: int
    """Bytes that are moved at a time."""
    zero: int
    shift: int | None
    result: str
    dtype: str


def accepts(step: Step, core: Core) -> bool:
    if not core.dsp or not step.main_is(ops.Conv2d) or not _fits(step):
        return False
    return _finish(step) is not None


def _fits(step: Step) -> bool:
    op, source = step.op, step.inputs[0]
    assert isinstance(op, ops.Conv2d)
    if not source.is_integer or source.type.integer.bits > 8 or not saturates(step):
        return False
    weights = step.env.type(op.w)
    assert isinstance(weights.element, Int)
    plain = (op.groups, op.stride, op.dilation) == (1, (1, 1), (1, 1))
    shape = weights.shape[1:3] == (3, 3) and source.type.channels <= _MOST_CHANNELS
    whole = source.type.channels % 4 == 0 and step.accumulator.channels % LANES == 0
    _, rows, columns, _ = step.accumulator.shape
    narrow = INT8.lo <= weights.element.lo and weights.element.hi <= INT8.hi
    zero = source.storage.c.lo <= op.x_zero <= source.storage.c.hi
    return all((plain, shape, whole, narrow, zero, rows >= ROWS, columns >= COLUMNS))


def _finish(step: Step) -> Finish | None:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    low, high = op.products(step.env).bounds
    return None if max(-low.min(), high.max()) > most(BITS) else finish(step, (low, high), BITS)


def _start(step: Step) -> np.ndarray:
    """What accumulators start with, for inputs that are not centred: int64 [outputs]."""
    op = step.op
    assert isinstance(op, ops.Conv2d)
    weights = step.env.data(op.w).astype(np.int64)
    return -op.x_zero * weights.sum(axis=(1, 2, 3))


def _groups(step: Step) -> Iterator[tuple[int, int]]:
    """First row and column of the outputs that are computed together, in order."""
    _, rows, columns, _ = step.accumulator.shape
    for row in range(0, rows, ROWS):
        for column in range(0, columns, COLUMNS):
            yield min(row, rows - ROWS), min(column, columns - COLUMNS)


def _overlap(step: Step) -> int:
    """How far the input must begin above the output."""
    op, source, target = step.op, step.inputs[0], step.output.storage
    assert isinstance(op, ops.Conv2d)
    top, _, left, _ = op.padding
    columns_in, columns = source.type.shape[2], step.accumulator.shape[2]
    groups = np.array(list(_groups(step)))
    first = np.maximum(groups - (top, left), 0)
    read = (first[:, 0] * columns_in + first[:, 1]) * source.storage.pixel_bytes
    last = (groups[:, 0] + ROWS - 1) * columns + groups[:, 1] + COLUMNS
    written = np.maximum.accumulate(last * target.pixel_bytes)
    later = np.minimum.accumulate(read[::-1])[::-1][1:]
    return max(0, int((written[:-1] - later).max(initial=0)))


def cost(step: Step, core: Core) -> int:
    del core
    channels, outputs = step.inputs[0].type.channels, step.accumulator.channels
    groups = len(list(_groups(step)))
    transform = 2 * 45 * channels + 40 + 12 * channels
    block = 16 * (8 * channels + 12) + 8 * 85 + 60
    return groups * (transform + outputs // LANES * block + 60)


def build(step: Step, core: Core) -> Recipe:
    del core
    op, source, form = step.op, step.inputs[0], _finish(step)
    assert isinstance(op, ops.Conv2d)
    assert form is not None  # `accepts` found it
    channels, outputs = source.type.channels, step.accumulator.channels
    dtype, result = source.storage.c.dtype, f"{form.way}_{step.output.storage.c.dtype}"
    apart = channels + 2 * LANES
    context = Context(
        rows=step.accumulator.shape[1],
        columns=step.accumulator.shape[2],
        rows_in=source.type.shape[1],
        columns_in=source.type.shape[2],
        top=op.padding[0],
        left=op.padding[2],
        inside=source.type.shape[1] >= READ_ROWS and source.type.shape[2] >= READ_COLUMNS,
        channels_in=channels,
        channels_out=outputs,
        blocks=outputs // LANES,
        block_words=16 * channels // 2 * LANES,
        numbers=LANES * (1 + form.columns.shape[1]),
        sums_at=channels,
        window_at=16 * apart,
        chunk=16 if channels % 16 == 0 else 4,
        zero=op.x_zero,
        shift=form.shift,
        result=result,
        dtype=str(dtype),
    )
    helpers = {f"winograd_input {channels} {dtype}", f"winograd_products {channels}"}
    helpers |= {"dsp", f"winograd_output {channels} {result.replace('_', ' ')}"}
    return Recipe(
        context=context,
        constants=(_weights(step), _numbers(step, form)),
        overlaps=(_overlap(step),),
        epilogue=None,
        # Layers of as many channels share most of it.
        code_bytes=2000,
        scratch_bytes=4 * 16 * apart + READ_ROWS * READ_COLUMNS * channels,
        helpers=frozenset(helpers),
    )


def _weights(step: Step) -> Constant:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    weights = step.env.data(op.w).astype(np.int64)
    moved = np.einsum("ai,oijc,bj->oabc", _G, weights, _G)
    outputs, channels = len(weights), weights.shape[3]
    # Words hold channels 0 and 2 of four, then 1 and 3, as the bytes of inputs come apart.
    pairs = moved.reshape(outputs // LANES, LANES, 16, channels // 4, 2, 2).swapaxes(4, 5)
    words = np.ascontiguousarray(pairs.transpose(0, 2, 3, 4, 1, 5), dtype="<i2").view("<u4")
    layout = f"[block of outputs][16][two inputs][{LANES} outputs]: pairs of int16"
    return bit_words("weights", words, "weights", layout)


def _numbers(step: Step, form: Finish) -> Constant:
    start = (_start(step) + form.start) << BITS
    table = np.concatenate([start[:, None], form.columns], axis=1)
    layout = "[output]: start, then what the finish takes"
    return bit_words("numbers", (table & 0xFFFFFFFF).astype("<u4"), "table", layout)


KERNEL = Kernel(
    "conv2d_winograd",
    "3x3 conv2d of 8-bit integers by 8-bit integers without groups, in less than half the products",
    accepts,
    cost,
    build,
)
