"""Command lines of the C compilers: lists of arguments, which `mcugen.tools` runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mcugen.target.cores import Core

ARM_GCC = "arm-none-eabi-gcc"
ARM_OBJCOPY = "arm-none-eabi-objcopy"
ARM_OBJDUMP = "arm-none-eabi-objdump"

#: What every C file that mcugen ships or emits is clean under, with gcc and clang.
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")

#: One section per function and object, so that the linker drops what nothing uses.
SECTIONS = ("-ffunction-sections", "-fdata-sections")

#: Room the linker gets, bytes: an image that does not fit its board is linked, measured and refused
#: with a table of what takes how much, in place of the linker's bare "overflowed".
LINK_ROOM = 0x0100_0000

#: Leaves OBJECT.su and OBJECT.ci (stack per function, call graph) beside each object.
STACK_USAGE = ("-fstack-usage", "-fcallgraph-info=su")


def prefix_maps(folders: Mapping[Path, str]) -> tuple[str, ...]:
    """Options that keep absolute folders out of the objects, so that builds are reproducible."""
    return tuple(f"-ffile-prefix-map={folder}={name}" for folder, name in folders.items())


def compile_host(units: Sequence[str], output: Path, options: Sequence[str]) -> list[str]:
    """A program or library for this machine; `options` choose which, and sanitizers.

    Warnings stay off: the C is held to be free of them by the tests, and a newer gcc's must not
    keep a user from running a check.
    """
    return ["gcc", "-std=c99", *options, "-o", str(output), *units]


def compile_object(
    core: Core, source: Path, output: Path, *, optimize: str = "-O2", options: Sequence[str] = ()
) -> list[str]:
    """One object file for `core`, with its stack usage beside it."""
    return [
        ARM_GCC,
        *core.gcc_flags,
        *WARNINGS,
        optimize,
        *SECTIONS,
        *STACK_USAGE,
        *options,
        "-c",
        str(source),
        "-o",
        str(output),
    ]


def link_image(core: Core, objects: Sequence[Path], script: Path, output: Path) -> list[str]:
    """An image for `core`, whose size the caller checks.

    newlib-nano and libgcc give memcpy and the like; there are no start files.
    """
    return [
        ARM_GCC,
        *core.gcc_flags,
        "-nostartfiles",
        "--specs=nano.specs",
        "-T",
        str(script),
        "-Wl,--gc-sections",
        "-Wl,--fatal-warnings",
        "-Wl,--build-id=none",
        *(str(item) for item in objects),
        "-o",
        str(output),
    ]


def copy_image(elf: Path, output: Path, form: str) -> list[str]:
    """`elf` as `form`: `binary` or `ihex`."""
    return [ARM_OBJCOPY, "-O", form, str(elf), str(output)]


def disassemble(elf: Path) -> list[str]:
    return [ARM_OBJDUMP, "-d", "--no-show-raw-insn", str(elf)]
