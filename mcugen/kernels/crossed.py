"""Dense layers of 8-bit integers by one product for two: what `conv2d_crossed` and `linear_crossed`
share, for cores without SMLAD.

A word holds two inputs and another two weights, crossed. Of their product modulo 2^32,

    (x0 + 2^16·x1)·(w1 + 2^16·w0) = x0·w1 + 2^16·(x0·w0 + x1·w1),

the upper half is the sum of two products, less one if x0·w1 is negative, which bit 15 says: a shift
by 16 leaves it in the carry, and the addition takes that in. Both parts fit 16 bits, so nothing
overflows and no weights are too large; three instructions and cycles for two products.

Inputs are expanded to such words in scratch memory, once for all outputs; weights lie as words of
two in flash. Three pixels meet two outputs at a time on Armv7-M, one pixel meets two outputs on
Armv6-M and in linear layers; templates/crossed.j2 holds the loops. The packing is that of
`paired`, whose templates lay the layers out.
"""

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Int
from mcugen.kernels.constants import Constant, bit_words
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.finish import Finish, finish, saturates
from mcugen.kernels.paired import Paired, Shape, result_of
from mcugen.kernels.step import Step
from mcugen.kernels.storage import INT8, INT16, UINT8
from mcugen.kernels.upper import most
from mcugen.target.cores import Core

#: Inputs that are expanded at a time, and outputs whose sums are formed together.
_WORD = 4
_LANES = 2
_TOGETHER = 3
#: Bits that sums are shifted up for the upper half of a product to be precise.
_BITS = 8


def accepts(step: Step, core: Core, op: type[ops.Conv2d | ops.Linear]) -> bool:
    """`step` is an `op` of bytes by bytes, two of whose products always fit 16 bits."""
    if core.dsp or not step.main_is(op) or not step.reads_integers:
        return False
    main, c = step.op, step.inputs[0].storage.c
    assert isinstance(main, ops.Conv2d | ops.Linear)
    weights = step.env.type(main.w).element
    assert isinstance(weights, Int)
    if c not in (INT8, UINT8) or weights.lo < INT8.lo or weights.hi > INT8.hi:
        return False
    return c.lo <= main.x_zero <= c.hi and _fits(_rows(step))


def _rows(step: Step) -> np.ndarray:
    """Weights [output, word, input of four]."""
    op = step.op
    assert isinstance(op, ops.Conv2d | ops.Linear)
    data = step.env.data(op.w)
    rows = data.reshape(len(data), -1).astype(np.int64)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % _WORD))).reshape(len(rows), -1, _WORD)


def _fits(rows: np.ndarray) -> bool:
    """What two inputs of int8 give with their weights is int16."""
    ends = np.stack([rows * INT8.lo, rows * INT8.hi])
    pairs = [end[..., :2] + end[..., 2:] for end in (ends.min(axis=0), ends.max(axis=0))]
    return bool(pairs[0].min() >= INT16.lo and pairs[1].max() <= INT16.hi)


def shape_of(step: Step, core: Core, pixels: int) -> Shape:
    """The shape of a step that computes `pixels` pixels with all of its weights."""
    together = _TOGETHER if pixels >= _TOGETHER and core.multiply_long else 1
    channels, inputs = step.accumulator.channels, step.macs // step.accumulator.size
    return Shape(together, _LANES, -(-inputs // _WORD), -(-channels // _LANES))


def crossed(step: Step, core: Core, shape: Shape) -> Paired:
    """`step` packed for `shape`."""
    op, c = step.op, step.inputs[0].storage.c
    assert isinstance(op, ops.Conv2d | ops.Linear)
    middle = c.hi - INT8.hi
    outside = f"0x{(op.x_zero - middle) * 0x10001 & 0xFFFFFFFF:08X}u"
    form = _finish(step, shape)
    expand = (
        f"crossed_expand {'wide' if core.multiply_long else 'narrow'} {shape.together} {c.dtype}"
    )
    sums = "triples" if shape.together > 1 else "singles", *result_of(step, form)
    return Paired(
        shape=shape,
        expand=f"crossed_expand_{shape.together}_{c.dtype}",
        routine="_".join(["crossed", *sums]),
        helpers=frozenset({"crossed", expand, " ".join(["crossed_sums", *sums]), *_twins(sums)}),
        stored=form is None,
        shift=form.shift if form else None,
        outside=(outside, outside),
        weights=_packed(step, shape, middle, form),
        epilogue=None if form else epilogue_of(step),
    )


def _twins(sums: tuple[str, ...]) -> tuple[str, ...]:
    """What the portable twin of a loop that finishes its sums calls."""
    if len(sums) < 3:
        return ()
    return ("upper" if sums[1] == "once" else "product", f"saturate {sums[2]}")


def _finish(step: Step, shape: Shape) -> Finish | None:
    """How the loops finish sums; they shift them up first."""
    op = step.op
    assert isinstance(op, ops.Conv2d | ops.Linear)
    if step.epilogue is None or step.accumulator.channels % shape.lanes:
        return None
    bits = 1 if isinstance(step.epilogue.op, ops.Rescale) else _BITS
    low, high = op.products(step.env).bounds
    return None if max(-low.min(), high.max()) > most(bits) else finish(step, (low, high), bits)


def _packed(step: Step, shape: Shape, middle: int, form: Finish | None) -> Constant:
    """For each block of outputs: starts, words of weights, then numbers for the finish."""
    op = step.op
    assert isinstance(op, ops.Conv2d | ops.Linear)
    rows = _rows(step)
    start = (middle - op.x_zero) * rows.sum(axis=(1, 2)) + (form.start if form else 0)
    words = rows[..., 2:] + (rows[..., :2] << 16)
    flat = np.concatenate([start[:, None], words.reshape(len(rows), -1)], axis=1) & 0xFFFFFFFF
    missing = shape.blocks * shape.lanes - len(rows)
    blocks = np.pad(flat, ((0, missing), (0, 0))).reshape(shape.blocks, shape.lanes, -1)
    streams = [blocks.swapaxes(1, 2).reshape(shape.blocks, -1)]
    layout = f"[block of outputs]: [start, then crossed pairs of inputs][{shape.lanes} outputs]"
    if form:
        streams.append((form.columns & 0xFFFFFFFF).reshape(shape.blocks, -1))
        layout += ", then [output] numbers for the finish"
    packed = np.concatenate(streams, axis=1).astype("<u4")
    return bit_words("weights", packed, "weights", layout)


def cost(step: Step, core: Core, shape: Shape, pixels: int) -> int:
    """Cycles as the cycle model counts them: loops, inputs expanded, what stores outputs."""
    groups = -(-pixels // shape.together)
    turn = 49 if shape.together > 1 else 21.5
    block = shape.words * turn + 40
    slow = not core.multiply_long
    expanded = (20 if slow else 11) * shape.words + 40
    finished = saturates(step) and step.accumulator.channels % shape.lanes == 0
    output = (38 if slow else 11) if finished else (58 if slow else 25)
    stored = output * step.accumulator.size
    return round(groups * (shape.blocks * block + shape.together * expanded + 60) + stored)
