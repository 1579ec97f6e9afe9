"""Shapes: PyTorch's order (NCHW) against the program's memory (NHWC), view, permute, cat, pad."""

import math
from dataclasses import replace

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.graph import GraphNode, Ref
from mcugen.frontend.lower.operands import integer, integers, number, real, tensor
from mcugen.frontend.lower.state import (
    Constant,
    Context,
    Joined,
    Pending,
    RawInput,
    Real,
    Structural,
    Tensor,
)
from mcugen.ir import ops
from mcugen.ir.types import Planes, accumulator

_TO_TORCH = (0, 3, 1, 2)
_TO_MEMORY = (0, 2, 3, 1)


def memory_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The program's shape of a PyTorch tensor: NHWC for images, the same otherwise."""
    return tuple(shape[axis] for axis in _TO_MEMORY) if len(shape) == 4 else shape


def memory_axis(axis: int, rank: int) -> int:
    """The program's axis of a PyTorch axis."""
    return _TO_MEMORY.index(axis) if rank == 4 else axis


def structural(
    ctx: Context,
    x: Real,
    op: Structural,
    shape: tuple[int, ...],
    memory: tuple[int, ...],
    node: GraphNode,
    fill: float | None = None,
) -> Real:
    """`x` behind `op`: at once when it is on a grid, else as soon as a quantizer comes."""
    if x.on_grid:
        base = f"{node.outputs[0]}.{op.mnemonic}"
        ref = ctx.builder.add(replace(op, x=x.ref), base, node.source, x.meaning)
        return replace(x, ref=ref, shape=shape, memory=memory)
    pending = Pending(op, node.source, len(x.functions), fill)
    return replace(x, pending=(*x.pending, pending), shape=shape, memory=memory)


def _transpose(
    ctx: Context, x: Real, perm: tuple[int, ...], shape: tuple[int, ...], node: GraphNode
) -> Real:
    """Reorder the memory's axes; a mere reshape where only axes of extent 1 move."""
    memory = tuple(x.memory[axis] for axis in perm)
    long_axes = [axis for axis in perm if x.memory[axis] > 1]
    op: Structural = ops.Transpose("", perm=perm)
    if long_axes == sorted(long_axes):
        op = ops.Reshape("", shape=memory)
    if memory == x.memory and isinstance(op, ops.Reshape):
        return replace(x, shape=shape)
    return structural(ctx, x, op, shape, memory, node)


def plain(ctx: Context, x: Real, node: GraphNode) -> Real:
    """`x` with PyTorch's order in memory, whatever its rank."""
    shape = x.shape
    if len(x.memory) == 4 and (x.is_image or x.is_flat_image):
        _, height, width, channels = x.memory
        x = _transpose(ctx, x, _TO_TORCH, (shape[0], channels, height, width), node)
    if x.memory != shape:
        x = structural(ctx, x, ops.Reshape("", shape=shape), shape, shape, node)
    return replace(x, shape=shape)


def reshaped(ctx: Context, x: Real, shape: tuple[int, ...], node: GraphNode) -> Real:
    """A view of `x` as `shape`."""
    if shape == x.shape:
        return x
    if shape[:1] != x.shape[:1] or math.prod(shape) != math.prod(x.shape):
        raise fail("lower", f"a view of {list(x.shape)} as {list(shape)} mixes the batch")
    if x.is_image and (len(shape) == 2 or shape == (*x.shape[:2], x.shape[3])):
        return replace(x, shape=shape)  # flat, or a sequence: the memory may stay as it is
    if x.is_flat_image and memory_shape(shape) == x.memory:
        return replace(x, shape=shape)
    x = plain(ctx, x, node)
    if x.memory != shape:
        x = structural(ctx, x, ops.Reshape("", shape=shape), shape, shape, node)
    x = replace(x, shape=shape)
    return _transpose(ctx, x, _TO_MEMORY, shape, node) if len(shape) == 4 else x


def view(ctx: Context, node: GraphNode) -> Tensor:
    """view, reshape, flatten, squeeze, unsqueeze: the result's shape is in the graph."""
    found = tensor(ctx, node, "self")
    shape = ctx.graph.metas[node.outputs[0]].shape
    if isinstance(found, RawInput):
        return replace(found, shape=shape)
    if isinstance(found, Constant):
        return replace(found, data=found.data.reshape(shape))
    return reshaped(ctx, real(ctx, node, "self"), shape, node)


def permute(ctx: Context, node: GraphNode) -> Tensor:
    """permute, transpose, t, movedim as a permutation of PyTorch's axes."""
    x = real(ctx, node, "self")
    rank = len(x.shape)
    if "dims" in node.arguments:
        order = tuple(axis % rank for axis in integers(node, "dims"))
    else:
        order = _swapped(rank, integer(node, "dim0", 0) % rank, integer(node, "dim1", 1) % rank)
    if order == tuple(range(rank)):
        return x
    shape = tuple(x.shape[axis] for axis in order)
    if order[0] != 0:
        raise fail("lower", f"{node.target} moves the batch axis", got=f"order {order}")
    if rank == 4:
        memory_order = tuple(_TO_MEMORY.index(order[_TO_MEMORY[axis]]) for axis in range(4))
        return _transpose(ctx, x, memory_order, shape, node)
    x = plain(ctx, x, node) if x.is_flat_image else x
    return _transpose(ctx, x, order, shape, node)


def _swapped(rank: int, a: int, b: int) -> tuple[int, ...]:
    order = list(range(rank))
    order[a], order[b] = order[b], order[a]
    return tuple(order)


def concatenate(ctx: Context, node: GraphNode) -> Tensor:
    """cat: at once for tensors on one grid, else the quantizer behind it goes to the parts."""
    refs = node.arguments.get("tensors")
    if not isinstance(refs, tuple) or not all(isinstance(ref, Ref) for ref in refs):
        raise fail("lower", f"{node.target} needs a list of tensors")
    parts = []
    for ref in refs:
        one = replace(node, arguments={"self": ref})
        parts.append(real(ctx, one, "self"))
    shape = ctx.graph.metas[node.outputs[0]].shape
    axis = integer(node, "dim", 0) % len(shape)
    if axis == 0:
        raise fail("lower", "cat along the batch axis")
    parts = [plain(ctx, part, node) if part.is_flat_image else part for part in parts]
    joined = Joined(tuple(parts), axis, shape)
    return _settle(ctx, joined, node) or joined


def _settle(ctx: Context, joined: Joined, node: GraphNode) -> Real | None:
    """The concatenation itself, where all parts lie on one grid; None otherwise."""
    first = joined.parts[0]
    kinds = {type(ctx.builder.types[part.ref].element) for part in joined.parts}
    if not all(part.on_grid and part.meaning == first.meaning for part in joined.parts):
        return None
    if Planes in kinds or len(first.meaning.scale) > 1:
        return None
    axis = memory_axis(joined.axis, len(joined.shape))
    op = ops.Concat(tuple(part.ref for part in joined.parts), axis=axis)
    ref = ctx.builder.add(op, node.outputs[0], node.source, first.meaning)
    return replace(first, ref=ref, shape=joined.shape, memory=ctx.builder.types[ref].shape)


def slices(ctx: Context, node: GraphNode) -> Tensor:
    """slice with step 1, and narrow."""
    x = real(ctx, node, "self")
    x = plain(ctx, x, node) if x.is_flat_image else x
    axis = integer(node, "dim", 0) % len(x.shape)
    extent = x.shape[axis]
    begin = _position(integer(node, "start", 0), extent)
    end = integer(node, "end", extent)
    if "length" in node.arguments:
        end = begin + integer(node, "length", extent)
    end = _position(end, extent)
    if (begin, end) == (0, extent):
        return x
    if integer(node, "step", 1) != 1 or axis == 0:
        raise fail("lower", f"a slice of axis {axis} with steps", want="step 1, not the batch")
    if axis == 1 and not x.on_grid:
        raise fail(
            "lower",
            "a slice of the channels of a tensor that is on no grid",
            help="put a quantizer in front of it",
        )
    op = ops.Slice("", axis=memory_axis(axis, len(x.shape)), begin=begin, end=end)
    shape = (*x.shape[:axis], end - begin, *x.shape[axis + 1 :])
    return structural(ctx, x, op, shape, memory_shape(shape), node)


def resize(ctx: Context, node: GraphNode) -> Tensor:
    """mcugen.resize: the rows and columns of an image that each of the result repeats."""
    return _resized(ctx, node, "self", integers(node, "rows"), integers(node, "columns"))


def upsample_nearest(ctx: Context, node: GraphNode) -> Tensor:
    """aten.upsample_nearest2d: position i of n takes floor(i·input / n), or i over the factor."""
    before = real(ctx, node, "input").shape[2:]
    after = ctx.graph.metas[node.outputs[0]].shape[2:]
    factors = node.arguments.get("scale_factors")
    if not isinstance(factors, tuple):
        factors = tuple(new / old for new, old in zip(after, before, strict=True))
    places = [
        tuple(min(int(at / float(factor)), old - 1) for at in range(new))  # type: ignore[arg-type]
        for new, old, factor in zip(after, before, factors, strict=True)
    ]
    return _resized(ctx, node, "input", *places)


def _resized(
    ctx: Context, node: GraphNode, name: str, rows: tuple[int, ...], columns: tuple[int, ...]
) -> Real:
    x = real(ctx, node, name)
    if not x.is_image:
        raise fail("lower", f"{node.target} of {list(x.shape)}", want="an image [1, C, H, W]")
    base, builder = node.outputs[0], ctx.builder
    places = [
        builder.constant(f"{base}.{title}", np.array(data), accumulator(min(data), max(data)))
        for title, data in (("rows", rows), ("columns", columns))
    ]
    shape = (*x.shape[:2], len(rows), len(columns))
    return structural(ctx, x, ops.Resize("", *places), shape, memory_shape(shape), node)


def _position(index: int, extent: int) -> int:
    """An index counted from the start, within the axis."""
    return min(max(index + extent if index < 0 else index, 0), extent)


def pad(ctx: Context, node: GraphNode) -> Tensor:
    """constant_pad_nd / pad(mode="constant") of H and W."""
    if node.arguments.get("mode", "constant") != "constant":
        raise fail("lower", f"padding mode '{node.arguments['mode']}'", want="constant")
    x = real(ctx, node, "self")
    amounts = integers(node, "pad")
    value = number(node, "value", 0.0)
    if not x.is_image or len(amounts) > 4 or min(amounts, default=0) < 0:
        raise fail(
            "lower",
            f"padding {amounts} of {list(x.shape)}",
            want="H and W of an image, not negative",
        )
    left, right, top, bottom = (*amounts, 0, 0, 0, 0)[:4]
    shape = ctx.graph.metas[node.outputs[0]].shape
    level = _level_of(x, value) if x.on_grid else 0
    op = ops.Pad("", padding=(top, bottom, left, right), value=level)
    return structural(ctx, x, op, shape, memory_shape(shape), node, fill=value)


def _level_of(x: Real, value: float) -> int:
    """The integer whose real value is `value`."""
    levels = {value / scale + x.meaning.zero for scale in x.meaning.scale}
    level = levels.pop()
    if levels or level != int(level) or any(x.meaning.offset):
        raise fail(
            "lower",
            f"padding with {value:g}, which is not on the tensor's grid",
            help="pad before the quantizer",
        )
    return int(level)
