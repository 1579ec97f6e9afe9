"""Elementwise ops: functions of one tensor are deferred, sums and products become integer ops."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.graph import GraphNode, Ref
from mcugen.frontend.lower.epilogues import FINE_LEVELS
from mcugen.frontend.lower.functions import (
    Abs,
    Affine,
    Clamp,
    Function,
    LeakyRelu,
    SelfGated,
    Sigmoid,
    Sign,
    Tanh,
    affine,
    merged_affine,
)
from mcugen.frontend.lower.layout import plain
from mcugen.frontend.lower.operands import (
    array,
    finite,
    flag,
    gridded,
    number,
    real,
    spelled,
    tensor,
)
from mcugen.frontend.lower.place import materialize, on_fine_grid
from mcugen.frontend.lower.state import Constant, Context, Joined, Real, Tensor, unquantized
from mcugen.ir import ops
from mcugen.ir.program import Meaning
from mcugen.ir.types import Int

_HARD_SIGMOID = (affine(1 / 6, 0.5), Clamp(0.0, 1.0))

#: Functions without a parameter of the graph, or with plain numbers.
UNARY: dict[str, Callable[[GraphNode], tuple[Function, ...]]] = {
    "aten.relu.default": lambda node: (Clamp(lo=0.0),),
    "aten.relu6.default": lambda node: (Clamp(0.0, 6.0),),
    "aten.hardtanh.default": lambda node: (_bounds(node, "min_val", "max_val", -1.0, 1.0),),
    "aten.clamp.default": lambda node: (_bounds(node, "min", "max", -np.inf, np.inf),),
    "aten.clamp_min.default": lambda node: (Clamp(lo=number(node, "min", -np.inf)),),
    "aten.clamp_max.default": lambda node: (Clamp(hi=number(node, "max", np.inf)),),
    "aten.leaky_relu.default": lambda node: (LeakyRelu(number(node, "negative_slope", 0.01)),),
    "aten.sigmoid.default": lambda node: (Sigmoid(),),
    "aten.tanh.default": lambda node: (Tanh(),),
    "aten.hardsigmoid.default": lambda node: _HARD_SIGMOID,
    "aten.hardswish.default": lambda node: (SelfGated(_HARD_SIGMOID),),
    "aten.silu.default": lambda node: (SelfGated((Sigmoid(),)),),
    "aten.sign.default": lambda node: (Sign(),),
    "aten.abs.default": lambda node: (Abs(),),
    "aten.neg.default": lambda node: (affine(-1.0, 0.0),),
}


def _bounds(node: GraphNode, low: str, high: str, default_low: float, default_high: float) -> Clamp:
    lo, hi = number(node, low, default_low), number(node, high, default_high)
    if not lo <= hi:
        raise fail("lower", f"{node.target} clamps to [{lo:g}, {hi:g}]", want="an interval")
    return Clamp(lo, hi)


def unary(ctx: Context, node: GraphNode) -> Tensor:
    """An activation function: waits for the next quantizer."""
    return _apply(
        ctx,
        node,
        "self" if "self" in node.arguments else "input",
        *UNARY[node.target.replace("_.", ".")](node),
    )


def _apply(ctx: Context, node: GraphNode, name: str, *functions: Function) -> Tensor:
    found = tensor(ctx, node, name)
    if not isinstance(found, Joined):
        return real(ctx, node, name).then(*functions)
    parts, first = [], 0
    for part in found.parts:
        last = first + part.shape[found.axis]
        parts.append(part.then(*(_cut(item, found, first, last) for item in functions)))
        first = last
    return replace(found, parts=tuple(parts))


def _cut(function: Function, joined: Joined, first: int, last: int) -> Function:
    """The channels of a per-channel function that fall to one part of a concatenation."""
    if not isinstance(function, Affine) or function.channels == 1 or joined.axis != 1:
        return function
    return Affine(function.scale[first:last], function.offset[first:last])


def batch_norm(ctx: Context, node: GraphNode) -> Tensor:
    """Batch norm with its running statistics: an affine function per channel."""
    if flag(node, "training", False):
        raise fail(
            "lower", "batch norm in training mode", help="call model.eval() before exporting"
        )
    average, variance = array(ctx, node, "running_mean"), array(ctx, node, "running_var")
    if average is None or variance is None:
        raise fail(
            "lower", "batch norm without running statistics", want="track_running_stats=True"
        )
    gain, shift = array(ctx, node, "weight"), array(ctx, node, "bias")
    scale = 1.0 / np.sqrt(variance + number(node, "eps", 1e-5))
    scale = scale if gain is None else scale * gain
    offset = -average * scale if shift is None else shift - average * scale
    if not (np.isfinite(scale).all() and np.isfinite(offset).all()):
        raise fail("lower", "batch norm with NaN or infinite parameters")
    return _apply(ctx, node, "input", affine(scale, offset))


def add(ctx: Context, node: GraphNode) -> Tensor:
    """aten.add: a constant shifts, two tensors meet on one grid."""
    return _sum(ctx, node, 1.0, number(node, "alpha", 1.0))


def subtract(ctx: Context, node: GraphNode) -> Tensor:
    """aten.sub."""
    return _sum(ctx, node, 1.0, -number(node, "alpha", 1.0))


def reverse_subtract(ctx: Context, node: GraphNode) -> Tensor:
    """aten.rsub: other − self."""
    return _sum(ctx, node, -number(node, "alpha", 1.0), 1.0)


def _sum(ctx: Context, node: GraphNode, a: float, b: float) -> Tensor:
    """a·self + b·other."""
    for first, second, x, y in (("self", "other", a, b), ("other", "self", b, a)):
        constant = _per_channel_constant(ctx, node, second)
        if constant is not None:
            return _apply(ctx, node, first, affine(x, y * constant))
    return _add_tensors(ctx, node, a, b)


def multiply(ctx: Context, node: GraphNode) -> Tensor:
    """aten.mul: a constant scales, two tensors multiply as integers."""
    for first, second in (("self", "other"), ("other", "self")):
        constant = _per_channel_constant(ctx, node, second)
        if constant is not None:
            return _apply(ctx, node, first, affine(constant, 0.0))
    x, y = gridded(ctx, node, "self"), gridded(ctx, node, "other")
    _same_shape(node, x, y)
    if any(x.meaning.offset) or any(y.meaning.offset):
        raise fail("lower", "product of tensors on which 0 is no integer", want="a uniform grid")
    op = ops.Mul(x.ref, y.ref, x_zero=x.meaning.zero, y_zero=y.meaning.zero)
    scale = np.asarray(x.meaning.scale) * np.asarray(y.meaning.scale)
    ref = ctx.builder.add(op, node.outputs[0], node.source)
    return Real(ref, Meaning(tuple(scale.tolist())), x.shape, x.memory)


def divide(ctx: Context, node: GraphNode) -> Tensor:
    """aten.div by a constant."""
    constant = _per_channel_constant(ctx, node, "other")
    if constant is None or (constant == 0).any():
        raise fail("lower", "division by a tensor or by zero", want="a constant divisor")
    return _apply(ctx, node, "self", affine(1.0 / constant, 0.0))


def _per_channel_constant(ctx: Context, node: GraphNode, name: str) -> np.ndarray | None:
    """A number, or a constant that varies along the channel only; None for a tensor."""
    if not isinstance(node.arguments.get(name), Ref):
        return np.array([number(node, name, 0.0)])
    if not isinstance(tensor(ctx, node, name), Constant):
        return None
    data = finite(ctx, node, name)
    assert data is not None
    if data.size == 1:
        return data.reshape(1)
    result = ctx.graph.metas[node.outputs[0]].shape
    shape = (1,) * (len(result) - data.ndim) + data.shape
    if len(shape) < 2 or shape[1] != result[1] or data.size != result[1]:
        raise fail(
            "lower",
            f"constant {spelled(ctx, node, name)} of shape {list(data.shape)}",
            want="a number, or one value per channel",
        )
    return data.reshape(-1)


def _same_shape(node: GraphNode, x: Real, y: Real) -> None:
    if x.shape != y.shape or x.memory != y.memory:
        raise fail("lower", f"{node.target} broadcasts {list(x.shape)} with {list(y.shape)}")


def _add_tensors(ctx: Context, node: GraphNode, a: float, b: float) -> Real:
    """Two real tensors on a common grid fine enough for 30 bits, then an integer sum."""
    parts = []
    for name, factor in (("self", a), ("other", b)):
        x = real(ctx, node, name)
        form = merged_affine((*x.functions, affine(factor, 0.0)))
        if form is None:
            raise unquantized(f"the operand {spelled(ctx, node, name)} of {node.target}")
        x = materialize(ctx, replace(x, functions=()), node.source)
        parts.append(_summand(ctx, node, replace(x, functions=(form,)), name))
    if parts[0].memory != parts[1].memory:
        parts = [plain(ctx, part, node) for part in parts]
    x, y = parts
    _same_shape(node, x, y)
    factors, scale = _common_scale(ctx, x, y)
    op = ops.Add(
        x.ref,
        y.ref,
        x_factor=factors[0],
        y_factor=factors[1],
        x_zero=x.meaning.zero,
        y_zero=y.meaning.zero,
    )
    offset = np.asarray(x.meaning.offset) + np.asarray(y.meaning.offset)
    ref = ctx.builder.add(op, node.outputs[0], node.source)
    return Real(ref, Meaning((scale,), 0, tuple(offset.tolist())), x.shape, x.memory)


def _summand(ctx: Context, node: GraphNode, x: Real, name: str) -> Real:
    """An operand of a sum with one scale: accumulators go onto a 16-bit grid first."""
    (form,) = x.functions
    assert isinstance(form, Affine)
    element = ctx.builder.types[x.ref].element
    if not isinstance(element, Int):
        raise fail("lower", "sum of packed binary tensors")
    narrow = element.levels <= 2 * FINE_LEVELS + 2
    if narrow and len(form.scale) == 1 and len(x.meaning.scale) == 1:
        scale = x.meaning.scale[0] * float(form.scale[0])
        offset = np.asarray(x.meaning.offset) * form.scale + form.offset
        return replace(x, meaning=Meaning((scale,), x.meaning.zero, tuple(offset)), functions=())
    fine = on_fine_grid(ctx, x, node, name)
    assert fine is not None  # its only function is affine
    return fine


def _common_scale(ctx: Context, x: Real, y: Real) -> tuple[tuple[int, int], float]:
    """Integer factors f and a scale S: f·S is each operand's scale to 2^-29 of the range."""
    scales = x.meaning.scale[0], y.meaning.scale[0]
    if abs(scales[0]) == abs(scales[1]):
        return (1 if scales[0] > 0 else -1, 1 if scales[1] > 0 else -1), abs(scales[0])
    reach = 0.0
    for part, scale in ((x, scales[0]), (y, scales[1])):
        element = ctx.builder.types[part.ref].integer
        zero = part.meaning.zero
        reach += abs(scale) * max(abs(element.lo - zero), abs(element.hi - zero))
    reach = reach or abs(scales[0]) + abs(scales[1])  # both are 0 everywhere
    unit = reach / 2**29
    factors = round(scales[0] / unit), round(scales[1] / unit)
    return (factors[0], factors[1]), unit
