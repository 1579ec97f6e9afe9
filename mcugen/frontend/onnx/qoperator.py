"""QLinearConv and its kin, spelled as what they stand for: dequantize, operate, quantize.

Sources: ONNX's Operators.md for QLinearConv and QLinearMatMul, ONNX Runtime's ContribOperators.md
for those of com.microsoft.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mcugen.frontend.onnx.graph import MICROSOFT, STANDARD, Attribute, Known, OnnxNode
from mcugen.frontend.onnx.translation import Translation

#: Tensors made here: no name in a file may hold such a character.
_MADE = "\0"


@dataclass(frozen=True)
class Form:
    """Where an operator keeps its operands."""

    op: str
    """The operator on real numbers."""
    operands: tuple[int, ...]
    """Places of levels, each followed by its scale and zero point."""
    result: int
    """Place of the result's scale, followed by its zero point."""
    bias: int | None = None
    """Place of sums on the product of the operands' scales."""


_UNARY = (0,)
_PAIR = (0, 3)
FORMS = {
    (STANDARD, "QLinearConv"): Form("Conv", _PAIR, 6, bias=8),
    (STANDARD, "QLinearMatMul"): Form("MatMul", _PAIR, 6),
    (MICROSOFT, "QLinearConv"): Form("Conv", _PAIR, 6, bias=8),
    (MICROSOFT, "QGemm"): Form("Gemm", _PAIR, 7, bias=6),
    (MICROSOFT, "QLinearAdd"): Form("Add", _PAIR, 6),
    (MICROSOFT, "QLinearMul"): Form("Mul", _PAIR, 6),
    (MICROSOFT, "QLinearAveragePool"): Form("AveragePool", _UNARY, 3),
    (MICROSOFT, "QLinearGlobalAveragePool"): Form("GlobalAveragePool", _UNARY, 3),
    (MICROSOFT, "QLinearReduceMean"): Form("ReduceMean", _UNARY, 3),
    (MICROSOFT, "QLinearLeakyRelu"): Form("LeakyRelu", _UNARY, 3),
    (MICROSOFT, "QLinearSigmoid"): Form("Sigmoid", _UNARY, 3),
    (MICROSOFT, "QLinearSoftmax"): Form("Softmax", _UNARY, 3),
}
_CONCAT = (MICROSOFT, "QLinearConcat")
#: Attributes that only the quantized operator has, with the value it must have.
_OWN = {"channels_last": 0, "opset": None}


def is_quantized(node: OnnxNode) -> bool:
    """Whether a node is an operator on levels."""
    return (node.domain, node.op) in FORMS or (node.domain, node.op) == _CONCAT


def spelled_out(to: Translation, node: OnnxNode) -> Iterator[OnnxNode]:
    """The nodes that a node on levels stands for; biases become constants of `to`."""
    key = (node.domain, node.op)
    node = replace(node, written=node.kind)
    if key == _CONCAT:
        places = tuple(range(2, len(node.inputs), 3))
        form = Form("Concat", places, 0)
    else:
        form = FORMS[key]
    for name, want in _OWN.items():
        if want is not None and node.attributes.get(name, want) != want:
            raise node.wrong(f"attribute {name} is not supported", want=str(want))
    own = {name: value for name, value in node.attributes.items() if name not in _OWN}
    if len(node.inputs) <= max(form.result, *(place + 1 for place in form.operands)):
        raise node.wrong(f"only {len(node.inputs)} inputs")
    output, inputs = node.outputs[0], []
    for number, place in enumerate(form.operands):
        inputs.append(f"{output}{_MADE}{number}")
        grid = node.inputs[place : place + 3]
        axis = _weight_axis(node) if number else 1
        yield _quantizer(node, "DequantizeLinear", grid, inputs[-1], axis)
    if form.bias is not None and form.bias < len(node.inputs) and node.inputs[form.bias]:
        inputs.append(_bias(to, node, form))
    grid = node.inputs[form.result : form.result + 2]
    real = output if not (grid and grid[0]) else f"{output}{_MADE}"
    yield replace(
        node, domain=STANDARD, op=form.op, inputs=tuple(inputs), outputs=(real,), attributes=own
    )
    if real != output:
        yield _quantizer(node, "QuantizeLinear", (real, *grid), output, 1)


def _quantizer(
    node: OnnxNode, op: str, inputs: tuple[str, ...], output: str, axis: int
) -> OnnxNode:
    attributes: dict[str, Attribute] = {"axis": axis}
    return replace(
        node, domain=STANDARD, op=op, inputs=inputs, outputs=(output,), attributes=attributes
    )


def _weight_axis(node: OnnxNode) -> int:
    """Where the scales of a weight lie: along its output channels."""
    if node.op == "QLinearConv":
        return 0
    return 0 if node.op == "QGemm" and node.attributes.get("transB", 0) == 1 else -1


def _bias(to: Translation, node: OnnxNode, form: Form) -> str:
    """A constant with the real numbers of the bias: levels times both scales."""
    assert form.bias is not None
    found = to.values.get(node.inputs[form.bias])
    scales = [to.values.get(node.inputs[place + 1]) for place in form.operands]
    if not isinstance(found, Known) or found.dtype != "int32" or found.data.ndim > 2:
        raise node.wrong("the bias is no constant of int32")
    product = np.ones(())
    for scale in scales:
        if not isinstance(scale, Known) or scale.data.ndim > 1:
            raise node.wrong("a scale is no constant")
        product = product * scale.data.astype(np.float64)
    if product.size not in (1, found.data.shape[-1] if found.data.ndim else 1):
        raise node.wrong(f"{product.size} scales for a bias of {list(found.data.shape)}")
    name = f"{node.inputs[form.bias]}{_MADE}{node.index}"
    alpha = node.attributes.get("alpha", 1.0)
    alpha = alpha if isinstance(alpha, float) else 1.0
    to.values[name] = Known(found.data * product * alpha, "float64")
    return name
