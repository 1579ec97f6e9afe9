"""Pooling: max pools wait for a quantizer, average pools sum integers."""

from dataclasses import replace

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.graph import GraphNode
from mcugen.frontend.lower.functions import Affine, merged_affine
from mcugen.frontend.lower.layout import memory_shape, reshaped, structural
from mcugen.frontend.lower.operands import flag, integers, pair, real, sides, tensor
from mcugen.frontend.lower.place import materialize, on_fine_grid
from mcugen.frontend.lower.state import Context, Joined, Real, Tensor, unquantized
from mcugen.ir import ops
from mcugen.ir.program import Meaning
from mcugen.ir.types import Planes

_Padding = tuple[int, int, int, int]


def max_pool2d(ctx: Context, node: GraphNode) -> Tensor:
    """aten.max_pool2d, ceil_mode included; nobody may read the indices of the other variant."""
    found = tensor(ctx, node, "self")
    if isinstance(found, Joined) and found.axis == 1:
        parts = tuple(_max_pool(ctx, node, part) for part in found.parts)
        return Joined(parts, found.axis, ctx.graph.metas[node.outputs[0]].shape)
    return _max_pool(ctx, node, real(ctx, node, "self"))


def _max_pool(ctx: Context, node: GraphNode, x: Real) -> Real:
    window = pair(node, "kernel_size", (1, 1))
    stride = pair(node, "stride", window)
    dilation = pair(node, "dilation", (1, 1))
    shape = (*x.shape[:2], *ctx.graph.metas[node.outputs[0]].shape[2:])
    padding = _end_padding(x, shape, window, stride, dilation, sides(node, "padding"))
    op = ops.MaxPool("", window=window, stride=stride, padding=padding, dilation=dilation)
    return structural(ctx, x, op, shape, memory_shape(shape), node)


def _end_padding(
    x: Real,
    shape: tuple[int, ...],
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    given: _Padding,
) -> _Padding:
    """Padding that yields exactly `shape`: ceil_mode lets the last window hang over the end."""
    if not x.is_image:
        raise fail("lower", f"pooling of {list(x.shape)}", want="an image [1, C, H, W]")
    after = [
        max(0, (out - 1) * s + d * (k - 1) + 1 - size - b)
        for size, out, k, s, d, b in zip(
            x.shape[2:], shape[2:], window, stride, dilation, given[::2], strict=True
        )
    ]
    return (given[0], after[0], given[2], after[1])


def adaptive_max_pool2d(ctx: Context, node: GraphNode) -> Tensor:
    """aten.adaptive_max_pool2d where the output size divides the input's."""
    x = real(ctx, node, "self")
    window = _regular_window(ctx, node, x)
    shape = ctx.graph.metas[node.outputs[0]].shape
    op = ops.MaxPool("", window=window, stride=window)
    return structural(ctx, x, op, shape, memory_shape(shape), node)


def avg_pool2d(ctx: Context, node: GraphNode) -> Tensor:
    """aten.avg_pool2d: a sum of integers; the division goes into the scale."""
    window = pair(node, "kernel_size", (1, 1))
    stride = pair(node, "stride", window)
    given = sides(node, "padding")
    x = real(ctx, node, "self")
    shape = ctx.graph.metas[node.outputs[0]].shape
    padding = _end_padding(x, shape, window, stride, (1, 1), given)
    if padding[1] > given[1] or padding[3] > given[3]:
        raise fail(
            "lower", "avg_pool2d with ceil_mode over the image's end", want="ceil_mode=False"
        )
    if any(padding) and not flag(node, "count_include_pad", True):
        return _average_inside(ctx, node, x, window, stride, padding)
    divisor = node.arguments.get("divisor_override") or window[0] * window[1]
    if not isinstance(divisor, int) or divisor < 1:
        raise fail("lower", f"avg_pool2d with divisor {divisor}", want="a positive integer")
    return _average(ctx, node, x, window, stride, padding, divisor)


def _average_inside(
    ctx: Context,
    node: GraphNode,
    x: Real,
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: _Padding,
) -> Real:
    """The mean of the taps inside the image, whose number changes: divided there, in 16 bits."""
    if node.arguments.get("divisor_override"):
        raise fail("lower", "avg_pool2d with a divisor and count_include_pad=False")
    fine = on_fine_grid(ctx, x, node, "fine")
    if fine is None:
        raise unquantized(f"the input of {node.target}, behind an activation function,")
    element = ctx.builder.types[fine.ref].integer
    op = ops.AveragePool(
        fine.ref, window=window, stride=stride, padding=padding, lo=element.lo, hi=element.hi
    )
    memory = ctx.builder.types[ref := ctx.builder.add(op, node.outputs[0], node.source)].shape
    return Real(ref, fine.meaning, (memory[0], memory[3], memory[1], memory[2]), memory)


def adaptive_avg_pool2d(ctx: Context, node: GraphNode) -> Tensor:
    """aten.adaptive_avg_pool2d where the output size divides the input's."""
    x = real(ctx, node, "self")
    window = _regular_window(ctx, node, x)
    return _average(ctx, node, x, window, window, (0, 0, 0, 0), window[0] * window[1])


def _regular_window(ctx: Context, node: GraphNode, x: Real) -> tuple[int, int]:
    height, width = ctx.graph.metas[node.outputs[0]].shape[-2:]
    if not x.is_image or x.shape[2] % height or x.shape[3] % width:
        raise fail(
            "lower",
            f"adaptive pooling of {list(x.shape)} to {height}×{width}",
            want="an output size that divides the input's",
        )
    return (x.shape[2] // height, x.shape[3] // width)


def mean(ctx: Context, node: GraphNode) -> Tensor:
    """aten.mean.dim over H and W: a global average pool."""
    x = real(ctx, node, "self")
    axes = sorted(axis % len(x.shape) for axis in integers(node, "dim"))
    if not x.is_image or axes != [2, 3]:
        raise fail("lower", f"mean over axes {axes} of {list(x.shape)}", want="H and W of an image")
    window = (x.shape[2], x.shape[3])
    pooled = _average(ctx, node, x, window, window, (0, 0, 0, 0), window[0] * window[1])
    return reshaped(ctx, pooled, ctx.graph.metas[node.outputs[0]].shape, node)


def _average(
    ctx: Context,
    node: GraphNode,
    x: Real,
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: _Padding,
    divisor: int,
) -> Real:
    form = merged_affine(x.functions)
    if form is None:
        raise unquantized(f"the input of {node.target}, behind an activation function,")
    x = materialize(ctx, replace(x, functions=()), node.source)
    if isinstance(ctx.builder.types[x.ref].element, Planes):
        raise fail("lower", "average pool of a packed binary tensor")
    meaning = _scaled(x.meaning, form, window[0] * window[1], divisor)
    if any(padding) and any(meaning.offset):
        raise fail("lower", "avg_pool2d pads a tensor on which 0 is no integer", want="padding 0")
    op = ops.SumPool(x.ref, window=window, stride=stride, padding=padding, x_zero=x.meaning.zero)
    ref = ctx.builder.add(op, node.outputs[0], node.source)
    memory = ctx.builder.types[ref].shape
    shape = (memory[0], memory[3], memory[1], memory[2])
    return Real(ref, meaning, shape, memory)


def _scaled(meaning: Meaning, form: Affine, taps: int, divisor: int) -> Meaning:
    """Meaning of a sum of `taps` integers: a·(s·(q − z) + o) + b over the divisor."""
    scale = np.asarray(meaning.scale) * form.scale / divisor
    offset = (np.asarray(meaning.offset) * form.scale + form.offset) * taps / divisor
    scale, offset = np.broadcast_arrays(scale, offset)
    return Meaning(tuple(scale.tolist()), 0, tuple(offset.tolist()))
