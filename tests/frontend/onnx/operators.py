"""Random QOperator nodes: what ONNX Runtime's quantizer writes in that form."""

from collections.abc import Callable

import numpy as np
from onnx import helper

from tests.frontend.onnx.graphs import CODES, RANGES, Graph, window

MICROSOFT = "com.microsoft"
Grid = tuple[str, str]


def levels(g: Graph, *shape: int) -> tuple[str, str, str]:
    """An input of levels with its scale and zero point."""
    name = f"x{len(g.inputs)}"
    g.inputs.append(helper.make_tensor_value_info(name, CODES[g.dtype], shape))
    return name, g.constant(g.rng.uniform(0.005, 0.05)), g.constant(g.zero(g.dtype), g.dtype)


def grid(g: Graph, low: float, high: float) -> Grid:
    """A grid on which results from `low` to `high` fit, more or less."""
    scale = (high - low) / 255 * g.rng.uniform(0.5, 1.5)
    zero = int(np.clip(RANGES[g.dtype][0] - low / scale, *RANGES[g.dtype]))
    if g.rng.random() < 0.3:
        zero = g.zero(g.dtype)
    return g.constant(scale), g.constant(zero, g.dtype)


def weight(g: Graph, shape: tuple[int, ...], channels: int) -> tuple[str, str, str]:
    """Stored levels with one scale and zero point, or one per channel."""
    dtype = "int8" if g.dtype == "int8" else str(g.pick("int8", "uint8"))
    low, high = RANGES[dtype]
    data = g.constant(g.rng.integers(low, high + 1, shape), dtype)
    if g.rng.random() < 0.5:
        return data, g.constant(g.rng.uniform(0.002, 0.01)), g.constant(g.zero(dtype), dtype)
    zeros = np.full(channels, g.zero(dtype))
    return data, g.constant(g.rng.uniform(0.002, 0.01, channels)), g.constant(zeros, dtype)


def bias(g: Graph, count: int) -> str:
    return g.constant(g.rng.integers(-3000, 3000, count), "int32")


def conv(g: Graph) -> str:
    g.dtype = "uint8"  # QLinearConv of int8 loses a kernel in ONNX Runtime's optimizer
    groups, size = g.whole(1, 3), g.whole(1, 3)
    x = levels(g, 1, 2 * groups, g.whole(5, 8), g.whole(5, 8))
    outputs = groups * g.whole(1, 3)
    w = weight(g, (outputs, 2, size, size), outputs)
    more = [bias(g, outputs)] if g.rng.random() < 0.5 else []
    attributes = window(g, size)
    return g.node("QLinearConv", *x, *w, *grid(g, -9, 9), *more, group=groups, **attributes)


def matmul(g: Graph) -> str:
    inputs, outputs = g.whole(1, 20), g.whole(1, 9)
    x, w = levels(g, 1, inputs), weight(g, (inputs, outputs), outputs)
    return g.node("QLinearMatMul", *x, *w, *grid(g, -9, 9))


def gemm(g: Graph) -> str:
    g.dtype = "uint8"  # the only one that ONNX Runtime has
    inputs, outputs, turned = g.whole(1, 20), g.whole(1, 9), g.whole(0, 1)
    x = levels(g, 1, inputs)
    w = weight(g, (outputs, inputs) if turned else (inputs, outputs), outputs)
    added = bias(g, outputs) if g.rng.random() < 0.7 else ""
    rest = [*x, *w, added, *grid(g, -9, 9)]
    return g.node("QGemm", *rest, domain=MICROSOFT, transB=turned, alpha=1.0)


def pair(op: str) -> Callable[[Graph], str]:
    def build(g: Graph) -> str:
        x = levels(g, 1, 3, 4, 5)
        if g.rng.random() < 0.5:
            return g.node(op, *x, *x, *grid(g, -9, 9), domain=MICROSOFT)
        other = g.constant(g.rng.integers(*RANGES[g.dtype], (1, 3, 1, 1)), g.dtype)
        parameters = g.constant(0.02), g.constant(g.zero(g.dtype), g.dtype)
        return g.node(op, *x, other, *parameters, *grid(g, -9, 9), domain=MICROSOFT)

    return build


def unary(op: str, low: float, high: float, **attributes: object) -> Callable[[Graph], str]:
    def build(g: Graph) -> str:
        x = levels(g, 1, 3, 5, 4)
        return g.node(op, *x, *grid(g, low, high), domain=MICROSOFT, **attributes)

    return build


def average_pool(g: Graph) -> str:
    x, attributes = levels(g, 1, 3, 7, 6), window(g, g.whole(1, 3))
    attributes["count_include_pad"] = g.whole(0, 1)
    return g.node("QLinearAveragePool", *x, *grid(g, -5, 5), domain=MICROSOFT, **attributes)


def concat(g: Graph) -> str:
    x = levels(g, 1, 3, 4, 5)
    y = grid(g, -3, 3)
    first = g.node("QLinearLeakyRelu", *x, *y, domain=MICROSOFT, alpha=0.1)
    pooled = g.node("MaxPool", first, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    parts = [*x, pooled, *y]
    return g.node("QLinearConcat", *grid(g, -4, 4), *parts, domain=MICROSOFT, axis=1)


def softmax(g: Graph) -> str:
    x = levels(g, 1, g.whole(2, 12))
    result = g.constant(1 / 256), g.constant(RANGES[g.dtype][0], g.dtype)
    return g.node("QLinearSoftmax", *x, *result, domain=MICROSOFT, axis=-1, opset=g.opset)


def moved(g: Graph) -> str:
    """Operators that take levels as they take real numbers, behind a quantizer's result."""
    x = levels(g, 1, 2, 6, 5)
    y = grid(g, -4, 4)
    found = g.node("QLinearSigmoid", *x, *y, domain=MICROSOFT)
    kind = g.whole(0, 3)
    if kind == 0:
        return g.node("MaxPool", found, kernel_shape=[2, 3], strides=[2, 1])
    if kind == 1:
        amounts = g.constant([0, 0, 1, 0, 0, 0, 0, 2], "int64")
        return g.node("Pad", found, amounts, g.constant(g.whole(0, 100), g.dtype))
    if kind == 2:
        return g.node("Transpose", found, perm=[0, 2, 3, 1])
    return g.node("Flatten", g.node("Identity", found))


OPERATORS: dict[str, Callable[[Graph], str]] = {
    "QLinearConv": conv,
    "QLinearMatMul": matmul,
    "QGemm": gemm,
    "QLinearAdd": pair("QLinearAdd"),
    "QLinearMul": pair("QLinearMul"),
    "QLinearSigmoid": unary("QLinearSigmoid", 0, 1),
    "QLinearLeakyRelu": unary("QLinearLeakyRelu", -2, 8, alpha=0.3),
    "QLinearGlobalAveragePool": unary("QLinearGlobalAveragePool", -4, 4),
    "QLinearAveragePool": average_pool,
    "QLinearConcat": concat,
    "QLinearSoftmax": softmax,
    "on levels": moved,
}
