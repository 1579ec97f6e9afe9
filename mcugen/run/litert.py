"""A .tflite model on LiteRT's reference kernels, without delegates: what `check` compares with."""

from types import ModuleType
from typing import Any

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import node_name
from mcugen.frontend.tflite.edges import last_tensor
from mcugen.frontend.tflite.graph import Graph, Tensor
from mcugen.ir.program import Program
from mcugen.run.original import Answer
from mcugen.run.samples import input_boundary, output_boundary

STAGE = "check"


def _module() -> ModuleType:
    """LiteRT's interpreter.

    Raises:
        McugenError: it is not installed.
    """
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise fail(
            STAGE,
            "comparing with LiteRT needs the package ai-edge-litert, which is not installed",
            help="pip install 'mcugen[litert]'",
        ) from error
    return interpreter


class LiteRtModel:
    """A .tflite file in LiteRT's interpreter."""

    title = "LiteRT"
    exact = True

    def __init__(self, graph: Graph, program: Program) -> None:
        """McugenError where LiteRT is missing or refuses the file."""
        self._graph, self._program = graph, program
        self._tensors = captured_tensors(graph, program)
        module = _module()
        try:
            self._interpreter = module.Interpreter(
                model_content=graph.content,
                experimental_op_resolver_type=module.OpResolverType.BUILTIN_REF,
                experimental_preserve_all_tensors=True,
                num_threads=1,
            )
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise fail(STAGE, "LiteRT refuses the model", got=_line(error)) from error

    def answer(self, x: np.ndarray, layers: bool) -> Answer:
        """See `Original`; all in levels, which are the tensors' own numbers."""
        levels = input_boundary(self._program).levels(x)
        wanted = self._tensors if layers else {}
        found: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
        outputs = []
        for sample in levels:
            self._run(sample)
            outputs.append(self._read(last_tensor(self._graph)))
            for name, tensor in wanted.items():
                found[name].append(self._read(tensor))
        shape = self._program.values[self._program.output].type.shape[1:]
        stacked = np.stack(outputs).reshape(len(x), *shape)
        traced = {name: np.stack(items) for name, items in found.items()}
        return Answer(output_boundary(self._program).real(stacked), traced)

    def _run(self, sample: np.ndarray) -> None:
        (index,) = self._graph.inputs
        tensor = self._graph.tensors[index]
        given = sample.reshape(tensor.shape)
        if tensor.dtype == "float32":
            meaning = input_boundary(self._program).meaning
            given = (given - meaning.zero) * meaning.scale[0]
        # Samples are sequences of one: nothing is remembered from the last.
        self._interpreter.reset_all_variables()
        self._interpreter.set_tensor(index, given.astype(tensor.dtype))
        self._interpreter.invoke()

    def _read(self, tensor: Tensor) -> np.ndarray:
        values: Any = self._interpreter.get_tensor(tensor.index)
        return values.astype(np.int64)


def captured_tensors(graph: Graph, program: Program) -> dict[str, Tensor]:
    """Value of the program → the tensor of the file that it is."""
    computed = {index for operator in graph.operators for index in operator.outputs}
    by_node = {node_name(graph.tensors[index]): graph.tensors[index] for index in computed}
    return {
        name: by_node[value.source.node]
        for name, value in program.values.items()
        if value.meaning and value.source and value.source.node in by_node
    }


def _line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:300]
