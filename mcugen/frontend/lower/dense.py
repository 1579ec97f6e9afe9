"""Convolutions and linear layers: integer accumulators, everything real around them deferred."""

from dataclasses import dataclass, replace

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.graph import GraphNode
from mcugen.frontend.lower.operands import finite, gridded, integer, integers, pair, weights
from mcugen.frontend.lower.state import Context, GridConstant, Real, Tensor
from mcugen.ir import ops
from mcugen.ir.program import Meaning
from mcugen.ir.types import BINARY, Planes, spanning


@dataclass(frozen=True, eq=False)
class _Layer:
    """Operands shared by convolution and linear: weights in memory order, input channels last."""

    x: Real
    w: GridConstant
    rows: np.ndarray
    """[O, ...]: centred integer weights as the op takes them."""


def conv2d(ctx: Context, node: GraphNode) -> Tensor:
    """aten.conv2d with stride, zero padding, dilation, groups."""
    x, w = gridded(ctx, node, "input"), weights(ctx, node, "weight")
    if len(w.shape) != 4 or not x.is_image:
        raise fail("lower", f"convolution of {list(x.shape)} by {list(w.shape)}", want="images")
    groups = integer(node, "groups", 1)
    dilation = pair(node, "dilation", (1, 1))
    layer = _Layer(x, w, w.q.transpose(0, 2, 3, 1))
    zero = _integer_zero(ctx, x)
    op = ops.Conv2d(
        x.ref,
        _weight_constant(ctx, node, layer),
        stride=pair(node, "stride", (1, 1)),
        padding=_padding(node, w.shape[2:], dilation),
        dilation=dilation,
        groups=groups,
        x_zero=zero,
    )
    if len(x.meaning.scale) > 1 and w.shape[1] != 1:
        raise fail(
            "lower",
            "an activation with one scale per channel in front of a dense convolution",
            want="one scale per tensor (per channel suits depthwise convolutions)",
        )
    return _accumulators(ctx, node, op, layer, any(op.padding))


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
    rows = w.q
    if x.is_flat_image:
        _, height, width, channels = x.memory
        rows = (
            rows.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(len(rows), -1)
        )
    layer = _Layer(x, w, rows)
    zero = _integer_zero(ctx, x)
    op = ops.Linear(x.ref, _weight_constant(ctx, node, layer), x_zero=zero)
    return _accumulators(ctx, node, op, layer, padded=False)


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
    values = integers(node, "padding", (0, 0))
    return (values[0], values[0], values[-1], values[-1])


def _integer_zero(ctx: Context, x: Real) -> int:
    return 0 if isinstance(ctx.builder.types[x.ref].element, Planes) else x.meaning.zero


def _weight_constant(ctx: Context, node: GraphNode, layer: _Layer) -> str:
    """The weights in the element the input calls for: planes meet planes."""
    base = f"{node.outputs[0]}.weight"
    if isinstance(ctx.builder.types[layer.x.ref].element, Planes):
        if not layer.w.binary:
            raise fail("lower", "packed binary activations meet weights of several bits")
        return ctx.builder.constant(base, layer.rows[None], BINARY)
    element = spanning(int(layer.rows.min()), int(layer.rows.max()))
    return ctx.builder.constant(base, layer.rows, element)


def _accumulators(
    ctx: Context, node: GraphNode, op: ops.Conv2d | ops.Linear, layer: _Layer, padded: bool
) -> Real:
    """The op appended, its result's meaning: scale_x·scale_w per channel, bias and input offset."""
    x, w = layer.x, layer.w
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
        sums = layer.rows.reshape(len(layer.rows), -1).sum(axis=1)
        total = total + offset[0] * w.scale * sums
    x_scale = np.asarray(x.meaning.scale)
    if len(x_scale) > 1:
        x_scale = np.repeat(x_scale, len(layer.rows) // len(x_scale))
    scale = x_scale * w.scale
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
