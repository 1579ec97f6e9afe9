"""A linked ELF as the emulator sees it: bytes at addresses, names, and which bytes are code."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.constants import P_FLAGS
from elftools.elf.elffile import ELFFile

from mcugen.errors import fail


@dataclass(frozen=True)
class Segment:
    """Memory that is there before the first instruction; zero behind `data` up to `size` bytes."""

    address: int
    size: int
    data: bytes
    readable: bool
    writable: bool
    executable: bool

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(frozen=True)
class Function:
    """A function symbol; `address` without the Thumb bit."""

    address: int
    name: str


@dataclass(frozen=True)
class Program:
    """What `read_program` found."""

    path: Path
    segments: tuple[Segment, ...]
    symbols: Mapping[str, int]
    """Values as in the symbol table: functions with the Thumb bit set."""
    functions: tuple[Function, ...]
    """By address."""
    code: tuple[range, ...]
    """Address ranges that hold instructions, literal pools left out (the `$t` and `$d` symbols)."""

    def address_of(self, symbol: str) -> int:
        """The value of `symbol`.

        Raises:
            McugenError: the ELF has no such symbol.
        """
        if symbol not in self.symbols:
            raise fail("profile", f"no symbol '{symbol}'", at=str(self.path))
        return self.symbols[symbol]

    def function_at(self, address: int) -> str:
        """Name of the function that `address` lies in, or of the nearest one before it."""
        index = bisect_right(self.functions, address, key=lambda function: function.address)
        return self.functions[index - 1].name if index else f"{address:#010x}"

    def bytes_at(self, span: range) -> bytes:
        """The file's bytes of an address range inside one segment."""
        for segment in self.segments:
            if segment.address <= span.start and span.stop <= segment.address + len(segment.data):
                return segment.data[span.start - segment.address :][: len(span)]
        raise fail(
            "profile",
            "code outside of what the ELF loads",
            at=f"{self.path}, {span.start:#010x} to {span.stop:#010x}",
        )


def read_program(path: Path) -> Program:
    """Read a linked ELF for Arm.

    Raises:
        McugenError: the file is missing, or no linked ELF with a symbol table.
    """
    try:
        with path.open("rb") as file:
            return _program(path, ELFFile(file))
    except OSError as error:
        raise fail("profile", f"cannot read '{path}': {error.strerror}") from error
    except ELFError as error:
        raise fail("profile", f"'{path}' is no ELF file", got=str(error)) from error


def _program(path: Path, elf: Any) -> Program:
    table = elf.get_section_by_name(".symtab")
    if elf["e_machine"] != "EM_ARM" or elf["e_type"] != "ET_EXEC" or table is None:
        raise fail("profile", f"'{path}' is no linked Arm program with symbols")
    symbols = [
        symbol
        for symbol in table.iter_symbols()
        if symbol.name and symbol["st_shndx"] != "SHN_UNDEF"
    ]
    functions = (
        Function(symbol["st_value"] & ~1, symbol.name)
        for symbol in symbols
        if symbol["st_info"]["type"] == "STT_FUNC"
    )
    return Program(
        path=path,
        segments=tuple(
            _segment(item)
            for item in elf.iter_segments()
            if item["p_type"] == "PT_LOAD" and item["p_memsz"]
        ),
        symbols={symbol.name: symbol["st_value"] for symbol in symbols},
        functions=tuple(sorted(functions, key=lambda function: (function.address, function.name))),
        code=tuple(_code_ranges(elf, symbols)),
    )


def _segment(item: Any) -> Segment:
    flags = item["p_flags"]
    return Segment(
        address=item["p_vaddr"],
        size=item["p_memsz"],
        data=item.data(),
        readable=bool(flags & P_FLAGS.PF_R),
        writable=bool(flags & P_FLAGS.PF_W),
        executable=bool(flags & P_FLAGS.PF_X),
    )


def _code_ranges(elf: Any, symbols: list[Any]) -> list[range]:
    """From every `$t` to the next mapping symbol or the section's end (AAELF32, 5.5.5)."""
    marks: dict[int, dict[int, bool]] = {}
    for symbol in symbols:
        if symbol.name[:2] in ("$t", "$d"):
            section_marks = marks.setdefault(symbol["st_shndx"], {})
            section_marks[symbol["st_value"]] = symbol.name.startswith("$t")
    ranges = []
    for index, section_marks in marks.items():
        section = elf.get_section(index)
        starts = sorted(section_marks)
        ends = [*starts[1:], section["sh_addr"] + section["sh_size"]]
        spans = zip(starts, ends, strict=True)
        ranges += [range(start, end) for start, end in spans if section_marks[start]]
    return [span for span in ranges if span]
