"""The TFLite frontend: a .tflite file to a verified integer program.

`reader` takes the file as data, `handlers` lowers it operator by operator, so that the program
computes what LiteRT's reference kernels compute, in every tensor and bit for bit.
"""

from pathlib import Path

from mcugen.frontend.tflite.graph import Graph
from mcugen.frontend.tflite.lower import lower
from mcugen.frontend.tflite.reader import read_tflite
from mcugen.ir.program import Program
from mcugen.passes import optimize


def load(path: Path) -> tuple[Graph, Program]:
    """The graph in `path` and its integer program.

    Raises:
        McugenError: the file is no .tflite that mcugen reads, or the model cannot be lowered.
    """
    graph = read_tflite(path)
    return graph, optimize(lower(graph, path.stem))
