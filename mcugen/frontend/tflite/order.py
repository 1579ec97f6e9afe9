"""Whether every tensor is there before it is read, and is made once."""

from collections.abc import Iterator

from mcugen.errors import Fault
from mcugen.frontend.tflite.graph import Graph

#: Elements of constants that operators read, those that several read counted for each.
MAX_READ = 2**25


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
    read = [graph.tensors[index].data for item in graph.operators for index in item.inputs]
    if sum(data.size for data in read if data is not None) > MAX_READ:
        yield Fault("operators read too many constants", want=f"at most {MAX_READ} elements")
    for index in graph.outputs:
        if index not in there:
            yield Fault("an output of the model is not made by any operator")
