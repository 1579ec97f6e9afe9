"""Where a model begins and ends in integers: real numbers at its edges are quantized outside.

A converter that was asked for a float interface puts QUANTIZE behind the input and DEQUANTIZE in
front of the output. Their tensors of real numbers are no part of the program.
"""

from mcugen.errors import fail
from mcugen.frontend.tflite.context import ELEMENTS, STAGE
from mcugen.frontend.tflite.graph import Graph, Operator, Tensor


def first_tensor(graph: Graph) -> Tensor:
    """The input, or what QUANTIZE makes of it.

    Raises:
        McugenError: several inputs, or one that is not on one grid.
    """
    tensor = _only(graph, "input", graph.inputs)
    if tensor.dtype == "float32":
        readers = [item for item in graph.operators if tensor.index in item.inputs]
        if len(readers) == 1 and readers[0].name == "QUANTIZE":
            tensor = graph.tensors[readers[0].outputs[0]]
    found = tensor.quantization
    if tensor.dtype not in ELEMENTS or found is None or not found.per_tensor:
        raise fail(
            STAGE,
            f"the input is {tensor.dtype}",
            got=str(tensor),
            want=f"{' or '.join(ELEMENTS)} with one scale",
            help="convert with full-integer quantization (a representative data set, "
            "TFLITE_BUILTINS_INT8)",
        )
    return tensor


def last_tensor(graph: Graph) -> Tensor:
    """The output, or what DEQUANTIZE reads for it.

    Raises:
        McugenError: several outputs.
    """
    tensor = _only(graph, "output", graph.outputs)
    for operator in graph.operators:
        if tensor.index in operator.outputs and operator.name == "DEQUANTIZE":
            return graph.tensors[operator.inputs[0]]
    return tensor


def is_edge(graph: Graph, operator: Operator) -> bool:
    """The operator stands between real numbers and the program."""
    if operator.name == "QUANTIZE":
        return operator.inputs[0] in graph.inputs and _is_real(graph, operator.inputs[0])
    return operator.name == "DEQUANTIZE" and operator.outputs[0] in graph.outputs


def _is_real(graph: Graph, index: int) -> bool:
    return graph.tensors[index].dtype == "float32"


def _only(graph: Graph, role: str, indices: tuple[int, ...]) -> Tensor:
    if len(indices) != 1:
        names = ", ".join(str(graph.tensors[index]) for index in indices)
        raise fail(STAGE, f"the model has {len(indices)} {role}s", got=names, want=f"one {role}")
    return graph.tensors[indices[0]]
