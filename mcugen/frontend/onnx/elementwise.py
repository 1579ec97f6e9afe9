"""Operators that act on each value alone, or on pairs of values."""

from collections.abc import Callable

import numpy as np

from mcugen.frontend.graph import Argument
from mcugen.frontend.onnx import shapes
from mcugen.frontend.onnx.translation import Call
from mcugen.frontend.onnx.values import Live


def _unary(call: Call, target: str, **arguments: Argument) -> Live:
    x = call.real(0)
    return call.add(target, {"self": x.ref, **arguments}, x, x.shape)


def unary(target: str) -> Callable[[Call], None]:
    """A function without parameters."""

    def translate(call: Call) -> None:
        call.give(_unary(call, target))

    return translate


def leaky_relu(call: Call) -> None:
    slope = call.number("alpha", 0.01)
    call.give(_unary(call, "aten.leaky_relu.default", negative_slope=slope))


def prelu(call: Call) -> None:
    """PRelu with one slope."""
    slope = call.constant(1, "the slope")
    if slope.size != 1:
        raise call.node.wrong(f"{slope.size} slopes", want="one", help="use LeakyRelu")
    given = float(slope.reshape(()))
    call.give(_unary(call, "aten.leaky_relu.default", negative_slope=given))


def hard_sigmoid(call: Call) -> None:
    """max(0, min(1, alpha·x + beta))."""
    slope, offset = call.number("alpha", 0.2), call.number("beta", 0.5)
    x = call.real(0)
    for target, arguments in (
        ("aten.mul.Scalar", {"other": slope}),
        ("aten.add.Scalar", {"other": offset}),
        ("aten.clamp.default", {"min": 0.0, "max": 1.0}),
    ):
        x = call.add(target, {"self": x.ref, **arguments}, x, x.shape)
    call.give(x)


def clip(call: Call) -> None:
    """Clip; either end may be open."""
    if call.opset < 11:
        ends = [call.number(name, end) for name, end in (("min", -3.4e38), ("max", 3.4e38))]
    else:
        ends = [_end(call, index, open_end) for index, open_end in ((1, -np.inf), (2, np.inf))]
    if ends[0] > ends[1]:
        raise call.node.wrong(f"clips to [{ends[0]:g}, {ends[1]:g}]", want="min ≤ max")
    call.give(_unary(call, "aten.clamp.default", min=ends[0], max=ends[1]))


def _end(call: Call, index: int, open_end: float) -> float:
    if not call.given(index):
        return open_end
    data = call.constant(index, "an end")
    if data.size != 1:
        raise call.node.wrong(f"input {index} is no single number")
    return float(data.reshape(()))


def binary(target: str) -> Callable[[Call], None]:
    """Add, Sub, Mul, Div of two tensors, or of a tensor and a constant."""

    def translate(call: Call) -> None:
        arguments: dict[str, Argument] = {}
        live, extents = [], []
        for index, name in enumerate(("self", "other")):
            data = call.numbers(index)
            if data is None:
                live.append(call.real(index))
                arguments[name], shape = live[-1].ref, live[-1].shape
            else:
                arguments[name] = call.to.constant(data, call.node.inputs[index])
                shape = data.shape
            extents.append(shape)
        result = shapes.broadcast(call, *extents)
        if any(one.shape != result for one in live):
            raise call.node.wrong(
                f"shapes {[list(one) for one in extents]} stretch a computed tensor",
                want="tensors of one shape, or a constant that fits",
            )
        call.give(call.add(target, arguments, live[0], result))

    return translate


def batch_normalization(call: Call) -> None:
    """BatchNormalization with the statistics of training."""
    call.ignore("momentum", "spatial", "is_test")
    if call.integer("training_mode", 0):
        raise call.node.wrong("batch normalization in training mode", help="export in eval mode")
    x = call.real(0)
    epsilon = call.number("epsilon", 1e-5)
    arguments: dict[str, Argument] = {"input": x.ref, "eps": epsilon, "training": False}
    names = ("weight", "bias", "running_mean", "running_var")
    for index, name in enumerate(names, start=1):
        data = call.constant(index, name)
        if len(x.shape) < 2 or data.shape != (x.shape[1],):
            raise call.node.wrong(f"{name} has shape {list(data.shape)}", want="one per channel")
        if name == "running_var" and (data + epsilon <= 0).any():
            raise call.node.wrong("a variance is not positive")
        arguments[name] = call.to.constant(data, call.node.inputs[index])
    call.give(call.add("aten.batch_norm.default", arguments, x, x.shape))


def softmax(call: Call) -> None:
    """Softmax and LogSoftmax along one axis."""
    x = call.real(0)
    rank = len(x.shape)
    axis = call.axis(call.integer("axis", -1 if call.opset >= 13 else 1), rank)
    if call.opset < 13 and axis != rank - 1:
        raise call.node.wrong("softmax over several axes at once", want="the last axis")
    kind = "softmax" if call.node.op == "Softmax" else "log_softmax"
    call.give(call.add(f"aten.{kind}.int", {"self": x.ref, "dim": axis}, x, x.shape))


def argmax(call: Call) -> None:
    """ArgMax over the classes."""
    x = call.moved(0)
    axis = call.axis(call.integer("axis", 0), len(x.shape))
    if call.integer("select_last_index", 0):
        raise call.node.wrong("attribute select_last_index is not supported", want="0")
    keep = bool(call.integer("keepdims", 1))
    shape = [*x.shape[:axis], *([1] if keep else []), *x.shape[axis + 1 :]]
    arguments: dict[str, Argument] = {"self": x.ref, "dim": axis, "keepdim": keep}
    call.give(call.add("aten.argmax.default", arguments, x, shape))
