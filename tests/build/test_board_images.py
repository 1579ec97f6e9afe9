"""Every board's image, read from its ELF: vectors, entry, stack, places of sections, loads."""

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from mcugen.build.elf import Section, read_elf
from mcugen.build.fits import check_fits
from mcugen.build.images import boot_crc, seal_boot_stage, uf2
from mcugen.emit.manifest import Manifest
from mcugen.errors import McugenError
from mcugen.profile.emulator import check_instructions
from mcugen.profile.program import read_program
from mcugen.target.boards import Flash, Ram, board_names
from tests.build.images import Image, image_for

EVERY_BOARD = pytest.mark.parametrize("name", board_names())
_IN_FLASH = {".boot", ".vectors", ".text", ".rodata"}
_OWN = {".stack", ".data", ".bss"}
_HANDLERS = ("reset_handler", "fault_handler", "systick_handler")


@dataclass(frozen=True)
class Load:
    """Bytes that a flashing tool writes to `address`."""

    address: int
    data: bytes


def _loads(elf: Path) -> list[Load]:
    with elf.open("rb") as stream:
        segments = [item for item in ELFFile(stream).iter_segments("PT_LOAD") if item["p_filesz"]]
        loads = [Load(item["p_paddr"], item.data()) for item in segments]
    return sorted(loads, key=lambda load: load.address)


def _vectors(image: Image) -> tuple[int, ...]:
    """The vector table as the processor finds it, from the bytes that are flashed."""
    flash = image.board.memory.flash
    table = image.report.binary.read_bytes()[flash.boot_bytes :][:64]
    return struct.unpack("<16I", table)


def _memory_of(image: Image, section: Section) -> Flash | Ram:
    memory = image.board.memory
    if section.name in _IN_FLASH:
        return memory.flash
    return memory.own if section.name in _OWN else memory.ram


@EVERY_BOARD
def test_vectors_entry_and_stack(name: str) -> None:
    image = image_for(name)
    memory, elf = image.board.memory, read_elf(image.report.elf)
    addresses = {symbol.name: symbol.address for symbol in elf.symbols}
    vectors = _vectors(image)
    places = {section.name: section.address for section in elf.sections}
    assert places[".vectors"] == memory.flash.base + memory.flash.boot_bytes
    assert places[".vectors"] % 128 == 0  # VTOR's alignment for up to 32 vectors
    stack = vectors[0]
    assert stack % 8 == 0
    assert stack == memory.own.base + image.board.firmware.stack_bytes <= _end(memory.own)
    assert vectors[1] == addresses["reset_handler"] | 1 == elf.entry | 1
    handlers = {addresses[item] | 1 for item in _HANDLERS}
    assert {vector for vector in vectors[1:] if vector} == handlers


def _end(memory: Flash | Ram) -> int:
    return memory.base + memory.size


@EVERY_BOARD
def test_sections_lie_within_their_memories(name: str) -> None:
    image = image_for(name)
    sections = [item for item in read_elf(image.report.elf).sections if item.bytes]
    names = {section.name for section in sections}
    assert names >= {".vectors", ".text", ".rodata", ".stack", ".arena", ".bss"}
    for section in sections:
        memory = _memory_of(image, section)
        assert memory.base <= section.address
        assert section.address + section.bytes <= _end(memory)
    for first, second in pairwise(sections):
        assert first.address + first.bytes <= second.address


@EVERY_BOARD
def test_what_is_flashed_lies_in_flash_and_is_the_binary(name: str) -> None:
    image = image_for(name)
    flash = image.board.memory.flash
    binary = image.report.binary.read_bytes()
    loads = _loads(image.report.elf)
    assert loads[0].address == flash.base
    for load in loads:
        at = load.address - flash.base
        assert 0 <= at <= at + len(load.data) <= flash.size
        assert binary[at : at + len(load.data)] == load.data
    for first, second in pairwise(loads):
        assert first.address + len(first.data) <= second.address
    last = loads[-1]
    assert last.address + len(last.data) == flash.base + len(binary)


@EVERY_BOARD
def test_the_core_has_every_instruction(name: str) -> None:
    image = image_for(name)
    check_instructions(read_program(image.report.elf), image.board.core)


@EVERY_BOARD
def test_the_report_holds_for_every_board(name: str) -> None:
    image = image_for(name)
    report, memory = image.report, image.board.memory
    assert report.fits
    assert report.flash.total == report.binary.stat().st_size
    assert report.ram_size == memory.ram.size + (memory.fast.size if memory.fast else 0)
    assert report.ram.static <= image.board.firmware.static_bytes
    assert report.stack.bytes <= report.ram.stack == image.board.firmware.stack_bytes
    assert (report.uf2 is None) == (image.board.mcu.uf2_family is None)


@EVERY_BOARD
def test_what_does_not_fit_is_refused(name: str) -> None:
    """To the byte, before anything is compiled: the model's RAM, and its constants."""
    image = image_for(name)
    board, manifest = image.board, image.manifest

    def with_context(size: int) -> Manifest:
        ram = manifest.ram.model_copy(update={"context": size})
        return manifest.model_copy(update={"ram": ram})

    check_fits(with_context(board.ram_available), board)
    with pytest.raises(McugenError, match=f"of RAM, {name} leaves {board.ram_available:,} B"):
        check_fits(with_context(board.ram_available + 1), board)
    size = board.memory.flash.size
    with pytest.raises(McugenError, match=f"of flash, {name} has {size:,} B"):
        check_fits(manifest.model_copy(update={"weight_bytes": size + 1}), board)


def test_boot_crc_by_its_check_value() -> None:
    """CRC-32/MPEG-2 of "123456789", as catalogues of CRCs list it."""
    assert boot_crc(b"123456789") == 0x0376_E6E7


def test_boot_stage_is_sealed() -> None:
    image = image_for("rp2040")
    stage = image.report.binary.read_bytes()[:256]
    assert any(stage[:64])
    assert struct.unpack("<I", stage[252:])[0] == boot_crc(stage[:252])
    assert stage == _loads(image.report.elf)[0].data[:256]


def test_no_boot_stage_and_one_that_is_too_long(tmp_path: Path) -> None:
    elf = tmp_path / "firmware.elf"
    elf.write_bytes(image_for("stm32f446").report.elf.read_bytes())
    with pytest.raises(McugenError, match=r"no section '\.boot'"):
        seal_boot_stage(elf, 256)
    elf.write_bytes(image_for("rp2040").report.elf.read_bytes())  # sealed: its last word is taken
    with pytest.raises(McugenError, match="boot stage is too long"):
        seal_boot_stage(elf, 256)


def test_uf2_holds_the_binary() -> None:
    """Blocks as the UF2 specification describes them."""
    image = image_for("rp2040")
    assert image.report.uf2 is not None
    data, binary = image.report.uf2.read_bytes(), image.report.binary.read_bytes()
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    kept = b""
    for number, block in enumerate(blocks):
        start, second, flags, address, size, index, count, family = struct.unpack("<8I", block[:32])
        assert block[:4] == b"UF2\n"
        assert (start, second) == (0x0A324655, 0x9E5D5157)
        assert struct.unpack("<I", block[508:])[0] == 0x0AB16F30
        assert (flags, size, family) == (0x2000, 256, 0xE48BFF56)
        assert (address, index, count) == (0x10000000 + 256 * number, number, len(blocks))
        kept += block[32 : 32 + size]
    assert kept.startswith(binary)
    assert len(kept) - len(binary) < 256
    assert len(uf2(bytes(257), 0, 0)) == 1024
