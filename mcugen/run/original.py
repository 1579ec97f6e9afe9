"""What `check` compares with: a model file as the framework that wrote it computes it."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from mcugen.frontend.graph import ExportedGraph
from mcugen.ir.program import Program
from mcugen.run.reference import Reference
from mcugen.run.samples import captured_nodes, torch_levels


@dataclass(frozen=True)
class Answer:
    """What a model computes for N samples."""

    output: np.ndarray
    """Real numbers [N, ...] in the order of the framework."""
    levels: dict[str, np.ndarray] = field(default_factory=dict)
    """Value of the program → its levels [N, ...] in the order of the program's memory."""


class Original(Protocol):
    """A model in its framework."""

    title: str
    """Name of the framework, as people read it."""
    exact: bool
    """The program promises every element that the framework computes."""

    def answer(self, x: np.ndarray, layers: bool) -> Answer:
        """Outputs for samples x [N, ...] (real), with `layers` the quantized tensors too.

        Raises:
            McugenError: the samples do not fit the model, or the framework refuses it.
        """


class TorchModel:
    """An exported graph on PyTorch's operators in float64."""

    title = "PyTorch"
    exact = False

    def __init__(self, graph: ExportedGraph, program: Program) -> None:
        """McugenError where torch is missing or the graph cannot run."""
        self._reference = Reference(graph)
        self._values = program.values
        self._nodes = captured_nodes(graph, program)

    def answer(self, x: np.ndarray, layers: bool) -> Answer:
        wanted = self._nodes if layers else {}
        outputs, captured = self._reference.run(x, capture=tuple(wanted))
        levels = {
            name: torch_levels(self._values[name], captured[node]) for node, name in wanted.items()
        }
        return Answer(outputs[0], levels)
