"""The PyTorch frontend: a `.pt2` archive to a verified integer program."""

from pathlib import Path

from mcugen.frontend.archive import read_archive
from mcugen.frontend.graph import ExportedGraph
from mcugen.frontend.lower import lower
from mcugen.ir.program import Program
from mcugen.passes import optimize


def load(path: Path) -> tuple[ExportedGraph, Program]:
    """The graph in `path` and its integer program.

    Raises:
        McugenError: the file is no archive mcugen reads, or the model cannot be lowered.
    """
    graph = read_archive(path)
    return graph, optimize(lower(graph, path.stem))
