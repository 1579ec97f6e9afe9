"""The whole flow on one screen: model file → integer program → plan → C → host, target, profile.

`load`, `emitted` and `generate` are what `mcugen generate` needs; what the other commands need
(ELF reader, emulator, serial line, PyTorch) is imported where it is used, so that it starts fast.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mcugen import tools
from mcugen.build.fits import check_fits, check_limit
from mcugen.emit import Emitted, emit, write
from mcugen.emit.manifest import Manifest, read_generated
from mcugen.errors import fail
from mcugen.formats import format_of
from mcugen.interrupts import scratch_folder
from mcugen.ir.program import Meaning, Program
from mcugen.ir.verify import verify
from mcugen.passes.round_once import round_once
from mcugen.plan.choice import DEFAULT, FLASH_SPARE, Optimize, Wishes
from mcugen.plan.names import model_name
from mcugen.target.boards import Board
from mcugen.target.cores import Core

if TYPE_CHECKING:
    from mcugen.build.firmware import FirmwareReport
    from mcugen.check import CheckReport, Rounding
    from mcugen.data import DataSet
    from mcugen.flash import FlashReport, Wish
    from mcugen.profile.profile import ProfileReport
    from mcugen.profile.tune import Alternative
    from mcugen.run.compare import RunReport

#: Models that are generated for no board get the reference board's core.
DEFAULT_CORE = "cortex-m4"
#: Bytes of flash set aside for the firmware around a model; `build` measures what it takes.
_FIRMWARE_BYTES = 12_288


@dataclass(frozen=True)
class Model:
    """A model file read and lowered."""

    path: Path
    graph: Any
    """What the reader of its format made of it."""
    program: Program
    exact: Program | None = None
    """The program before it was made to round once, which may change results."""


def load(path: Path, fast_rounding: bool = False) -> Model:
    """Read and lower a model file.

    Args:
        path: the file; its suffix says the format.
        fast_rounding: round once where the model's arithmetic does so twice, equal or not.

    Raises:
        McugenError: no such file, a format mcugen does not read, or a model it cannot lower.
    """
    if not path.is_file():
        raise fail("model", f"no model file '{path}'", help="mcugen train, or mcugen.export")
    graph, program = format_of(path).read(path)
    if not fast_rounding:
        return Model(path, graph, program)
    return Model(path, graph, verify(round_once(program), after="round_once"), program)


def rounding(model: Model) -> "Rounding | None":
    """Fast rounding measured against exact rounding; None where the model is exact."""
    if model.exact is None:
        return None
    from mcugen.check import measured_rounding

    return measured_rounding(model.exact, model.program)


def wishes(
    optimize: str,
    flash_limit: int | Literal["none"] | None = None,
    ram_limit: int | None = None,
    board: Board | None = None,
) -> Wishes:
    """How kernels are chosen; limits that are not given are the board's.

    Where no limit on flash is given, speed may take `FLASH_SPARE` bytes beyond the smallest
    kernels; with "none", or a limit, all that there is.

    Raises:
        McugenError: `optimize` is no aim, or a limit is below one.
    """
    if optimize not in set(Optimize):
        raise fail("plan", f"--optimize {optimize}", want=" or ".join(Optimize))
    spare = FLASH_SPARE if flash_limit is None else None
    flash_limit = None if flash_limit == "none" else flash_limit
    for name, limit in (("flash", flash_limit), ("ram", ram_limit)):
        if limit is not None and limit < 1:
            raise fail("plan", f"--{name}-limit {limit}", want="at least 1 byte")
    if board is not None and flash_limit is None:
        flash_limit = board.memory.flash.size - _FIRMWARE_BYTES
    if board is not None and ram_limit is None:
        ram_limit = board.ram_available
    return Wishes(Optimize(optimize), flash_limit, spare, ram_limit)


def tuned(model: Model, core: Core, wishes: Wishes) -> Wishes:
    """`wishes` with the cycles of every kernel as measured on the core's timing model."""
    from mcugen.profile.tune import Tuner
    from mcugen.report.console import progress

    tuner = Tuner(model.program, core, wishes)
    with progress("measuring kernels", tuner.runs) as advance:
        return replace(wishes, cycles=tuner.measure(advance))


def alternatives(model: Model, core: Core, wishes: Wishes) -> "tuple[Alternative, ...]":
    """The kernels that could compute each layer, measured.

    Raises:
        McugenError: no kernel for some layer, no compiler or emulator.
    """
    from mcugen.profile.tune import Tuner
    from mcugen.report.console import progress

    tuner = Tuner(model.program, core, wishes)
    with progress("measuring kernels", tuner.runs) as advance:
        return tuner.alternatives(tuner.measure(advance))


def emitted(
    model: Model,
    core: Core,
    name: str | None,
    board: Board | None,
    split: bool,
    wishes: Wishes = DEFAULT,
) -> Emitted:
    """The C of a model and its manifest, in memory.

    Raises:
        McugenError: no kernel for some layer, or the model cannot fit the board or keep to the
            limit on RAM.
    """
    result = emit(
        model.program,
        core,
        model_name(model.path.stem) if name is None else name,
        source_file=model.path.name,
        board=board.name if board else None,
        split_data=split,
        wishes=wishes,
    )
    if board:
        check_fits(result.manifest, board)
    if wishes.ram_limit is not None:
        check_limit(result.manifest, wishes.ram_limit)
    return result


def generate(result: Emitted, folder: Path, force: bool) -> Manifest:
    """Write the C; `folder` appears or changes as a whole.

    Raises:
        McugenError: `folder` holds files mcugen did not write, or cannot be written.
    """
    try:
        write(folder, result, force=force)
    except OSError as error:
        raise fail(
            "emit", f"cannot write into '{folder}': {error.strerror}", at=error.filename
        ) from error
    return result.manifest


def samples(name: str, limit: int | None) -> "DataSet":
    """The first `limit` test samples of a data set.

    Raises:
        McugenError: unknown set, damaged file, or a limit below one.
    """
    from mcugen import data

    if limit is not None and limit < 1:
        raise fail("data", f"--limit {limit}", want="at least 1")
    whole = data.load(name, "test", levels=True)
    return data.DataSet(whole.name, whole.x[:limit], whole.y[:limit], whole.classes)


def check(model: Model, test: "DataSet", layers: bool) -> "CheckReport":
    """The model in its framework, the interpreter and host C on the same samples.

    The C goes to a temporary folder.

    Raises:
        McugenError: samples that do not fit the model, its framework or gcc missing.
    """
    from mcugen.check import Checker
    from mcugen.report.console import progress
    from mcugen.run.host import HostModel
    from mcugen.target.cores import core_named

    result = emitted(model, core_named(DEFAULT_CORE), None, None, False)
    with scratch_folder() as scratch:
        folder = scratch / "model"
        generate(result, folder, False)
        original = format_of(model.path).original(model.graph, model.program)
        exact = original.exact and model.exact is None
        checker = Checker(original, model.program, HostModel(folder), exact)
    with progress("checking", len(test.x)) as advance:
        return checker.run(test.x, test.y, layers=layers, progress=advance)


def build(folder: Path, board: Board) -> "FirmwareReport":
    """The firmware image of a generated model."""
    from mcugen.build.firmware import build_firmware
    from mcugen.report.console import working

    with working(f"building for {board.name}"):
        return build_firmware(folder, board)


def flash(folder: Path, board: Board, wish: "Wish") -> "FlashReport":
    """The image in the board's flash."""
    from mcugen.flash import flash as write_flash
    from mcugen.report.console import say, working

    with working(f"flashing {board.name}"):
        try:
            return write_flash(folder, board, wish)
        except KeyboardInterrupt:
            if not wish.dry_run:
                say(f"the flash of {board.name} may be half written: run mcugen flash again")
            raise


def _levels(manifest: Manifest, x: np.ndarray) -> np.ndarray:
    """Real samples as the integers of the model's input."""
    from mcugen.run.samples import Boundary

    source = manifest.input
    meaning = Meaning((source.scale,), source.zero_point)
    boundary = Boundary(source.torch_shape, source.lo, source.hi, meaning)
    return boundary.levels(boundary.taken(x))


def run(
    folder: Path, board: Board, port: str | None, test: "DataSet", dump: Path | None = None
) -> "RunReport":
    """The model on a board (`port`) or in QEMU (None), compared with the host's C.

    Where outputs differ, the first such sample runs again, layer by layer. `dump` is an .npz for
    what the layers of that sample stored, or of the first sample.

    Raises:
        McugenError: no image, another model on the board, a line that does not answer, gcc or
            QEMU missing, `dump` cannot be written.
    """
    from mcugen.build.firmware import image_path
    from mcugen.emit.encoding import encode_input
    from mcugen.report.console import progress
    from mcugen.run import compare, layers
    from mcugen.run.host import HostModel
    from mcugen.run.qemu import PROGRAM, open_qemu
    from mcugen.run.serial import open_board
    from mcugen.run.target import check_board, run_on

    tools.require("gcc", *([PROGRAM] if port is None else []))
    manifest = read_generated(folder)
    levels = _levels(manifest, test.x)
    host = HostModel(folder)
    expected = host.output_memory(levels)
    stored = encode_input(manifest.input, levels)
    image = image_path(folder, board)
    opened = open_qemu(board, image) if port is None else open_board(board, port)
    with opened as device:
        check_board(device.identity, board)
        target = f"{board.name} {'in' if port is None else 'on'} {device.line.name}"
        with progress(target, len(stored)) as advance:
            result = run_on(device, manifest, stored, lambda done, total: advance(1))
        differing, first = compare.differing_bytes(result, expected), None
        number = int(differing.argmax())
        sample = stored[number].tobytes()
        if differing.any():
            wanted = [memory[0] for memory in host.layer_memory(levels[number : number + 1])]
            first = layers.first_difference(device, manifest, number, sample, wanted)
        if dump:
            layers.dump_layers(device, manifest, sample, dump)
    names = (target, str(folder))
    return compare.report(result, differing, test.y, first, manifest, names)


def cycles(
    folder: Path, core: Core | None, board: Board | None, test: "DataSet | None"
) -> "ProfileReport":
    """Cycles per layer on the timing model of `core` (None: of the core that the C was made for).

    Raises:
        McugenError: no generated model, samples that do not fit it, no compiler or emulator.
    """
    from mcugen.emit.encoding import encode_input
    from mcugen.profile.flash import flash_model
    from mcugen.profile.profile import profile
    from mcugen.report.console import working
    from mcugen.target.cores import core_named

    manifest = read_generated(folder)
    inputs = None if test is None else encode_input(manifest.input, _levels(manifest, test.x))
    flash = flash_model(board.memory.flash) if board else None
    with working("profiling"):
        return profile(folder, core or core_named(manifest.core), inputs, flash)
