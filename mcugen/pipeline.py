"""The whole flow on one screen: model file → integer program → plan → C → host, target, profile."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcugen import data
from mcugen.build.firmware import FirmwareReport, build_firmware, image_path
from mcugen.build.fits import check_fits
from mcugen.check import Checker, CheckReport
from mcugen.emit import Emitted, emit, write
from mcugen.emit.manifest import Manifest, read_manifest
from mcugen.errors import fail
from mcugen.frontend.exported import load as load_exported
from mcugen.frontend.graph import ExportedGraph
from mcugen.ir.program import Meaning, Program
from mcugen.profile.flash import flash_model
from mcugen.profile.profile import ProfileReport, profile
from mcugen.report.console import progress
from mcugen.run.compare import RunReport, compare
from mcugen.run.host import HostModel, encode_input
from mcugen.run.qemu import open_qemu
from mcugen.run.samples import Boundary
from mcugen.run.serial import open_board
from mcugen.run.target import run_on
from mcugen.target.boards import Board
from mcugen.target.cores import Core

#: Boards that are only emulated or unknown get the reference board's core.
DEFAULT_CORE = "cortex-m4"


@dataclass(frozen=True)
class Model:
    """A model file read and lowered."""

    path: Path
    graph: ExportedGraph
    program: Program


def load(path: Path) -> Model:
    """Read and lower a model file.

    Raises:
        McugenError: no such file, a format mcugen does not read, or a model it cannot lower.
    """
    if not path.is_file():
        raise fail("model", f"no model file '{path}'")
    graph, program = load_exported(path)
    return Model(path, graph, program)


def symbol_prefix(path: Path) -> str:
    """The default `--name`: the file's stem as a C identifier."""
    clean = re.sub(r"[^A-Za-z0-9_]", "_", path.stem).strip("_").lower() or "model"
    return clean if clean[0].isalpha() else f"model_{clean}"


def emitted(
    model: Model, core: Core, name: str | None, board: Board | None, split: bool
) -> Emitted:
    """The C of a model and its manifest, in memory.

    Raises:
        McugenError: no kernel for some layer, or the model cannot fit the board.
    """
    result = emit(
        model.program,
        core,
        name or symbol_prefix(model.path),
        source_file=model.path.name,
        board=board.name if board else None,
        split_data=split,
    )
    if board:
        check_fits(result.manifest, board)
    return result


def generate(result: Emitted, folder: Path, force: bool) -> Manifest:
    """Write the C; `folder` appears or changes as a whole.

    Raises:
        McugenError: `folder` holds files mcugen did not write.
    """
    write(folder, result, force=force)
    return result.manifest


def samples(name: str, limit: int | None) -> data.DataSet:
    """The first `limit` test samples of a data set.

    Raises:
        McugenError: unknown set, damaged file, or a limit below one.
    """
    if limit is not None and limit < 1:
        raise fail("data", f"--limit {limit}", want="at least 1")
    whole = data.load(name, "test")
    return data.DataSet(whole.name, whole.x[:limit], whole.y[:limit], whole.classes)


def check(model: Model, host: HostModel, test: data.DataSet, layers: bool) -> CheckReport:
    """PyTorch, interpreter and host C on the same samples."""
    with progress("checking", len(test.x)) as advance:
        return Checker(model.graph, model.program, host).run(
            test.x, test.y, layers=layers, progress=advance
        )


def build(folder: Path, board: Board) -> FirmwareReport:
    """The firmware image of a generated model."""
    return build_firmware(folder, board)


def _levels(manifest: Manifest, x: np.ndarray) -> np.ndarray:
    """Real samples as the integers of the model's input."""
    source = manifest.input
    meaning = Meaning((source.scale,), source.zero_point)
    return Boundary(source.torch_shape, source.lo, source.hi, meaning).levels(x)


def run(folder: Path, board: Board, port: str | None, test: data.DataSet) -> RunReport:
    """The model on a board (`port`) or in QEMU (None), compared with the host's C.

    Raises:
        McugenError: no image, another model on the board, a line that does not answer.
    """
    manifest = read_manifest(folder)
    levels = _levels(manifest, test.x)
    expected = HostModel(folder).run_batch(levels)
    stored = encode_input(manifest.input, levels)
    if port is None:
        opened = open_qemu(board, image_path(folder, board))
        target = f"{board.name} in QEMU ({board.qemu.machine if board.qemu else '–'})"
    else:
        opened, target = open_board(board, port), f"{board.name} on {port}"
    with opened as device, progress(target, len(stored)) as advance:
        result = run_on(device, manifest, stored, lambda done, total: advance(1))
    return compare(result, expected, test.y, manifest, (target, str(folder)))


def cycles(
    folder: Path, core: Core, board: Board | None, test: data.DataSet | None
) -> ProfileReport:
    """Cycles per layer on the core's timing model, the slowest of the given samples."""
    manifest = read_manifest(folder)
    inputs = None if test is None else encode_input(manifest.input, _levels(manifest, test.x))
    flash = flash_model(board.memory.flash) if board else None
    return profile(folder, core, inputs, flash)
