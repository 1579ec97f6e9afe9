"""The formats of model files, by suffix: who reads one, and what it is compared with.

A format's library is imported when a file of that format is read, its framework when it is checked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcugen.errors import fail
from mcugen.ir.program import Program

if TYPE_CHECKING:
    from mcugen.run.original import Original


@dataclass(frozen=True)
class Format:
    """One format; `graph` is what its reader makes of a file."""

    read: Callable[[Path], tuple[Any, Program]]
    """Graph and integer program; McugenError where the file cannot be read or lowered."""
    original: Callable[[Any, Program], "Original"]
    """The model in its framework; McugenError where that is not installed."""


def _read_pt2(path: Path) -> tuple[Any, Program]:
    from mcugen.frontend.exported import load

    return load(path)


def _torch(graph: Any, program: Program) -> "Original":
    from mcugen.run.original import TorchModel

    return TorchModel(graph, program)


def _read_onnx(path: Path) -> tuple[Any, Program]:
    from mcugen.frontend.onnx import load

    return load(path)


def _onnxruntime(model: Any, program: Program) -> "Original":
    from mcugen.run.onnx_model import OnnxRuntimeModel

    return OnnxRuntimeModel(model, program)


def _read_tflite(path: Path) -> tuple[Any, Program]:
    from mcugen.frontend.tflite import load

    return load(path)


def _litert(graph: Any, program: Program) -> "Original":
    from mcugen.run.litert import LiteRtModel

    return LiteRtModel(graph, program)


FORMATS = {
    ".pt2": Format(_read_pt2, _torch),
    ".onnx": Format(_read_onnx, _onnxruntime),
    ".tflite": Format(_read_tflite, _litert),
}


def format_of(path: Path) -> Format:
    """The format of a model file.

    Raises:
        McugenError: no format has its suffix.
    """
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise fail(
            "model",
            "a model file's format is not known by its suffix",
            at=str(path),
            want=" or ".join(FORMATS),
        )
    return found
