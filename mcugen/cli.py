"""The command line: argument parsing only; the work is in `pipeline`, the words in `report`.

Exit codes: 0 done, 1 a comparison fell short, 2 wrong usage or input. Modules are imported by the
command that needs them, so that each starts fast.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcugen import __version__, flags, train_command
from mcugen.errors import McugenError, fail
from mcugen.interrupts import catch_interrupts, interrupted
from mcugen.report import console

if TYPE_CHECKING:
    from mcugen.report.catalogue import Listing
    from mcugen.target.boards import Board
    from mcugen.target.cores import Core

FELL_SHORT = 1
WRONG_INPUT = 2
INTERRUPTED = 130

#: Typer's error for wrong arguments; its base class has no public name.
_UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="mcugen",
    help="Quantized PyTorch models as static-memory C for Cortex-M, proved equal to the model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(train_command.train)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mcugen {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and exit.")
    ] = False,
) -> None:
    """Options of every command; `main` reads --debug itself."""
    del debug, version


def _targets(board: str | None, core: str | None) -> "tuple[Board | None, Core | None]":
    """The board, and its core or the one asked for."""
    from mcugen.target.boards import load_board
    from mcugen.target.cores import core_named

    found, chosen = load_board(board) if board else None, core_named(core) if core else None
    if found and chosen and chosen != found.core:
        raise fail("target", f"{found.name} has a {found.core.name}, not a {core}")
    return found, found.core if found else chosen


def _listed(as_json: bool, listing: "Listing") -> None:
    console.answer(as_json, listing.document, listing.table)


@app.command()
def generate(  # noqa: PLR0913 - one parameter per flag
    model: flags.ModelFile,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    board: flags.MaybeBoard = None,
    core: flags.MaybeCore = None,
    name: flags.Name = None,
    split_data: Annotated[
        bool, typer.Option("--split-data", help="Constants in model_data.c.")
    ] = False,
    optimize: flags.OptimizeFor = "speed",
    flash_limit: flags.FlashLimit = None,
    ram_limit: flags.RamLimit = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Measure kernels on the cycle model; do not predict.")
    ] = False,
    fast_rounding: flags.FastRounding = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write beside files mcugen did not write.")
    ] = False,
    as_json: flags.Json = False,
) -> None:
    """Generate model.c, model.h and manifest.json, and show what they take."""
    from mcugen import pipeline
    from mcugen.report import documents, tables
    from mcugen.target.cores import core_named

    found, chosen = _targets(board, core)
    chosen = chosen or core_named(pipeline.DEFAULT_CORE)
    loaded, limits = pipeline.load(model, fast_rounding), (flash_limit, ram_limit)
    wishes = pipeline.wishes(optimize, *limits, board=found)
    wishes = pipeline.tuned(loaded, chosen, wishes) if tune else wishes
    result = pipeline.emitted(loaded, chosen, name, found, split_data, wishes)
    manifest = pipeline.generate(result, output, force)
    rounding = pipeline.rounding(loaded)
    shown = tables.generated(manifest, found, str(output), rounding)
    console.answer(as_json, documents.generated(manifest, rounding), shown)


@app.command()
def inspect(
    model: flags.ModelFile,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write PROGRAM.mir here, large constants beside it."),
    ] = None,
    kernels: Annotated[
        str | None,
        typer.Option("--kernels", metavar="CORE", help="Instead: each layer's kernels, measured."),
    ] = None,
    optimize: flags.OptimizeFor = "speed",
    as_json: flags.Json = False,
) -> None:
    """Print the integer program as text, or the kernels that could compute each layer."""
    from mcugen import pipeline
    from mcugen.ir import text
    from mcugen.report import documents, tables
    from mcugen.target.cores import core_named

    loaded = pipeline.load(model)
    if kernels:
        wishes = pipeline.wishes(optimize)
        found = pipeline.alternatives(loaded, core_named(kernels), wishes)
        console.answer(as_json, documents.alternatives(kernels, found), tables.alternatives(found))
        return
    program = loaded.program
    printed = text.to_text(program)
    if output:
        text.save(program, output)
    if as_json:
        console.show_json(documents.inspected(program, printed))
    elif not output:
        console.echo(printed)


@app.command()
def check(
    model: flags.ModelFile,
    data: flags.DataName,
    limit: flags.Limit = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Compare every quantized tensor too.")
    ] = False,
    fast_rounding: flags.FastRounding = False,
    as_json: flags.Json = False,
) -> None:
    """Compare the model in its framework, the program and host C.

    Exits 1 when C differs, and when a .tflite differs from LiteRT.
    """
    from mcugen import pipeline
    from mcugen.report import documents, tables

    loaded = pipeline.load(model, fast_rounding)
    report = pipeline.check(loaded, pipeline.samples(data, limit), layers)
    console.answer(as_json, documents.checked(report), tables.checked(report))
    if report.fell_short:
        raise typer.Exit(FELL_SHORT)


@app.command()
def build(folder: flags.Folder, board: flags.BoardName, as_json: flags.Json = False) -> None:
    """Build the firmware image and show flash, RAM and stack."""
    from mcugen import pipeline
    from mcugen.report import documents, tables
    from mcugen.target.boards import load_board

    report = pipeline.build(folder, load_board(board))
    console.answer(as_json, documents.built(report), tables.built(report))


@app.command()
def flash(
    board: flags.BoardName,
    folder: flags.Folder = Path(),
    runner: flags.Runner = None,
    serial_number: flags.SerialNumber = None,
    verify: flags.Verify = True,
    dry_run: flags.DryRun = False,
    as_json: flags.Json = False,
) -> None:
    """Write the image into the board's flash, with the tool and the probe that are there."""
    from mcugen import pipeline
    from mcugen.flash import Wish
    from mcugen.report import documents, tables
    from mcugen.target.boards import load_board

    wish = Wish(runner, serial_number, verify, dry_run)
    report = pipeline.flash(folder, load_board(board), wish)
    console.answer(as_json, documents.flashed(report), tables.flashed(report))


@app.command()
def run(
    folder: flags.Folder,
    board: flags.BoardName,
    data: flags.DataName,
    qemu: flags.Qemu = False,
    port: flags.Port = None,
    dump: flags.Dump = None,
    limit: flags.Limit = None,
    as_json: flags.Json = False,
) -> None:
    """Run on the target and compare every output byte with the host's. Exits 1 on a difference."""
    from mcugen import pipeline
    from mcugen.report import documents, tables
    from mcugen.target.boards import load_board

    if qemu == (port is not None):
        raise fail("usage", "run needs either --qemu or --port", help="--port auto finds the board")
    test = pipeline.samples(data, limit)
    report = pipeline.run(folder, load_board(board), port, test, dump)
    console.answer(as_json, documents.ran(report), tables.ran(report))
    if report.mismatched_bytes:
        raise typer.Exit(FELL_SHORT)


@app.command()
def profile(
    folder: flags.Folder,
    core: flags.MaybeCore = None,
    board: Annotated[
        str | None, typer.Option("--board", help="Adds an estimate with its flash wait states.")
    ] = None,
    data: flags.MaybeData = None,
    limit: Annotated[
        int, typer.Option("--limit", help="Samples of --data; the slowest counts.")
    ] = 1,
    as_json: flags.Json = False,
) -> None:
    """Cycles per layer on an instruction-level model of the core."""
    from mcugen import pipeline
    from mcugen.report import documents, tables

    found, chosen = _targets(board, core)
    test = pipeline.samples(data, limit) if data else None
    report = pipeline.cycles(folder, chosen, found, test)
    console.answer(as_json, documents.profiled(report), tables.profiled(report))


@app.command()
def boards(
    board: Annotated[str | None, typer.Argument(metavar="BOARD", help="Only this one.")] = None,
    as_json: flags.Json = False,
) -> None:
    """Boards mcugen knows, and what is connected."""
    from mcugen.report import catalogue

    _listed(as_json, catalogue.boards(board))


@app.command()
def ops(core: flags.MaybeCore = None, as_json: flags.Json = False) -> None:
    """Ops of PyTorch and ONNX, integer ops and kernels, per core."""
    from mcugen.report import catalogue

    _listed(as_json, catalogue.ops(core))


@app.command()
def doctor(as_json: flags.Json = False) -> None:
    """Programs and Python packages: which are there, how to install the others."""
    from mcugen.report import catalogue

    _listed(as_json, catalogue.doctor())


def main() -> None:
    """Entry point: errors become sentences and exit codes; no traceback without --debug."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character gets a question mark, not a crash.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    catch_interrupts()
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    code = _exit_code([item for item in arguments if item != "--debug"], debug)
    if code == INTERRUPTED:
        console.say("interrupted")
    sys.exit(code)


def _exit_code(arguments: list[str], debug: bool) -> int:
    """Run a command; what goes wrong is worded on stderr."""
    try:
        return int(app(arguments, prog_name="mcugen", standalone_mode=False) or 0)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        if interrupted():
            return INTERRUPTED
        if debug:
            traceback.print_exc()
        console.say(_worded(error))
        return WRONG_INPUT


def _worded(error: Exception) -> str:
    if isinstance(error, McugenError):
        return str(error)
    if isinstance(error, _UsageError):
        return _usage(error)
    if isinstance(error, OSError) and error.strerror:
        where = f" '{os.fsdecode(error.filename)}'" if error.filename else ""
        return f"error: cannot use{where}: {error.strerror}"
    return (
        f"error: internal fault: {type(error).__name__}: {error}\n"
        "  help: run again with --debug and report what it prints"
    )


def _usage(error: Any) -> str:
    """Typer's complaint in our form; without any arguments, the help."""
    words = str(error.format_message()).strip()
    if "\n" in words:
        return words
    command = error.ctx.command_path if error.ctx else "mcugen"
    words = f"{words[:1].lower()}{words[1:].rstrip('.')}"
    return f"error: {words}\n  help: {command} --help"


if __name__ == "__main__":
    main()
