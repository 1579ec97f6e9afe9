"""Operators that move values: PAD, RESHAPE, TRANSPOSE, CONCATENATION, slices, and their kin."""

from dataclasses import replace

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE, Activation, Context, memory_shape
from mcugen.frontend.tflite.graph import Operator
from mcugen.frontend.tflite.options import ConcatenationOptions, StridedSliceOptions
from mcugen.ir import ops

#: What may be moved without a look at it.
DTYPES = ("int8", "uint8", "int16")


def reshape(ctx: Context, operator: Operator) -> None:
    """The shape is the result's: the file says it, whatever operand or option it came from."""
    x, result = ctx.activation(operator, 0, DTYPES), ctx.result(operator, 0, DTYPES)
    ctx.finish(operator, ops.Reshape(x.ref, shape=memory_shape(result.shape)))


def pad(ctx: Context, operator: Operator) -> None:
    """Real zero around rows and columns, or what PADV2 says."""
    x, result = ctx.activation(operator, 0, DTYPES), ctx.result(operator, 0, DTYPES)
    widths = ctx.constant(operator, 1).astype(np.int64)
    if widths.shape != (len(x.shape), 2) or widths.min() < 0:
        raise fail(STAGE, f"padding {widths.tolist()} of {list(x.shape)}")
    value = result.zero
    if operator.name == "PADV2" and ctx.operand(operator, 2) is not None:
        value = int(ctx.constant(operator, 2).ravel()[0])
    outer = np.delete(widths, [1, 2], axis=0) if len(x.shape) == 4 else widths
    if outer.any():
        raise fail(STAGE, f"padding {widths.tolist()}", want="rows and columns of an image")
    if not widths.any():
        ctx.finish(operator, _same(ctx, x))
        return
    sides = tuple(int(width) for width in widths[1:3].ravel())
    padding = (sides[0], sides[1], sides[2], sides[3])
    ctx.finish(operator, ops.Pad(x.ref, padding=padding, value=value))


def _same(ctx: Context, x: Activation) -> ops.Reshape:
    """What is there already, under another name."""
    return ops.Reshape(x.ref, shape=ctx.builder.types[x.ref].shape)


def transpose(ctx: Context, operator: Operator) -> None:
    x = ctx.activation(operator, 0, DTYPES)
    perm = [int(axis) for axis in ctx.constant(operator, 1).ravel()]
    if sorted(perm) != list(range(len(x.shape))):
        raise fail(STAGE, f"the order {perm} of {list(x.shape)}")
    if len(memory_shape(x.shape)) > len(x.shape):
        perm = [0, *(axis + 1 for axis in perm)]
    elif perm[0] != 0:
        raise fail(STAGE, f"the order {perm} moves the batch", want="0 first")
    ctx.finish(operator, ops.Transpose(x.ref, perm=tuple(perm)))


def concatenate(ctx: Context, operator: Operator) -> None:
    """Operands on the grid of the result: LiteRT asks for that too."""
    options = ctx.options(operator, ConcatenationOptions)
    result = ctx.result(operator, 0, DTYPES)
    xs = [ctx.activation(operator, position, DTYPES) for position in range(len(operator.inputs))]
    if options.fused_activation_function != "NONE":
        raise fail(STAGE, f"a fused {options.fused_activation_function} in CONCATENATION")
    for x in xs:
        if (x.scale, x.zero) != (result.scale, result.zero):
            raise fail(STAGE, "CONCATENATION of different grids", got=str(x.tensor))
    axis = _axis(options.axis, result.shape)
    ctx.finish(operator, ops.Concat(tuple(x.ref for x in xs), axis=axis))


def split(ctx: Context, operator: Operator) -> None:
    """SPLIT has the axis first; SPLIT_V sizes second and the axis third. Results say the sizes."""
    by_size = operator.name == "SPLIT_V"
    x = ctx.activation(operator, 0 if by_size else 1, DTYPES)
    axis = _axis(int(ctx.constant(operator, 2 if by_size else 0).ravel()[0]), x.shape)
    inner = axis - (len(memory_shape(x.shape)) - len(x.shape))
    begin = 0
    for position in range(len(operator.outputs)):
        result = ctx.result(operator, position, DTYPES)
        if len(result.shape) != len(x.shape):
            raise fail(STAGE, f"a part {list(result.shape)} of {list(x.shape)}")
        end = begin + result.shape[inner]
        if end > x.shape[inner]:
            raise fail(STAGE, f"parts of {end} positions of {x.shape[inner]}")
        whole = end - begin == x.shape[inner]
        part = ops.Slice(x.ref, axis=axis, begin=begin, end=end)
        ctx.finish(operator, _same(ctx, x) if whole else part, position)
        begin = end


def slice_(ctx: Context, operator: Operator) -> None:
    """Begins and sizes of all axes; a size of −1 is what remains."""
    x = ctx.activation(operator, 0, DTYPES)
    begins, sizes = (ctx.constant(operator, part).ravel().tolist() for part in (1, 2))
    if not len(begins) == len(sizes) == len(x.shape):
        raise fail(STAGE, f"begins {begins}, sizes {sizes} of {list(x.shape)}")
    ends = [
        extent if size == -1 else begin + size
        for begin, size, extent in zip(begins, sizes, x.shape, strict=True)
    ]
    _cut(ctx, operator, list(zip(begins, ends, strict=True)))


def strided_slice(ctx: Context, operator: Operator) -> None:
    """Begins, ends and strides of all axes, of which masks leave some open; strides of one."""
    options = ctx.options(operator, StridedSliceOptions)
    x = ctx.activation(operator, 0, DTYPES)
    begins, ends, strides = (ctx.constant(operator, part).ravel().tolist() for part in (1, 2, 3))
    if options.ellipsis_mask or options.new_axis_mask or options.offset:
        raise fail(STAGE, "STRIDED_SLICE with an ellipsis, new axis or offset")
    if not len(begins) == len(ends) == len(strides) == len(x.shape) or set(strides) != {1}:
        got = f"{begins}, {ends}, {strides} of {list(x.shape)}"
        raise fail(STAGE, "STRIDED_SLICE of some axes, or with steps", got=got, want="strides of 1")
    spans = []
    for axis, extent in enumerate(x.shape):
        begin = 0 if options.begin_mask >> axis & 1 else _clamped(begins[axis], extent)
        end = extent if options.end_mask >> axis & 1 else _clamped(ends[axis], extent)
        spans.append((begin, begin + 1 if options.shrink_axis_mask >> axis & 1 else end))
    _cut(ctx, operator, spans)


def _clamped(position: int, extent: int) -> int:
    """A position that may count from the end."""
    return min(max(position + extent if position < 0 else position, 0), extent)


def _cut(ctx: Context, operator: Operator, spans: list[tuple[int, int]]) -> None:
    """Finish with the positions begin … end − 1 of each axis."""
    x = ctx.activation(operator, 0, DTYPES)
    for (begin, end), extent in zip(spans, x.shape, strict=True):
        if not 0 <= begin < end <= extent:
            raise fail(STAGE, f"positions {begin} … {end - 1} of {extent}")
    added = len(memory_shape(x.shape)) - len(x.shape)
    whole = list(zip(spans, x.shape, strict=True))
    cuts = [axis for axis, (span, extent) in enumerate(whole) if span != (0, extent)]
    ref = x.ref
    for axis in cuts:
        begin, end = spans[axis]
        ref = ctx.add(operator, ops.Slice(ref, axis=axis + added, begin=begin, end=end), "cut")
    ctx.finish(operator, _same(ctx, replace(x, ref=ref)))


def _axis(axis: int, shape: tuple[int, ...]) -> int:
    """An axis of the file, which may count from the end, in the program."""
    if not -len(shape) <= axis < len(shape):
        raise fail(STAGE, f"axis {axis} of {list(shape)}")
    return axis % len(shape) + len(memory_shape(shape)) - len(shape)
