"""The compilers' command lines, as lists."""

from pathlib import Path

from mcugen.build import gcc
from mcugen.target.boards import load_board
from mcugen.target.cores import core_named


def test_object_for_a_core() -> None:
    argv = gcc.compile_object(
        core_named("cortex-m0plus"), Path("a.c"), Path("a.o"), options=["-DX=1"]
    )
    assert argv == [
        *("arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"),
        *("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-O2"),
        *("-ffunction-sections", "-fdata-sections", "-fstack-usage", "-fcallgraph-info=su"),
        *("-DX=1", "-c", "a.c", "-o", "a.o"),
    ]


def test_host() -> None:
    argv = gcc.compile_host(["a.c", "b.c"], Path("l.so"), ["-shared", "-fPIC"])
    assert argv == ["gcc", "-std=c99", "-shared", "-fPIC", "-o", "l.so", "a.c", "b.c"]


def test_image_for_the_reference_board() -> None:
    argv = gcc.link_image(
        load_board("stm32f446"), [Path("a.o")], Path("script.ld"), Path("firmware.elf")
    )
    assert argv == [
        *("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"),
        *("-nostartfiles", "--specs=nano.specs"),
        *("-Wl,--defsym=flash_base=0x8000000", "-Wl,--defsym=flash_size=0x1000000"),
        *("-Wl,--defsym=ram_base=0x20000000", "-Wl,--defsym=ram_size=0x1000000"),
        *("-Wl,--defsym=stack_size=0x800", "-T", "script.ld"),
        *("-Wl,--gc-sections", "-Wl,--fatal-warnings", "-Wl,--build-id=none"),
        *("a.o", "-o", "firmware.elf"),
    ]


def test_image_as_hex_and_as_text() -> None:
    assert gcc.copy_image(Path("a.elf"), Path("a.hex"), "ihex") == [
        *("arm-none-eabi-objcopy", "-O", "ihex", "a.elf", "a.hex")
    ]
    assert gcc.disassemble(Path("a.elf")) == [
        *("arm-none-eabi-objdump", "-d", "--no-show-raw-insn", "a.elf")
    ]
