"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mcugen.plan.choice import FLASH_SPARE

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A .pt2, .onnx or .tflite file.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Output of `mcugen generate`.")]
BoardName = Annotated[str, typer.Option("--board", help="See `mcugen boards`; or a .toml file.")]
Runner = Annotated[
    str | None, typer.Option("--runner", help="The tool; default: the first that is there.")
]
SerialNumber = Annotated[
    str | None,
    typer.Option("--serial-number", metavar="S", help="The probe, or the end of its name."),
]
Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="Read back what was written.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the command and touch nothing.")]
MaybeBoard = Annotated[
    str | None, typer.Option("--board", help="See `mcugen boards`; or a .toml file.")
]
MaybeCore = Annotated[str | None, typer.Option("--core", help="cortex-m0plus, cortex-m4, ...")]
DataName = Annotated[
    str, typer.Option("--data", help="mnist, cifar10, digits, or an .npz with x and y.")
]
MaybeData = Annotated[
    str | None, typer.Option("--data", help="mnist, cifar10, digits, or an .npz with x and y.")
]
Limit = Annotated[int | None, typer.Option("--limit", help="Only the first N samples.")]
Name = Annotated[
    str | None, typer.Option("--name", help="Prefix of every C symbol; default: the file's name.")
]
OptimizeFor = Annotated[str, typer.Option("--optimize", help="speed, size (flash), or ram.")]


def _flash_limit(text: str) -> int | Literal["none"]:
    if text == "none":
        return "none"
    if not text.isdecimal() or not text.isascii():
        raise typer.BadParameter("a number of bytes, or none")
    return int(text)


#: int, "none" or None; typer knows no unions.
FlashLimit = Annotated[
    Any,
    typer.Option(
        "--flash-limit",
        metavar="BYTES",
        parser=_flash_limit,
        help=f"Bytes of code and constants to keep to, or none; default: {FLASH_SPARE} spare.",
    ),
]
RamLimit = Annotated[
    int | None, typer.Option("--ram-limit", help="Bytes of RAM to keep to: the fastest that fits.")
]
FastRounding = Annotated[
    bool,
    typer.Option("--fast-rounding", help="Round once, not exactly; shows what differs."),
]
Qemu = Annotated[bool, typer.Option("--qemu", help="In QEMU's closest machine.")]
Port = Annotated[str | None, typer.Option("--port", help="Serial port, or auto to find the board.")]
Dump = Annotated[
    Path | None,
    typer.Option("--dump", metavar="FILE.npz", help="Write what each layer stored for one sample."),
]
