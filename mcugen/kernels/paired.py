"""Dense layers of 8-bit integers by pairs: what `conv2d_paired` and `linear_paired` share.

SMLAD multiplies two pairs of int16. Weights stay bytes in flash: of four, a word holds the halves
256·w1 + w0 and 256·w3 + w2, one SXTB16 of it is (w0, w2), and w1, w3 need no unpacking, since

    (256·w1 + w0)·x1 + w0·(256·x0 − x1) = 256·(w1·x1 + w0·x0).

Inputs are expanded to such pairs in scratch memory, once for all outputs; x1 counts from the upper
end of its type, so that 256·x0 − x1 fits int16, for which the starts of the sums make up. Sums are
256 times what they stand for, modulo 2^32: only the whole sum must fit 24 bits.

Four pixels meet two outputs at a time, or one pixel meets four outputs where there are few pixels;
templates/paired.j2 holds both loops. A step that scales its sums onto 8 bits is finished in
registers (see `finish`), any other stores them for the epilogue.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Int
from mcugen.kernels.constants import Constant, bit_words
from mcugen.kernels.epilogue import Epilogue, epilogue_of
from mcugen.kernels.finish import Finish, finish, saturates
from mcugen.kernels.step import Step
from mcugen.kernels.storage import INT8, INT16
from mcugen.kernels.upper import most
from mcugen.target.cores import Core

#: Sums are 2^BITS times too large.
BITS = 8
#: Inputs in a word of weights.
_WORD = 4


@dataclass(frozen=True)
class Shape:
    """How a step is computed: pixels and outputs at a time, words of weights for each output."""

    together: int
    lanes: int
    words: int
    blocks: int


@dataclass(frozen=True, eq=False)
class Paired:
    """A step, packed; templates see it as `k.paired`."""

    shape: Shape
    expand: str
    """The shared function that expands inputs, behind the model's prefix."""
    routine: str
    """That which forms sums."""
    helpers: frozenset[str]
    """Both, and what they need."""
    stored: bool
    """It stores them; else it stores outputs."""
    shift: int | None
    """The last shift of all channels, where it is one."""
    outside: tuple[str, str]
    """Both words of inputs at the zero point, as C."""
    weights: Constant
    epilogue: Epilogue | None

    @property
    def scratch_words(self) -> int:
        """Expanded inputs, and sums behind them."""
        shape = self.shape
        sums = shape.blocks * shape.lanes * shape.together if self.stored else 0
        return 2 * shape.words * shape.together + sums


def accepts(step: Step, core: Core, op: type[ops.Conv2d | ops.Linear]) -> bool:
    """`step` is an `op` of 8-bit integers whose weights pair up and whose sums fit 24 bits."""
    if not core.dsp or not step.main_is(op) or not step.reads_integers:
        return False
    element, main = step.inputs[0].type.integer, step.op
    assert isinstance(main, ops.Conv2d | ops.Linear)
    weights = step.env.type(main.w).element
    assert isinstance(weights, Int)
    if element.bits > BITS or weights.lo < INT8.lo or weights.hi > INT8.hi:
        return False
    c = step.inputs[0].storage.c
    if not c.lo <= main.x_zero <= c.hi or _halves(_rows(step)).min() < INT16.lo:
        return False
    low, high = main.products(step.env).bounds
    return max(-low.min(), high.max()) <= most(BITS)


def _rows(step: Step) -> np.ndarray:
    """Weights [output, input], of as many inputs as fill words."""
    op = step.op
    assert isinstance(op, ops.Conv2d | ops.Linear)
    data = step.env.data(op.w)
    rows = data.reshape(len(data), -1).astype(np.int64)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % _WORD)))


def _halves(rows: np.ndarray) -> np.ndarray:
    return 256 * rows[:, 1::2] + rows[:, ::2]


def shape_of(step: Step, pixels: int) -> Shape:
    """The shape that computes `pixels` pixels with all of the step's weights in fewer cycles."""
    channels, inputs = step.accumulator.channels, step.macs // step.accumulator.size
    words = -(-inputs // _WORD)
    shapes = [Shape(1, 4, words, -(-channels // 4))]
    if pixels >= 4:
        shapes.append(Shape(4, 2, words, -(-channels // 2)))
    return min(shapes, key=lambda shape: _summing(shape, pixels))


def _summing(shape: Shape, pixels: int) -> int:
    """Cycles of the loops, for groups of pixels of which the last one may repeat some."""
    turn, end, block = (32, 6, 77) if shape.together > 1 else (19, 4, 57)
    group = shape.blocks * (shape.words * turn + -(-shape.words // 8) * end + block)
    return -(-pixels // shape.together) * group


def paired(step: Step, shape: Shape) -> Paired:
    """`step` packed for `shape`."""
    op, c = step.op, step.inputs[0].storage.c
    assert isinstance(op, ops.Conv2d | ops.Linear)
    whole = step.accumulator.channels % shape.lanes == 0
    form = finish(step, op.products(step.env).bounds, BITS) if whole else None
    lowered = op.x_zero - (c.hi - INT8.hi)
    odd = lowered - INT8.hi
    sums = "quads" if shape.together > 1 else "singles", *result_of(step, form)
    return Paired(
        shape=shape,
        expand=f"paired_expand_{shape.together}_{c.dtype}",
        routine="_".join(["paired", *sums]),
        helpers=frozenset(
            {
                "dsp",
                f"paired_expand {shape.together} {c.dtype}",
                " ".join(["paired_sums", *sums]),
            }
        ),
        stored=form is None,
        shift=form.shift if form else None,
        outside=(_both(odd), _both(256 * lowered - odd)),
        weights=_packed(step, shape, form),
        epilogue=None if form else epilogue_of(step),
    )


def result_of(step: Step, form: Finish | None) -> tuple[str, ...]:
    """How sums become outputs of which type, where they do."""
    return (form.way, step.output.storage.c.name.removesuffix("_t")) if form else ("sums",)


def _both(value: int) -> str:
    return f"0x{(value & 0xFFFF) * 0x10001:08X}u"


def _packed(step: Step, shape: Shape, form: Finish | None) -> Constant:
    """For each block of outputs: starts, words of weights, then numbers for the finish."""
    op, c = step.op, step.inputs[0].storage.c
    assert isinstance(op, ops.Conv2d | ops.Linear)
    rows = _rows(step)
    above = np.full(rows.shape[1], c.hi - INT8.hi)
    above[1::2] = c.hi
    start = (rows * (above - op.x_zero)).sum(axis=1) + (form.start if form else 0)
    words = np.ascontiguousarray(_halves(rows), dtype="<i2").view("<u4")
    parts = [(start << BITS)[:, None] & 0xFFFFFFFF, words]
    if form:
        parts.append(form.columns & 0xFFFFFFFF)
    missing = shape.blocks * shape.lanes - len(rows)
    blocks = [
        np.pad(part, ((0, missing), (0, 0))).reshape(shape.blocks, shape.lanes, -1)
        for part in parts
    ]
    streams = [blocks[0].swapaxes(1, 2), blocks[1].swapaxes(1, 2), *blocks[2:]]
    flat = np.concatenate([item.reshape(shape.blocks, -1) for item in streams], axis=1)
    lanes = f"[{shape.lanes} outputs]"
    layout = f"[block of outputs]: starts {lanes}, then [four inputs]{lanes}"
    if form:
        layout += f", then {lanes} numbers for the finish"
    return bit_words("weights", flat.astype("<u4"), "weights", layout)


def cost(step: Step, shape: Shape, pixels: int, gathered: int) -> int:
    """Cycles as the cycle model counts them: loops, inputs expanded, what stores outputs.

    `gathered`: those that a pixel takes before its window is expanded.
    """
    groups = -(-pixels // shape.together)
    fused = saturates(step) and step.accumulator.channels % shape.lanes == 0
    expanded = shape.together * (7 * shape.words + 20 + gathered)
    stored = 0 if fused else 20 * step.accumulator.size
    return _summing(shape, pixels) + groups * (expanded + 40) + stored
