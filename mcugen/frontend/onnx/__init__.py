"""The ONNX frontend: a quantized `.onnx` file (QDQ or QOperator) to a verified integer program."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from mcugen.frontend.graph import ExportedGraph
from mcugen.frontend.lower import lower
from mcugen.frontend.onnx.graph import OnnxGraph
from mcugen.frontend.onnx.reader import read_onnx
from mcugen.frontend.onnx.translate import translate
from mcugen.ir.program import Program
from mcugen.passes import optimize


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A file as it was read, and as it was lowered."""

    source: OnnxGraph
    graph: ExportedGraph


def load(path: Path) -> tuple[OnnxModel, Program]:
    """The model in `path` and its integer program.

    Raises:
        McugenError: the file is no ONNX model mcugen reads, or the model cannot be lowered.
    """
    source = read_onnx(path)
    graph = replace(translate(source), sha256=hashlib.sha256(source.data).hexdigest())
    return OnnxModel(source, graph), optimize(lower(graph, path.stem))
