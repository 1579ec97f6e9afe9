"""Files that no exporter writes: each is one change to an honest model, and has one answer."""

from collections.abc import Callable

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.frontend.onnx.honest import constant, given, honest, node, replaced

HUGE = 2**62
CODE = "x;} int main(void){system(0);}/*"


def _external(model: ModelProto, location: str) -> None:
    tensor = constant(model, "weight")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value="72")


def _dims(model: ModelProto, name: str, *dims: int) -> None:
    tensor = constant(model, name)
    del tensor.dims[:]
    tensor.dims.extend(dims)


def _size(model: ModelProto, axis: int, value: int) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = value


def _cycle(model: ModelProto) -> None:
    node(model, "relu").input[0] = "pool"


def _subgraph(model: ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    made = helper.make_node("If", ["conv"], ["relu"], then_branch=body, else_branch=body)
    node(model, "relu").CopyFrom(made)


def _nested(model: ModelProto, depth: int = 12) -> None:
    inner = helper.make_graph([], "g", [], [])
    for _ in range(depth):
        made = helper.make_node("If", ["conv"], ["relu"])
        made.attribute.append(helper.make_attribute("then_branch", inner))
        inner = helper.make_graph([made], "g", [], [])
    model.graph.node.extend(inner.node)


def _many_attributes(model: ModelProto) -> None:
    for index in range(100):
        node(model, "relu").attribute.append(helper.make_attribute(f"a{index}", 1))


def _growing(model: ModelProto) -> None:
    """A constant that doubles forty times."""
    made, last = [], "scale_list"
    model.graph.initializer.append(numpy_helper.from_array(np.ones(4, np.float32), last))
    for index in range(40):
        made.append(helper.make_node("Concat", [last, last], [f"twice{index}"], axis=0))
        last = f"twice{index}"
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*made, *kept])


def _filled(model: ModelProto) -> None:
    extents = numpy_helper.from_array(np.array([2**31, 2**31], np.int64), "extents")
    model.graph.initializer.append(extents)
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["extents"], ["big"]))


def _four_bits_short(model: ModelProto) -> None:
    tensor = constant(model, "matrix")
    tensor.data_type = TensorProto.INT4


Change = Callable[[ModelProto], object]
#: What is changed, and words of the one answer.
CHANGES: dict[str, tuple[Change, str]] = {
    "shape whose product overflows": (
        lambda m: _dims(m, "weight", HUGE, 4),
        "a tensor is too large",
    ),
    "shape whose product wraps to the data": (
        lambda m: _dims(m, "weight", 2**32, 2**32, 72),
        "a tensor is too large",
    ),
    "shape with a negative extent": (
        lambda m: _dims(m, "weight", 4, -2, 3, 3),
        "a tensor has a negative extent",
    ),
    "shape beyond its data": (
        lambda m: _dims(m, "weight", 4, 2, 3, 4),
        "raw_data does not hold as much",
    ),
    "shape of a thousand axes": (
        lambda m: _dims(m, "weight", *[1] * 1000),
        "a tensor has 1000 axes",
    ),
    "data beyond its shape": (lambda m: _dims(m, "bias", 3), "raw_data does not hold as much"),
    "half a byte too few": (_four_bits_short, "raw_data does not hold as much"),
    "typed data of another amount": (
        lambda m: (
            constant(m, "bias").ClearField("raw_data"),
            constant(m, "bias").int32_data.append(1),
        ),
        "int32_data does not hold as much",
    ),
    "value outside of its type": (
        lambda m: (
            constant(m, "zero").ClearField("raw_data"),
            constant(m, "zero").int32_data.append(300),
        ),
        "a value is no uint8",
    ),
    "unknown element type": (
        lambda m: setattr(constant(m, "weight"), "data_type", 9999),
        "an element type is not",
    ),
    "strings for numbers": (
        lambda m: setattr(constant(m, "weight"), "data_type", 8),
        "an element type is not",
    ),
    "data in /etc/passwd": (
        lambda m: _external(m, "/etc/passwd"),
        "a tensor's data lies in another file",
    ),
    "data above the folder": (
        lambda m: _external(m, "../../../../etc/passwd"),
        "a tensor's data lies in another file",
    ),
    "data beside the file": (
        lambda m: _external(m, "weights.bin"),
        "a tensor's data lies in another file",
    ),
    "input of two to the 40": (lambda m: _size(m, 2, 2**40), "a tensor is too large"),
    "input of a negative size": (lambda m: _size(m, 2, -5), "an input's extent is not positive"),
    "open height": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[2], "dim_param", "h"),
        "an input's shape is left open",
    ),
    "input without a shape": (
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"),
        "has no shape",
    ),
    "input that is a sequence": (
        lambda m: m.graph.input[0].type.sequence_type.elem_type.SetInParent(),
        "an input is not a tensor",
    ),
    "no input": (lambda m: m.graph.ClearField("input"), "used before any node computes it"),
    "two inputs": (
        lambda m: m.graph.input.append(
            helper.make_tensor_value_info("other", TensorProto.FLOAT, [1, 2])
        ),
        "the model has 2 inputs",
    ),
    "stride of zero": (
        lambda m: given(m, "conv", strides=[0, 1]),
        "attribute strides does not fit",
    ),
    "stride of two to the 62": (
        lambda m: given(m, "conv", strides=[HUGE, 1]),
        "attribute strides does not fit",
    ),
    "negative padding": (
        lambda m: given(m, "conv", pads=[-1, 0, 0, 0]),
        "attribute pads does not fit",
    ),
    "padding of two to the 62": (
        lambda m: given(m, "conv", pads=[HUGE, 0, 0, 0]),
        "attribute pads does not fit",
    ),
    "three strides": (
        lambda m: given(m, "conv", strides=[1, 1, 1]),
        "attribute strides does not fit",
    ),
    "dilation of zero": (
        lambda m: given(m, "conv", dilations=[0, 0]),
        "attribute dilations does not fit",
    ),
    "no groups": (lambda m: given(m, "conv", group=0), "0 groups"),
    "window larger than the image": (
        lambda m: given(m, "pool", kernel_shape=[7, 7]),
        "does not fit 4",
    ),
    "kernel_shape other than the weight's": (
        lambda m: given(m, "conv", kernel_shape=[5, 5]),
        "attribute kernel_shape is [5, 5]",
    ),
    "axis behind the last": (lambda m: given(m, "weight_d", axis=9), "axis 9 does not fit"),
    "axis before the first": (lambda m: given(m, "weight_d", axis=-9), "axis -9 does not fit"),
    "axis of another length": (lambda m: given(m, "weight_d", axis=1), "4 scales along axis 1"),
    "axis that is a text": (
        lambda m: given(m, "weight_d", axis="one"),
        "attribute axis is no integer",
    ),
    "attribute given twice": (
        lambda m: node(m, "weight_d").attribute.append(helper.make_attribute("axis", 0)),
        "attribute axis is given twice",
    ),
    "attribute nobody knows": (
        lambda m: given(m, "relu", secret=1),
        "attribute secret is not known",
    ),
    "a hundred attributes": (_many_attributes, "there are too many attributes"),
    "scale that is NaN": (
        lambda m: replaced(m, "scale", np.float32(np.nan)),
        "has NaN or infinite values",
    ),
    "scale without end": (
        lambda m: replaced(m, "scale", np.float32(np.inf)),
        "has NaN or infinite values",
    ),
    "scale below zero": (
        lambda m: replaced(m, "scale", np.float32(-0.5)),
        "the scale is not positive",
    ),
    "scale of zero": (
        lambda m: replaced(m, "weight_scale", np.zeros(4, np.float32)),
        "the scale is not positive",
    ),
    "no scale": (
        lambda m: replaced(m, "weight_scale", np.zeros(0, np.float32)),
        "the scale is not positive",
    ),
    "scale that is computed": (
        lambda m: node(m, "pool_q").input.__setitem__(1, "conv"),
        "the scale is computed",
    ),
    "scale next to nothing": (lambda m: replaced(m, "scale", np.float32(1e-38)), "quantizer scale"),
    "zero point of another type": (
        lambda m: replaced(m, "matrix_zero", np.uint8(0)),
        "the zero point has another type",
    ),
    "zero point that is a number with a point": (
        lambda m: replaced(m, "zero", np.float32(3)),
        "the zero point is no constant integer",
    ),
    "too many zero points": (
        lambda m: replaced(m, "matrix_zero", np.zeros(7, np.int8)),
        "7 zero points for 1 scales",
    ),
    "cycle": (_cycle, "is used before any node computes it"),
    "tensor nobody computes": (
        lambda m: node(m, "relu").input.__setitem__(0, "nowhere"),
        "tensor 'nowhere' is used",
    ),
    "tensor computed twice": (
        lambda m: node(m, "pool").output.__setitem__(0, "relu"),
        "tensor 'relu' is defined twice",
    ),
    "tensor computed and constant": (
        lambda m: node(m, "pool").output.__setitem__(0, "bias"),
        "tensor 'bias' is defined twice",
    ),
    "two constants of one name": (
        lambda m: m.graph.initializer.append(constant(m, "bias")),
        "two initializers have one",
    ),
    "name with a line end": (
        lambda m: setattr(node(m, "relu"), "name", "a\n*/ int main;"),
        "a name cannot be shown",
    ),
    "name with an escape sequence": (
        lambda m: node(m, "relu").output.__setitem__(0, "\x1b[2J"),
        "a name cannot be shown",
    ),
    "name of a megabyte": (
        lambda m: setattr(node(m, "relu"), "name", "n" * 2**20),
        "a name cannot be shown",
    ),
    "operator that is C": (
        lambda m: setattr(node(m, "relu"), "op_type", CODE),
        "a node's op_type is no name",
    ),
    "operator nobody knows": (
        lambda m: setattr(node(m, "relu"), "op_type", "Rellu"),
        "'Rellu' has no integer lowering",
    ),
    "domain nobody knows": (
        lambda m: setattr(node(m, "relu"), "domain", "evil.example"),
        "'evil.example.Relu' has no integer lowering",
    ),
    "control flow": (_subgraph, "control flow is not supported"),
    "control flow twelve levels deep": (_nested, "nested too deeply"),
    "node without an output": (
        lambda m: m.graph.node.append(helper.make_node("Relu", ["conv"], [])),
        "has no output",
    ),
    "node without an input": (lambda m: node(m, "relu").ClearField("input"), "input 0 is missing"),
    "constants that grow": (_growing, "a tensor is too large"),
    "constant of two to the 62": (_filled, "a tensor is too large"),
    "shape that divides by zero": (
        lambda m: replaced(m, "shape", np.array([0, -1, 0, 0, 0], np.int64)),
        "the extents are no shape",
    ),
    "shape of another size": (
        lambda m: replaced(m, "shape", np.array([1, 17], np.int64)),
        "does not reshape to",
    ),
    "shape with two open extents": (
        lambda m: replaced(m, "shape", np.array([-1, -1], np.int64)),
        "the extents are no shape",
    ),
    "matrix of another height": (
        lambda m: _dims(m, "matrix", 5, 16),
        "16 features meet weights for 5",
    ),
    "infinite coefficient": (
        lambda m: given(m, "scores", alpha=float("inf")),
        "attribute alpha is no finite number",
    ),
    "operators of the future": (
        lambda m: setattr(m.opset_import[0], "version", 9999),
        "the version of ONNX's operators",
    ),
    "operators of no version": (
        lambda m: m.ClearField("opset_import"),
        "names no version of ONNX's operators",
    ),
    "sparse constants": (lambda m: m.graph.sparse_initializer.add(), "a constant is stored sparse"),
    "no graph": (lambda m: m.ClearField("graph"), "holds no graph with nodes"),
    "output nobody computes": (
        lambda m: setattr(m.graph.output[0], "name", "nowhere"),
        "tensor 'nowhere' is used",
    ),
    "output that is a constant": (
        lambda m: setattr(m.graph.output[0], "name", "bias"),
        "is a constant",
    ),
    "no output": (lambda m: m.graph.ClearField("output"), "the model has 0 outputs"),
}


def changed(change: Change) -> bytes:
    """The honest model after one change."""
    model = honest()
    change(model)
    return bytes(model.SerializeToString())


#: Files that are no message at all.
RAW: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "names no version of ONNX's operators"),
    "text": (b"<onnx>this is not it</onnx>", "truncated or no ONNX model"),
    "truncated": (honest().SerializeToString()[:-100], "truncated or no ONNX model"),
    "field longer than the file": (b"\x3a\xff\xff\xff\xff\x0f", "truncated or no ONNX model"),
    "number without an end": (b"\x08" + b"\xff" * 20, "truncated or no ONNX model"),
    "a million empty nodes": (b"\x3a\x80\x89\x7a" + b"\x0a\x00" * 1_000_000, "has too many parts"),
}
