"""What mcugen knows and what this machine has: boards, ops and kernels, programs and packages."""

from dataclasses import dataclass
from importlib import metadata
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from mcugen import tools
from mcugen.frontend.lower import HANDLERS
from mcugen.ir.ops import OPS
from mcugen.kernels import KERNELS
from mcugen.run.serial import found_ports
from mcugen.target.boards import all_boards, load_board
from mcugen.target.cores import CORES, core_named


@dataclass(frozen=True)
class Listing:
    """One answer in both forms."""

    document: dict[str, Any]
    table: RenderableType


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def boards(name: str | None) -> Listing:
    """All boards, or the one called `name`, and the serial ports that could be one.

    Raises:
        McugenError: no board of that name, or a damaged board file.
    """
    chosen = (load_board(name),) if name else all_boards()
    ports = found_ports()
    table = _table(
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
                "runners": board.flash.runners,
                "connected": connected,
            }
        )
        table.add_row(
            board.name,
            board.board.title,
            board.core.name,
            f"{board.clock.hz / 1e6:g} MHz",
            f"{board.memory.flash.size:,} B",
            f"{board.ram_available:,} B",
            machine or "–",
            ", ".join(connected) or "–",
        )
    return Listing({"boards": rows, "ports": [str(port) for port in ports]}, table)


def ops(core: str | None) -> Listing:
    """PyTorch ops with a lowering, integer ops, and kernels."""
    chosen = core_named(core).name if core else ", ".join(CORES)
    torch_ops = sorted(HANDLERS)
    kernels = _table("kernel", "computes")
    for kernel in KERNELS:
        kernels.add_row(kernel.name, kernel.supports)
    parts = [
        f"kernels ({chosen})",
        kernels,
        "",
        "integer ops",
        "  " + ", ".join(OPS),
        "",
        "ops of a PyTorch graph",
        *(f"  {name}" for name in torch_ops),
    ]
    document = {
        "core": core,
        "kernels": [{"name": k.name, "supports": k.supports} for k in KERNELS],
        "integer_ops": list(OPS),
        "torch_ops": torch_ops,
    }
    return Listing(document, Group(*parts))


_PYTHON_PACKAGES = {
    "torch": "train, check (pip install 'mcugen[train]' -c constraints.txt)",
    "pillow": "cifar10 (pip install 'mcugen[train]')",
    "scikit-learn": "digits (pip install 'mcugen[train]')",
    "unicorn": "profile (pip install 'mcugen[profile]')",
    "capstone": "profile (pip install 'mcugen[profile]')",
}


def doctor() -> Listing:
    """External programs and optional packages; `missing` names what is not there."""
    table = _table("what", "found", "needed for, or how to install it")
    found: dict[str, str | None] = {}
    for program, package in tools.PACKAGES.items():
        found[program] = tools.find(program)
        table.add_row(program, found[program] or "missing", f"sudo apt-get install {package}")
    for package, use in _PYTHON_PACKAGES.items():
        found[package] = _version(package)
        table.add_row(package, found[package] or "missing", use)
    missing = [name for name, place in found.items() if place is None]
    return Listing({"found": found, "missing": missing}, table)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
