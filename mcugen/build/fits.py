"""Whether a model fits a board: by its manifest before anything is compiled, and by its image."""

from collections.abc import Mapping
from dataclasses import dataclass

from mcugen.build.elf import Elf
from mcugen.emit.manifest import Manifest
from mcugen.errors import Fault, McugenError
from mcugen.target.boards import Board

_LISTED = 5

_SMALLER = "a smaller model, fewer weight bits, or a board with more flash: mcugen boards"
_LOWER_PEAK = "smaller or fewer channels where the peak is, or a board with more RAM: mcugen boards"


@dataclass(frozen=True)
class FlashUse:
    """Bytes of program memory. Constants are .rodata and the first values of variables."""

    total: int
    code: int
    constants: int


@dataclass(frozen=True)
class RamUse:
    """Bytes of RAM: the model's context, the firmware's variables, the stack set aside."""

    total: int
    arena: int
    static: int
    stack: int


def flash_use(elf: Elf) -> FlashUse:
    code = elf.section_bytes(".vectors", ".text")
    constants = elf.section_bytes(".rodata", ".data")
    return FlashUse(code + constants, code, constants)


def ram_use(elf: Elf) -> RamUse:
    arena = elf.section_bytes(".arena")
    static = elf.section_bytes(".data", ".bss")
    stack = elf.section_bytes(".stack")
    return RamUse(arena + static + stack, arena, static, stack)


def check_fits(manifest: Manifest, board: Board) -> None:
    """Refuse what cannot fit whatever the compiler does: too much RAM, or too many constants.

    Raises:
        McugenError: the model's context exceeds the RAM that the board leaves, its weights and
            tables exceed the flash, or both.
    """
    context = manifest.ram.context
    constants = manifest.weight_bytes + manifest.table_bytes
    faults = []
    if context > board.ram_available:
        faults.append(
            Fault(
                f"the model needs {context:,} B of RAM, "
                f"{board.name} leaves {board.ram_available:,} B",
                at=f"RAM of {board.memory.ram.size:,} B, less {board.ram_reserved:,} B "
                "for stack and firmware",
                help=_LOWER_PEAK,
            )
        )
    if constants > board.memory.flash.size:
        faults.append(
            Fault(
                f"the model's weights and tables need {constants:,} B of flash, "
                f"{board.name} has {board.memory.flash.size:,} B",
                at=_largest({layer.name: layer.weight_bytes for layer in manifest.layers}),
                help=_SMALLER,
            )
        )
    if faults:
        raise McugenError("build", faults)


def misfits(elf: Elf, board: Board) -> list[Fault]:
    """What of the linked image exceeds the board, with what takes the most."""
    flash, ram = flash_use(elf), ram_use(elf)
    faults = []
    if flash.total > board.memory.flash.size:
        faults.append(
            Fault(
                f"the image needs {flash.total:,} B of flash, "
                f"{board.name} has {board.memory.flash.size:,} B",
                at=f"code {flash.code:,} B, constants {flash.constants:,} B; largest: "
                + _largest({**elf.object_bytes(), **elf.function_bytes()}),
                help=_SMALLER,
            )
        )
    if ram.total > board.memory.ram.size:
        faults.append(
            Fault(
                f"the image needs {ram.total:,} B of RAM, "
                f"{board.name} has {board.memory.ram.size:,} B",
                at=f"arena {ram.arena:,} B, static {ram.static:,} B, stack {ram.stack:,} B",
                help=_LOWER_PEAK,
            )
        )
    return faults


def _largest(sizes: Mapping[str, int]) -> str:
    """The names that take the most bytes, the largest first."""
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_LISTED]
    return ", ".join(f"{name} {size:,} B" for name, size in largest)
