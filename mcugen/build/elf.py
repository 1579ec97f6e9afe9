"""What an ELF file holds: section sizes, symbols, instructions; and what it must not hold."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from mcugen import tools
from mcugen.build import gcc
from mcugen.errors import Fault, fail

#: Heap, and libgcc's software floating point (Run-time ABI for the Arm Architecture, IHI 0043):
#: arithmetic and comparison of floats and doubles, and conversions from and to them.
_FORBIDDEN = re.compile(
    r"_*(malloc|calloc|realloc|free|sbrk)(_r)?"
    r"|__aeabi_[cfd]?[fd][a-z0-9]+"
    r"|__aeabi_(ui|i|ul|l)2[fd]"
    r"|__aeabi_h2f(_alt)?"
)

_FUNCTION_HEAD = re.compile(r"^[0-9a-f]+ <(?P<name>[^>]+)>:$")
_INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\s+(?P<mnemonic>[a-z][\w.]*)(?:\s+(?P<operands>.*))?$")


@dataclass(frozen=True)
class Section:
    """One section that takes memory on the target."""

    name: str
    address: int
    bytes: int
    #: Has contents that lie in flash (all but zeroed and unset RAM).
    loaded: bool


@dataclass(frozen=True)
class Symbol:
    """A defined function or object, or an undefined name (`section` is None)."""

    name: str
    address: int
    bytes: int
    is_function: bool
    section: str | None


@dataclass(frozen=True)
class Elf:
    """Sections in address order, symbols in the file's order, and the entry point."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    entry: int

    def section_bytes(self, *names: str) -> int:
        return sum(section.bytes for section in self.sections if section.name in names)

    def function_bytes(self) -> dict[str, int]:
        """Code bytes by function name."""
        return {symbol.name: symbol.bytes for symbol in self.symbols if symbol.is_function}

    def object_bytes(self) -> dict[str, int]:
        """Bytes by name of constants and variables."""
        return {
            symbol.name: symbol.bytes
            for symbol in self.symbols
            if symbol.section is not None and not symbol.is_function
        }

    def undefined(self) -> tuple[str, ...]:
        """Names that another object must bring."""
        return tuple(symbol.name for symbol in self.symbols if symbol.section is None)


@dataclass(frozen=True)
class Instruction:
    mnemonic: str
    operands: str


def read_elf(path: Path) -> Elf:
    """Sections and symbols of the object file or image `path`.

    Raises:
        McugenError: it cannot be read, or is no ELF file.
    """
    try:
        with path.open("rb") as stream:
            file = ELFFile(stream)
            return Elf(_sections(file), _symbols(file), file["e_entry"])
    except (OSError, ELFError) as error:
        raise fail("build", f"cannot read '{path}' as ELF: {error}") from error


def _sections(file: ELFFile) -> tuple[Section, ...]:
    allocated = (
        Section(item.name, item["sh_addr"], item["sh_size"], item["sh_type"] != "SHT_NOBITS")
        for item in file.iter_sections()
        if item["sh_flags"] & SH_FLAGS.SHF_ALLOC
    )
    return tuple(sorted(allocated, key=lambda section: section.address))


def _symbols(file: ELFFile) -> tuple[Symbol, ...]:
    table = file.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return ()
    symbols = (_symbol(file, item) for item in table.iter_symbols())
    return tuple(symbol for symbol in symbols if symbol is not None)


def _symbol(file: ELFFile, item: object) -> Symbol | None:
    """The symbol, unless it only names a file or a section, or marks code and data for tools."""
    entry = item.entry  # type: ignore[attr-defined]
    name = item.name  # type: ignore[attr-defined]
    kind, index = entry["st_info"]["type"], entry["st_shndx"]
    if not name or kind in ("STT_FILE", "STT_SECTION") or name.startswith("$"):
        return None
    section = file.get_section(index).name if isinstance(index, int) else None
    if index == "SHN_ABS":
        return None
    is_function = kind == "STT_FUNC"
    address = entry["st_value"] & ~1 if is_function else entry["st_value"]
    return Symbol(name, address, entry["st_size"], is_function, section)


def disassemble(path: Path) -> dict[str, tuple[Instruction, ...]]:
    """The instructions of each function in `path`, by each of its names.

    Raises:
        McugenError: objdump is missing or fails.
    """
    bodies = parse_disassembly(tools.run_checked(gcc.disassemble(path)).stdout)
    functions = [symbol for symbol in read_elf(path).symbols if symbol.is_function]
    listed = {symbol.address: bodies[symbol.name] for symbol in functions if symbol.name in bodies}
    # objdump prints one name a place; libgcc's divisions have two.
    aliases = {item.name: listed[item.address] for item in functions if item.address in listed}
    return {**aliases, **bodies}


def parse_disassembly(text: str) -> dict[str, tuple[Instruction, ...]]:
    """objdump's words as instructions by function; data within the code (`.word`) is left out."""
    functions: dict[str, list[Instruction]] = {}
    body: list[Instruction] = []
    for line in text.splitlines():
        if head := _FUNCTION_HEAD.match(line):
            body = functions.setdefault(head["name"], [])
        elif found := _INSTRUCTION.match(line):
            body.append(Instruction(found["mnemonic"], found["operands"] or ""))
    return {name: tuple(items) for name, items in functions.items()}


def forbidden_symbols(names: Iterable[str]) -> tuple[Fault, ...]:
    """One fault per name that belongs to a heap or to software floating point."""
    return tuple(
        Fault(f"the image uses '{name}'", want="no heap and no floating point")
        for name in sorted(set(names))
        if _FORBIDDEN.fullmatch(name)
    )


def floating_point_instructions(
    functions: Mapping[str, tuple[Instruction, ...]],
) -> tuple[Fault, ...]:
    """One fault per function with an instruction of the floating-point unit: all start with v."""
    faults = []
    for name, body in functions.items():
        found = sorted({item.mnemonic for item in body if item.mnemonic.startswith("v")})
        if found:
            faults.append(
                Fault("floating-point instructions in the image", at=name, got=", ".join(found))
            )
    return tuple(faults)
