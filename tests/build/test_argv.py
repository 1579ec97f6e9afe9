"""The compilers' command lines, as lists."""

from pathlib import Path

from mcugen.build import gcc
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


def test_image() -> None:
    argv = gcc.link_image(
        core_named("cortex-m4"), [Path("a.o")], Path("script.ld"), Path("firmware.elf")
    )
    assert argv == [
        *("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"),
        *("-nostartfiles", "--specs=nano.specs", "-T", "script.ld"),
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
