"""Whether a model fits a board: by its manifest before anything is compiled, and by its image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcugen.emit.manifest import Live, Manifest
from mcugen.errors import Fault, McugenError, fail
from mcugen.target.boards import Board

if TYPE_CHECKING:  # `generate` asks whether a model fits, and needs no ELF reader
    from mcugen.build.elf import Elf

_LISTED = 5
#: Buffers take whole words: sums of their bytes may miss that much for each.
_WORD = 4

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


def flash_use(elf: "Elf") -> FlashUse:
    code = elf.section_bytes(".boot", ".vectors", ".text")
    constants = elf.section_bytes(".rodata", ".data")
    return FlashUse(code + constants, code, constants)


def ram_use(elf: "Elf") -> RamUse:
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
                at=_peak(manifest),
                got=_in_use(manifest),
                want=f"{board.ram_available:,} B: RAM of {board.memory.ram.size:,} B less "
                f"{board.ram_reserved:,} B for stack and firmware",
                help=_LOWER_PEAK,
            )
        )
    if constants > board.memory.flash.size:
        faults.append(
            Fault(
                f"the model's weights and tables need {constants:,} B of flash, "
                f"{board.name} has {board.memory.flash.size:,} B",
                got=_constants(manifest),
                help=_SMALLER,
            )
        )
    if faults:
        raise McugenError("build", faults)


def check_limit(manifest: Manifest, limit: int) -> None:
    """Refuse a model that no plan found brings below `limit` bytes of RAM.

    Raises:
        McugenError: the model's context is larger.
    """
    context = manifest.ram.context
    if context > limit:
        raise fail(
            "plan",
            f"no plan keeps to {limit:,} B of RAM: the least takes {context:,} B, "
            f"{context - limit:,} B more",
            at=_peak(manifest),
            got=_in_use(manifest),
            want=f"--ram-limit {context}",
            help="smaller or fewer channels where the peak is",
        )


def _peak(manifest: Manifest) -> str | None:
    """The layer that needs the most RAM at once, as `generate` lists it."""
    for layer in manifest.layers:
        if layer.name == manifest.ram.peak_layer:
            shapes = f"{_shape(layer.in_shape)} → {_shape(layer.out_shape)}"
            return f"{layer.name}, the layer with the peak: {layer.op}, {shapes}"
    return None


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(extent) for extent in shape[1:])


def _in_use(manifest: Manifest) -> str | None:
    """The buffers at the peak, one a line."""
    rows = [(item.bytes, _buffer(item)) for item in manifest.ram.peak]
    shared = sum(size for size, _ in rows) - manifest.ram.peak_bytes
    if rows and shared > _WORD * len(rows):
        rows.append((-shared, "output over an input that it replaces"))
    return _aligned(rows) if rows else None


def _buffer(item: Live) -> str:
    if item.role == "kept":
        return f"kept for later, from {item.layer}"
    return f"input, from {item.layer}" if item.role == "input" else item.role


def _constants(manifest: Manifest) -> str:
    """Weights and tables of the layers that have most of them, one layer a line."""
    rows = [
        (layer.weight_bytes + layer.table_bytes, f"{layer.name}: {layer.op}, {layer.kernel}")
        for layer in manifest.layers
    ]
    rows.sort(key=lambda row: -row[0])
    rest = rows[_LISTED:]
    listed = rows[:_LISTED]
    if rest:
        listed.append((sum(size for size, _ in rest), f"{len(rest)} other layers"))
    return _aligned(listed)


def _aligned(rows: Sequence[tuple[int, str]]) -> str:
    width = max(len(f"{size:,}") for size, _ in rows)
    return "\n".join(f"{size:>{width},} B  {what}" for size, what in rows)


def misfits(elf: "Elf", board: Board) -> list[Fault]:
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
    return [*faults, *_ram_misfits(ram, board)]


def _ram_misfits(ram: RamUse, board: Board) -> list[Fault]:
    """One fault per RAM that is too small; stack and variables may have one of their own."""
    own = {"static": ram.static, "stack": ram.stack}
    if board.memory.fast is None:
        uses = [(board.memory.ram, {"arena": ram.arena, **own})]
    else:
        uses = [(board.memory.ram, {"arena": ram.arena}), (board.memory.fast, own)]
    return [
        Fault(
            f"the image needs {sum(parts.values()):,} B of RAM, {board.name} has {memory.size:,} B",
            at=", ".join(f"{name} {size:,} B" for name, size in parts.items()),
            help=_LOWER_PEAK,
        )
        for memory, parts in uses
        if sum(parts.values()) > memory.size
    ]


def _largest(sizes: Mapping[str, int]) -> str:
    """The names that take the most bytes, the largest first."""
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_LISTED]
    return ", ".join(f"{name} {size:,} B" for name, size in largest)
