"""The firmware image: one model, one board, one ELF, with its sizes and its stack proved.

Everything is built in a temporary folder beside the result and renamed at the end, so that an
interrupted build leaves the last one as it was.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcugen import tools
from mcugen.build import elf as elf_file
from mcugen.build import gcc
from mcugen.build.fits import FlashUse, RamUse, check_fits, flash_use, misfits, ram_use
from mcugen.build.headers import render_linker_script, render_protocol_messages, render_target
from mcugen.build.images import seal_boot_stage, uf2
from mcugen.build.stack import (
    EXCEPTION_BYTES,
    Graph,
    StackBound,
    add_library,
    read_callgraph,
    worst_case,
)
from mcugen.emit.manifest import Layer, Manifest, read_generated
from mcugen.errors import Fault, McugenError, fail
from mcugen.interrupts import deferred_interrupts, scratch_folder
from mcugen.resources import data_root
from mcugen.target.boards import Board

_STARTUP = ("startup/cortex_m.c", "startup/caches.c")
_IMAGE = "firmware.elf"
_FORMS = {"firmware.bin": "binary", "firmware.hex": "ihex"}
_UF2 = "firmware.uf2"
_ARENA_SECTION = '-DMODEL_ARENA_SECTION=__attribute__((section(".bss.model_arena")))'
_HOOK = "session_layer_hook"


@dataclass(frozen=True)
class LayerSize:
    """Flash that one layer takes, bytes; weights and tables as the manifest counts them."""

    name: str
    code: int
    weights: int
    tables: int


@dataclass(frozen=True)
class FirmwareReport:
    """What was built, and what it takes."""

    board: str
    model: str
    digest: str
    elf: Path
    binary: Path
    hex: Path
    #: Where the chip's boot loader takes such a file.
    uf2: Path | None
    flash: FlashUse
    ram: RamUse
    flash_size: int
    ram_size: int
    sections: tuple[elf_file.Section, ...]
    layers: tuple[LayerSize, ...]
    #: The whole image from reset, the system timer's interrupt included.
    stack: StackBound
    #: One call of NAME_run alone.
    model_stack: StackBound

    @property
    def fits(self) -> bool:
        return self.flash.total <= self.flash_size and self.ram.total <= self.ram_size


def image_path(folder: Path, board: Board) -> Path:
    """Where `build_firmware` puts the image of the model in `folder`."""
    return folder / "build" / board.name / _IMAGE


def build_firmware(folder: Path, board: Board) -> FirmwareReport:
    """Build the model in `folder` for `board`, into `folder`/build/BOARD/firmware.*: ELF, binary,
    Intel hex, and UF2 where the chip takes it.

    Raises:
        McugenError: a tool is missing; `folder` holds no generated model, one for another core, or
            one that was edited, or cannot be written to; it does not compile or fit; its stack has
            no bound or exceeds what the board sets aside; it uses a heap or floating point.
    """
    tools.require(gcc.ARM_GCC, gcc.ARM_OBJCOPY, gcc.ARM_OBJDUMP)
    manifest = read_generated(folder)
    _check_core(folder, manifest, board)
    check_fits(manifest, board)
    result = image_path(folder, board).parent
    _make_writable(result.parent)
    with scratch_folder(result.parent, prefix=f".{result.name}-") as work:
        report = _build(_Job(folder.resolve(), manifest, board, work.resolve()), result)
        with deferred_interrupts():
            _publish(work, result)
    return report


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
        with scratch_folder(folder):
            pass
    except OSError as error:
        raise fail("build", f"cannot write into '{folder}': {error.strerror}") from error


@dataclass(frozen=True)
class _Job:
    folder: Path
    manifest: Manifest
    board: Board
    work: Path


def _check_core(folder: Path, manifest: Manifest, board: Board) -> None:
    if manifest.core != board.core.name:
        raise fail(
            "build",
            f"the model in '{folder}' was generated for {manifest.core}, "
            f"{board.name} has a {board.core.name}",
            help=f"mcugen generate MODEL -o {folder} --board {board.name}",
        )


def _build(job: _Job, result: Path) -> FirmwareReport:
    """Compile, link, check and measure in the job's folder; the report names the final places."""
    image = job.work / _IMAGE
    _write_headers(job)
    objects = _compile(job)
    script = job.work / "firmware.ld"
    script.write_text(render_linker_script(job.board, gcc.LINK_ROOM), encoding="utf-8")
    tools.run_checked(gcc.link_image(job.board.core, objects, script, image), cwd=job.work)
    facts = elf_file.read_elf(image)
    code = elf_file.disassemble(image)
    _check_image(job, facts, code)
    graph = add_library(_callgraph(job.work), code)
    report = _report(job, result, facts, graph)
    _check_stack(report, job.board)
    _write_forms(job, image)
    return report


def _write_forms(job: _Job, image: Path) -> None:
    """The image in the other forms that flashing tools take."""
    flash, family = job.board.memory.flash, job.board.mcu.uf2_family
    if flash.boot_bytes:
        seal_boot_stage(image, flash.boot_bytes)
    for name, form in _FORMS.items():
        tools.run_checked(gcc.copy_image(image, job.work / name, form))
    if family is not None:
        binary = (job.work / "firmware.bin").read_bytes()
        (job.work / _UF2).write_bytes(uf2(binary, flash.base, family))


def _write_headers(job: _Job) -> None:
    messages = render_protocol_messages()
    (job.work / "protocol_messages.h").write_text(messages, encoding="utf-8")
    target = render_target(job.board, job.manifest.digest)
    (job.work / "target.h").write_text(target, encoding="utf-8")


def _sources(job: _Job) -> tuple[Path, ...]:
    """Firmware sources, then the model's.

    Raises:
        McugenError: the board's family or serial driver has no source file.
    """
    firmware = data_root() / "firmware"
    family = job.board.mcu.family
    chip = [f"mcu/{family}.c", f"uart/{job.board.uart.driver}.c"]
    if job.board.memory.flash.boot_bytes:
        chip.append(f"startup/{family}_boot.c")
    missing = [name for name in chip if not (firmware / name).is_file()]
    if missing:
        what = f"for board '{job.board.name}'"
        raise McugenError("build", [Fault(f"no firmware/{name} {what}") for name in missing])
    portable = sorted(firmware.glob("*.c"))
    model = [job.folder / name for name in job.manifest.files if name.endswith(".c")]
    return (*portable, *(firmware / name for name in (*_STARTUP, *chip)), *model)


def _compile(job: _Job) -> list[Path]:
    firmware = data_root() / "firmware"
    options = (
        "-g",
        *gcc.prefix_maps({firmware: "firmware", job.folder: "model", job.work: "build"}),
        *(f"-I{folder}" for folder in (job.work, firmware, job.folder)),
        f"-DMODEL_PREFIX={job.manifest.name}",
        f"-DMODEL_MACRO={job.manifest.macro}",
        f"-DMODEL_LAYER_HOOK={_HOOK}",
        _ARENA_SECTION,
    )
    objects = []
    for source in _sources(job):
        output = Path(f"{source.stem}.o")
        argv = gcc.compile_object(job.board.core, source, output, options=options)
        tools.run_checked(argv, cwd=job.work)
        objects.append(output)
    return objects


def _check_image(
    job: _Job, facts: elf_file.Elf, code: dict[str, tuple[elf_file.Instruction, ...]]
) -> None:
    faults = [
        *elf_file.forbidden_symbols(symbol.name for symbol in facts.symbols),
        *elf_file.floating_point_instructions(code),
        *misfits(facts, job.board),
    ]
    if faults:
        raise McugenError("build", faults)


def _callgraph(work: Path) -> Graph:
    texts = [path.read_text(encoding="utf-8") for path in sorted(work.glob("*.ci"))]
    return read_callgraph(texts)


def _report(job: _Job, result: Path, facts: elf_file.Elf, graph: Graph) -> FirmwareReport:
    return FirmwareReport(
        board=job.board.name,
        model=job.manifest.name,
        digest=job.manifest.digest,
        elf=result / _IMAGE,
        binary=result / "firmware.bin",
        hex=result / "firmware.hex",
        uf2=result / _UF2 if job.board.mcu.uf2_family is not None else None,
        flash=flash_use(facts),
        ram=ram_use(facts),
        flash_size=job.board.memory.flash.size,
        ram_size=job.board.memory.ram_size,
        sections=tuple(section for section in facts.sections if section.bytes > 0),
        layers=_layer_sizes(job.manifest.layers, facts.function_bytes()),
        stack=_image_stack(graph),
        model_stack=worst_case(graph, f"{job.manifest.name}_run"),
    )


def _layer_sizes(layers: Sequence[Layer], code: dict[str, int]) -> tuple[LayerSize, ...]:
    return tuple(
        LayerSize(layer.name, code.get(layer.function, 0), layer.weight_bytes, layer.table_bytes)
        for layer in layers
    )


def _image_stack(graph: Graph) -> StackBound:
    """From reset down, and at its deepest the system timer's interrupt on top."""
    thread = worst_case(graph, "reset_handler")
    handler = worst_case(graph, "systick_handler")
    interrupt = (("exception", EXCEPTION_BYTES), *handler.path)
    return StackBound(thread.bytes + EXCEPTION_BYTES + handler.bytes, (*thread.path, *interrupt))


def _check_stack(report: FirmwareReport, board: Board) -> None:
    if report.stack.bytes > board.firmware.stack_bytes:
        chain = ", ".join(f"{name} {size}" for name, size in report.stack.path if size)
        raise fail(
            "build",
            f"the image needs {report.stack.bytes:,} B of stack, "
            f"{board.name} sets {board.firmware.stack_bytes:,} B aside",
            at=chain,
            help=f"raise stack_bytes in boards/{board.name}.toml",
        )


def _publish(work: Path, result: Path) -> None:
    """Put the images of `work` where `result` was."""
    kept = {_IMAGE, *_FORMS, _UF2}
    for path in work.iterdir():
        if path.name not in kept:
            path.unlink()
    work.chmod(0o755)
    if not result.exists():
        work.rename(result)
        return
    old = work.with_name(work.name + ".old")
    result.rename(old)
    try:
        work.rename(result)
    except OSError:
        old.rename(result)
        raise
    shutil.rmtree(old)
