"""What mcugen knows and what this machine has: boards, ops and kernels, programs and packages."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from rich.console import Group, RenderableType

from mcugen import tools
from mcugen.flash import TOOLS
from mcugen.frontend.lower import HANDLERS
from mcugen.frontend.onnx.translate import OPERATORS as ONNX_OPERATORS
from mcugen.frontend.tflite.handlers import HANDLERS as TFLITE_HANDLERS
from mcugen.ir.ops import OPS
from mcugen.kernels import KERNELS
from mcugen.report.console import table
from mcugen.run.serial import found_ports
from mcugen.target.boards import all_boards, load_board
from mcugen.target.cores import CORES, core_named

#: Characters in a line of names.
_LINE = 96


@dataclass(frozen=True)
class Listing:
    """One answer in both forms."""

    document: dict[str, Any]
    table: RenderableType


def boards(name: str | None) -> Listing:
    """All boards, or the one called `name`, and the serial ports that could be one.

    Raises:
        McugenError: no board of that name, or a damaged board file.
    """
    chosen = (load_board(name),) if name else all_boards()
    ports = found_ports()
    listing = table(
        "board", "title", "core", "clock", "flash", "RAM for the model", "QEMU", "connected"
    )
    rows = []
    for board in chosen:
        connected = [port.path for port in ports if port.usb_id in board.board.usb]
        machine = board.qemu.machine if board.qemu else None
        rows.append(
            {
                "name": board.name,
                "title": board.board.title,
                "core": board.core.name,
                "clock_hz": board.clock.hz,
                "flash": board.memory.flash.size,
                "ram": board.memory.ram.size,
                "ram_available": board.ram_available,
                "qemu": machine,
                "runners": board.flash.runners if board.flash else (),
                "connected": connected,
            }
        )
        listing.add_row(
            board.name,
            board.board.title,
            board.core.name,
            f"{board.clock.hz / 1e6:g} MHz",
            f"{board.memory.flash.size:,} B",
            f"{board.ram_available:,} B",
            machine or "–",
            ", ".join(connected) or "–",
        )
    return Listing({"boards": rows, "ports": [str(port) for port in ports]}, listing)


def ops(core: str | None) -> Listing:
    """Ops of each format with a lowering, integer ops, and kernels.

    Raises:
        McugenError: no core of that name.
    """
    chosen = (core_named(core),) if core else tuple(CORES.values())
    kernels = table("kernel", "computes")
    for kernel in KERNELS:
        kernels.add_row(kernel.name, kernel.supports)
    parts: tuple[RenderableType, ...] = (
        "ops of a PyTorch graph",
        *_lines(_overloads(HANDLERS)),
        "",
        "operators of a .tflite file",
        *_lines(TFLITE_HANDLERS),
        "",
        "operators of an .onnx file",
        *_lines(ONNX_OPERATORS),
        "",
        "integer ops",
        *_lines(OPS),
        "",
        f"kernels on {', '.join(item.name for item in chosen)}",
        kernels,
    )
    document = {
        "core": core,
        "kernels": [{"name": item.name, "supports": item.supports} for item in KERNELS],
        "integer_ops": list(OPS),
        "onnx_ops": list(ONNX_OPERATORS),
        "torch_ops": sorted(HANDLERS),
        "tflite_ops": sorted(TFLITE_HANDLERS),
    }
    return Listing(document, Group(*parts))


def _overloads(names: Iterable[str]) -> list[str]:
    """`aten.add.Scalar` and `aten.add.Tensor` as `aten.add (Scalar, Tensor)`."""
    grouped: dict[str, list[str]] = {}
    for name in sorted(names):
        op, _, overload = name.rpartition(".")
        grouped.setdefault(op, []).append(overload)
    return [
        op if overloads == ["default"] else f"{op} ({', '.join(overloads)})"
        for op, overloads in grouped.items()
    ]


def _lines(names: Iterable[str]) -> list[str]:
    """Names in indented lines, broken between two of them only."""
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > _LINE:
            lines.append("")
        lines[-1] += f"{name}, "
    return [f"  {line.strip()}" for line in lines[:-1]] + [f"  {lines[-1].removesuffix(', ')}"]


_PYTHON_PACKAGES = {
    "onnx": "models in .onnx files (pip install 'mcugen[onnx]')",
    "onnxruntime": "check of .onnx files (pip install 'mcugen[onnxruntime]')",
    "torch": "train, check (pip install 'mcugen[train]' -c constraints.txt)",
    "pillow": "cifar10 (pip install 'mcugen[train]')",
    "scikit-learn": "digits (pip install 'mcugen[train]')",
    "unicorn": "profile (pip install 'mcugen[profile]')",
    "tflite": ".tflite files (pip install 'mcugen[tflite]')",
    "ai-edge-litert": "check of .tflite files (pip install 'mcugen[litert]')",
    "capstone": "profile (pip install 'mcugen[profile]')",
}


def doctor() -> Listing:
    """External programs and optional packages; `missing` names what is not there."""
    listing = table("what", "found", "needed for, or how to install it")
    found: dict[str, str | None] = {}
    for program, package in tools.PACKAGES.items():
        found[program] = tools.find(program)
        listing.add_row(program, found[program] or "missing", f"sudo apt-get install {package}")
    for tool in TOOLS:
        for program in tool.programs:
            found[program] = tools.find(program)
            listing.add_row(program, found[program] or "missing", f"flash: {tool.install}")
    for package, use in _PYTHON_PACKAGES.items():
        found[package] = _version(package)
        listing.add_row(package, found[package] or "missing", use)
    missing = [name for name, place in found.items() if place is None]
    return Listing({"found": found, "missing": missing}, listing)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
