"""What the emitted C may hold, as source and as machine code: all models, and random programs."""

import re
from pathlib import Path

import pytest

from mcugen import tools
from mcugen.build import elf, gcc
from mcugen.emit import emit, write
from mcugen.ir import Program
from mcugen.target.cores import CORES, core_named

#: The C library's block copies, and libgcc's integer helpers for cores without the instruction.
ALLOWED = {"memset", "memcpy", "memmove", "__aeabi_memset", "__aeabi_memcpy", "__aeabi_memmove"} | {
    f"__aeabi_{name}" for name in ("lmul", "idiv", "uidiv", "llsl", "lasr", "llsr")
}
HOST = ("-pedantic", "-O2", "-c")


def _emitted(programs: list[Program], core: str, folder: Path) -> Path:
    """One C file that includes the C of all `programs` for `core`."""
    lines = []
    for program in programs:
        item = emit(program, core_named(core), program.name, split_data=True)
        write(folder / program.name, item)
        names = [name for name in item.files if name.endswith(".c")]
        lines += [f'#include "{program.name}/{name}"\n' for name in names]
    unit = folder / "all.c"
    unit.write_text("".join(lines))
    return unit


@pytest.mark.parametrize("core", CORES)
def test_objects_hold_no_floating_point_and_no_heap(
    core: str, all_programs: list[Program], tmp_path: Path
) -> None:
    unit, built = _emitted(all_programs, core, tmp_path), tmp_path / "all.o"
    argv = gcc.compile_object(core_named(core), unit, built, options=["-pedantic"])
    tools.run_checked(argv)
    found = elf.read_elf(built)
    assert set(found.undefined()) <= ALLOWED
    assert elf.forbidden_symbols(symbol.name for symbol in found.symbols) == ()
    functions = elf.disassemble(built)
    assert {f"{program.name}_run" for program in all_programs} <= set(functions)
    assert elf.floating_point_instructions(functions) == ()


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_host_compilers_have_nothing_to_say(
    compiler: str, all_programs: list[Program], tmp_path: Path
) -> None:
    unit = _emitted(all_programs, "cortex-m4", tmp_path)
    argv = [compiler, *gcc.WARNINGS, *HOST, str(unit), "-o", str(tmp_path / "all.o")]
    tools.run_checked(argv)


def test_cppcheck_has_nothing_to_say(all_programs: list[Program], tmp_path: Path) -> None:
    """Of the code: long lists of constants take cppcheck minutes, and have nothing to check.

    So do the C twins of straight lines of logic, which compilers and sanitizers check.
    """
    _emitted(all_programs, "cortex-m4", tmp_path)
    enable = ["--enable=warning,portability,performance", "--std=c99", "--error-exitcode=1"]
    # The code asserts that right shifts keep the sign.
    enable += ["-D__thumb2__", "--suppress=shiftTooManyBitsSigned"]
    files = sorted(str(path) for path in tmp_path.glob("*/model.c"))
    assert len(files) == len(all_programs)
    tools.run_checked(["cppcheck", *enable, "--quiet", *files])


def test_sources_hold_no_floating_point_and_no_compound_decisions(
    all_programs: list[Program], tmp_path: Path
) -> None:
    """Without compound decisions, branch coverage is MC/DC."""
    _emitted(all_programs, "cortex-m4", tmp_path)
    for path in tmp_path.glob("*/*.[ch]"):
        code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        found = re.findall(r"\b(?:float|double|malloc|goto)\b|&&|\|\|", code)
        assert not found, path
