"""Forms of an image that objcopy does not make: a sealed boot stage, and UF2 files."""

import struct
from pathlib import Path

from elftools.elf.elffile import ELFFile

from mcugen.errors import fail

BOOT_SECTION = ".boot"
_CRC_BYTES = 4
_CRC_POLYNOMIAL = 0x04C1_1DB7

#: UF2 as its specification has it (github.com/microsoft/uf2): blocks of 512 bytes with 256 of data.
_UF2_HEAD = struct.Struct("<8I")
_UF2_MAGIC = (0x0A32_4655, 0x9E5D_5157)
_UF2_MAGIC_END = 0x0AB1_6F30
_UF2_HAS_FAMILY = 0x2000
_UF2_DATA = 256
_UF2_PADDED = 476


def boot_crc(data: bytes) -> int:
    """The CRC-32 that the RP2040's boot ROM computes (RP2040 Datasheet, 2.8.1.3.1): polynomial
    0x04C11DB7, the most significant bit first, from all ones, not inverted at the end."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (_CRC_POLYNOMIAL if crc & 0x8000_0000 else 0)
            crc &= 0xFFFF_FFFF
    return crc


def seal_boot_stage(elf: Path, size: int) -> None:
    """Write the CRC of the boot stage, `size` bytes with it, into the last word of its section.

    Raises:
        McugenError: the stage does not leave that word free.
    """
    with elf.open("rb+") as file:
        section = ELFFile(file).get_section_by_name(BOOT_SECTION)
        if section is None:
            raise fail("build", f"the image has no section '{BOOT_SECTION}'")
        stage = section.data()
        code, last = stage[: size - _CRC_BYTES], stage[size - _CRC_BYTES :]
        if len(stage) != size or any(last):
            got = f"{len(stage.rstrip(bytes(1)))} bytes"
            raise fail("build", "the boot stage is too long", got=got, want=f"{len(code)} bytes")
        file.seek(section["sh_offset"] + len(code))
        file.write(struct.pack("<I", boot_crc(code)))


def uf2(image: bytes, base: int, family: int) -> bytes:
    """`image`, which lies at address `base`, as a UF2 file for the chips of `family`."""
    count = -(-len(image) // _UF2_DATA)
    blocks = []
    for number in range(count):
        at = number * _UF2_DATA
        place = (base + at, _UF2_DATA, number, count)
        head = _UF2_HEAD.pack(*_UF2_MAGIC, _UF2_HAS_FAMILY, *place, family)
        data = image[at : at + _UF2_DATA].ljust(_UF2_PADDED, b"\0")
        blocks.append(head + data + struct.pack("<I", _UF2_MAGIC_END))
    return b"".join(blocks)
