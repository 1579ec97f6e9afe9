"""Whether every tensor is there before it is read, and is made once."""

from collections.abc import Iterator

from mcugen.errors import Fault
from mcugen.frontend.tflite.graph import Graph


def order_faults(graph: Graph) -> Iterator[Fault]:
    """What is wrong with the order of operators, and with inputs and outputs."""
    there = {tensor.index for tensor in graph.tensors if tensor.data is not None or tensor.variable}
    for index in graph.inputs:
        if index < 0 or index in there:
            yield Fault("an input of the model is no tensor, a constant, or given twice")
        there.add(index)
    for operator in graph.operators:
        for index in operator.inputs:
            if index >= 0 and index not in there:
                what = f"{graph.tensors[index]} is read before it is made"
                yield Fault(what, at=str(operator))
        for index in operator.outputs:
            if index in there:
                yield Fault(f"{graph.tensors[index]} is made twice", at=str(operator))
            there.add(index)
    for index in graph.outputs:
        if index not in there:
            yield Fault("an output of the model is not made by any operator")
