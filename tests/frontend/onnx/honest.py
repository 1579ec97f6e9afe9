"""An honest model, and how to reach its parts."""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper


def honest() -> ModelProto:
    """Convolution, pool and linear layer between quantizers."""
    rng = np.random.default_rng(0)
    constants = {
        "scale": np.float32(0.02),
        "zero": np.uint8(3),
        "weight": rng.integers(-127, 128, (4, 2, 3, 3)).astype(np.int8),
        "weight_scale": np.full(4, 0.01, np.float32),
        "weight_zero": np.zeros(4, np.int8),
        "bias": np.arange(4, dtype=np.int32),
        "bias_scale": np.full(4, 0.0002, np.float32),
        "shape": np.array([1, -1], np.int64),
        "matrix": rng.integers(-127, 128, (16, 5)).astype(np.int8),
        "matrix_scale": np.float32(0.01),
        "matrix_zero": np.int8(0),
    }
    nodes = [
        ("QuantizeLinear", "image scale zero", "image_q", {}),
        ("DequantizeLinear", "image_q scale zero", "image_d", {}),
        ("DequantizeLinear", "weight weight_scale weight_zero", "weight_d", {"axis": 0}),
        ("DequantizeLinear", "bias bias_scale", "bias_d", {"axis": 0}),
        ("Conv", "image_d weight_d bias_d", "conv", {"pads": [0, 0, 0, 0], "strides": [1, 1]}),
        ("Relu", "conv", "relu", {}),
        ("MaxPool", "relu", "pool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("QuantizeLinear", "pool scale zero", "pool_q", {}),
        ("DequantizeLinear", "pool_q scale zero", "pool_d", {}),
        ("Reshape", "pool_d shape", "flat", {}),
        ("DequantizeLinear", "matrix matrix_scale matrix_zero", "matrix_d", {}),
        ("Gemm", "flat matrix_d", "scores", {}),
    ]
    made = [
        helper.make_node(op, inputs.split(), [output], name=f"/{output}/{op}", **attributes)
        for op, inputs, output, attributes in nodes
    ]
    graph = helper.make_graph(
        made,
        "honest",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 2, 6, 6])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(np.asarray(data), name) for name, data in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(model: ModelProto, output: str) -> NodeProto:
    return next(one for one in model.graph.node if output in one.output)


def constant(model: ModelProto, name: str) -> TensorProto:
    return next(one for one in model.graph.initializer if one.name == name)


def replaced(model: ModelProto, name: str, data: object) -> None:
    """A constant with another value."""
    constant(model, name).CopyFrom(numpy_helper.from_array(np.asarray(data), name))


def given(model: ModelProto, output: str, **attributes: object) -> None:
    """Further attributes of a node."""
    for name, value in attributes.items():
        kept = [one for one in node(model, output).attribute if one.name != name]
        del node(model, output).attribute[:]
        node(model, output).attribute.extend([*kept, helper.make_attribute(name, value)])
