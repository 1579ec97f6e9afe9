"""`export`: a model as a `.pt2` archive with its quantizers in the graph."""

import copy
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from mcugen.errors import McugenError, fail
from mcugen.interrupts import scratch_folder
from mcugen.quant import ops as _ops  # noqa: F401 - registers the ops that the graph names
from mcugen.quant.weights import snap_weights_


def export(model: nn.Module, example_input: Tensor, path: str | os.PathLike[str]) -> Path:
    """Writes `model` in evaluation mode to `path` (`.pt2`) and returns the path.

    `example_input` is one sample with its batch axis, `[1, C, H, W]` or `[1, n]`; only its shape
    and type count, and it is not stored. The model itself stays as it is; in the copy that is
    written, weights are replaced by their values on the grid. The file appears complete or not at
    all, and the same model gives the same bytes.

    Raises McugenError for a batch other than one, a model that torch.export cannot trace, and
    shapes that depend on the data.
    """
    path = Path(path)
    _check(example_input, path)
    frozen = copy.deepcopy(model).eval()
    snap_weights_(frozen)
    try:
        with torch.no_grad():
            program = torch.export.export(frozen, (example_input,))
    except McugenError:
        raise
    except Exception as error:  # torch.export raises whatever the model's own code raises
        first = str(error).strip().splitlines()[:1]
        raise fail(
            "export",
            "torch.export cannot trace the model",
            at=type(model).__name__,
            got=f"{type(error).__name__}: {first[0] if first else ''}",
            help="shapes and control flow must not depend on the data",
        ) from error
    _check_static(program)
    _relative_sources(program)
    program.example_inputs = None  # else it is pickled into the archive
    _write(program, path)
    return path


def _check(example_input: Tensor, path: Path) -> None:
    if path.suffix != ".pt2":
        raise fail("export", "not a .pt2 file name", got=str(path))
    if not path.parent.is_dir():
        raise fail("export", "no such folder", got=str(path.parent))
    if example_input.dim() < 2 or example_input.shape[0] != 1:
        raise fail(
            "export",
            "the example input is not a batch of one",
            got=str(list(example_input.shape)),
            want="[1, …]",
            help="pass x[:1]",
        )


def _check_static(program: torch.export.ExportedProgram) -> None:
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, Tensor) and any(not isinstance(size, int) for size in value.shape):
            raise fail(
                "export",
                "a shape depends on the data",
                at=node.name,
                got=str(list(value.shape)),
                help="give every tensor a fixed shape",
            )


def _relative_sources(program: torch.export.ExportedProgram) -> None:
    """Makes source lines relative to the working folder: the file depends on no machine's paths."""
    here = f'File "{os.getcwd()}{os.sep}'
    for node in program.graph.nodes:
        trace = node.meta.get("stack_trace")
        if trace:
            node.meta["stack_trace"] = trace.replace(here, 'File "')


def _write(program: torch.export.ExportedProgram, path: Path) -> None:
    """Writes beside the target and renames, so that an interrupt leaves no half file."""
    with scratch_folder(path.parent, prefix=".export-") as folder:
        whole = folder / path.name  # the archive's inner folder is named after the file
        torch.export.save(program, whole)
        os.replace(whole, path)
