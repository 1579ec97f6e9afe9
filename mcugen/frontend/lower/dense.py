"""Convolutions and linear layers: integer accumulators, everything real around them deferred."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.graph import GraphNode
from mcugen.frontend.lower.bases import MOST_WEIGHT, BasisConstant
from mcugen.frontend.lower.operands import finite, gridded, integer, pair, sides, weights
from mcugen.frontend.lower.state import Context, GridConstant, Real, Tensor
from mcugen.ir import ops
from mcugen.ir.program import Meaning
from mcugen.ir.types import Element, Planes, spanning

#: Sums stay within 30 bits, so that the difference of two of them is still an int32.
_MOST_SUM = 2**30 - 1


@dataclass(frozen=True, eq=False)
class _Layer:
    """Operands shared by convolution and linear: weights in memory order, input channels last."""

    x: Real
    planes: np.ndarray
    """int64 [P, O, ...], summed over P the centred integer weights as the op takes them."""
    scale: np.ndarray
    element: Element


def conv2d(ctx: Context, node: GraphNode) -> Tensor:
    """aten.conv2d with stride, zero padding, dilation, groups."""
    x, w = gridded(ctx, node, "input"), weights(ctx, node, "weight")
    if len(w.shape) != 4 or not x.is_image:
        raise fail("lower", f"convolution of {list(x.shape)} by {list(w.shape)}", want="images")
    groups = integer(node, "groups", 1)
    dilation = pair(node, "dilation", (1, 1))
    layer = _layer(ctx, x, w, lambda planes: planes.transpose(0, 1, 3, 4, 2))
    op = ops.Conv2d(
        x.ref,
        _weight_constant(ctx, node, layer),
        stride=pair(node, "stride", (1, 1)),
        padding=_padding(node, w.shape[2:], dilation),
        dilation=dilation,
        groups=groups,
        x_zero=x.meaning.zero,
    )
    if len(x.meaning.scale) > 1 and w.shape[1] != 1:
        raise fail(
            "lower",
            "an activation with one scale per channel in front of a dense convolution",
            want="one scale per tensor (per channel suits depthwise convolutions)",
        )
    return _accumulators(ctx, node, op, layer, any(op.padding))


def conv_transpose2d(ctx: Context, node: GraphNode) -> Tensor:
    """aten.conv_transpose2d; its weight is [inputs, outputs, h, w]."""
    x, w = gridded(ctx, node, "input"), weights(ctx, node, "weight", axis=1)
    if not isinstance(w, GridConstant) or w.q.ndim != 4 or not x.is_image:
        raise fail("lower", f"transposed convolution of {list(x.shape)} by {list(w.shape)}")
    if integer(node, "groups", 1) != 1 or pair(node, "dilation", (1, 1)) != (1, 1):
        raise fail("lower", "transposed convolution with groups or dilation", want="1 and 1")
    if len(x.meaning.scale) > 1 or any(x.meaning.offset):
        raise fail("lower", "transposed convolution of a grid with several scales or an offset")
    layer = _layer(ctx, x, w, lambda planes: planes.transpose(0, 2, 3, 4, 1))
    top, _, left, _ = sides(node, "padding")
    height, width = ctx.graph.metas[node.outputs[0]].shape[2:]
    op = ops.TransposeConv2d(
        x.ref,
        _weight_constant(ctx, node, layer),
        stride=pair(node, "stride", (1, 1)),
        padding=(top, left),
        extent=(height, width),
        x_zero=x.meaning.zero,
    )
    return _accumulators(ctx, node, op, layer, padded=False)


def linear(ctx: Context, node: GraphNode) -> Tensor:
    """aten.linear on [1, features]; the input is read in memory order."""
    x, w = gridded(ctx, node, "input"), weights(ctx, node, "weight")
    if len(x.shape) != 2:
        raise fail("lower", f"linear layer on {list(x.shape)}", want="[1, features]")
    if len(x.meaning.scale) > 1:
        raise fail(
            "lower",
            "an activation with one scale per channel in front of a linear layer",
            want="one scale per tensor",
        )
    layer = _layer(ctx, x, w, lambda planes: _memory_order(planes, x))
    op = ops.Linear(x.ref, _weight_constant(ctx, node, layer), x_zero=x.meaning.zero)
    return _accumulators(ctx, node, op, layer, padded=False)


def _memory_order(planes: np.ndarray, x: Real) -> np.ndarray:
    """Columns [P, O, features] in PyTorch's order as they lie in memory."""
    if not x.is_flat_image:
        return planes
    _, height, width, channels = x.memory
    count, rows = planes.shape[:2]
    apart = planes.reshape(count, rows, channels, height, width)
    return apart.transpose(0, 1, 3, 4, 2).reshape(count, rows, -1)


def _layer(
    ctx: Context,
    x: Real,
    w: GridConstant | BasisConstant,
    order: Callable[[np.ndarray], np.ndarray],
) -> _Layer:
    """Weights in the element the input calls for: planes meet planes."""
    element = ctx.builder.types[x.ref].element
    if isinstance(w, GridConstant):
        if isinstance(element, Planes):
            raise fail("lower", "activations in bit planes meet weights on no basis")
        return _Layer(x, order(w.q[None]), w.scale, spanning(int(w.q.min()), int(w.q.max())))
    taps = int(np.prod(w.shape[1:]))
    if isinstance(element, Planes):
        reach = element.reach + abs(x.meaning.zero)
        planes, scale = w.integers(min(MOST_WEIGHT, _MOST_SUM // (taps * reach)))
        bound = np.abs(planes).reshape(len(planes), -1).max(axis=1)
        return _Layer(x, order(planes), scale, Planes(tuple(bound.tolist())))
    reach = max(abs(element.lo - x.meaning.zero), abs(element.hi - x.meaning.zero), 1)
    planes, scale = w.integers(min(MOST_WEIGHT, _MOST_SUM // (taps * reach)))
    whole = planes.sum(axis=0, keepdims=True)
    return _Layer(x, order(whole), scale, spanning(int(whole.min()), int(whole.max())))


def _weight_constant(ctx: Context, node: GraphNode, layer: _Layer) -> str:
    data = layer.planes if isinstance(layer.element, Planes) else layer.planes[0]
    return ctx.builder.constant(f"{node.outputs[0]}.weight", data, layer.element)


def _padding(
    node: GraphNode, kernel: tuple[int, ...], dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    mode = node.arguments.get("padding")
    if mode == "valid":
        return (0, 0, 0, 0)
    if mode == "same":
        spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        top, left = spans[0] // 2, spans[1] // 2
        return (top, spans[0] - top, left, spans[1] - left)
    return sides(node, "padding")


_Dense = ops.Conv2d | ops.TransposeConv2d | ops.Linear


def _accumulators(ctx: Context, node: GraphNode, op: _Dense, layer: _Layer, padded: bool) -> Real:
    """The op appended, its result's meaning: scale_x·scale_w per channel, bias and input offset."""
    x = layer.x
    offset = np.asarray(x.meaning.offset)
    bias = finite(ctx, node, "bias")
    total = np.zeros(1) if bias is None else bias
    if offset.any():
        if padded:
            raise fail(
                "lower",
                "zero padding of an activation whose grid has an offset",
                want="offset 0, or padding 0",
            )
        # Σ w·(s·q + o) = s·Σ w·q + o·Σ w: the second part is a constant per output channel.
        sums = layer.planes.sum(axis=0).reshape(layer.planes.shape[1], -1).sum(axis=1)
        total = total + offset[0] * layer.scale * sums
    x_scale = np.asarray(x.meaning.scale)
    if len(x_scale) > 1:
        x_scale = np.repeat(x_scale, layer.planes.shape[1] // len(x_scale))
    scale = x_scale * layer.scale
    meaning = Meaning(tuple(np.atleast_1d(scale).tolist()), 0, tuple(np.atleast_1d(total).tolist()))
    ref = ctx.builder.add(op, node.outputs[0], node.source)
    shape = ctx.graph.metas[node.outputs[0]].shape
    return replace(
        x,
        ref=ref,
        meaning=meaning,
        shape=shape,
        memory=ctx.builder.types[ref].shape,
        quantized=False,
    )
