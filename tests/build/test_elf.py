"""What an image must not hold: a heap, software floating point, instructions of the FPU."""

from pathlib import Path

import pytest

from mcugen import tools
from mcugen.build import gcc
from mcugen.build.elf import (
    disassemble,
    floating_point_instructions,
    forbidden_symbols,
    read_elf,
)
from mcugen.errors import McugenError
from mcugen.target.cores import core_named


def _object(tmp_path: Path, source: str, *, hard: bool = False) -> Path:
    (tmp_path / "a.c").write_text(source)
    options = ["-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"] if hard else []
    argv = gcc.compile_object(core_named("cortex-m4"), Path("a.c"), Path("a.o"), options=options)
    tools.run_checked(argv, cwd=tmp_path)
    return tmp_path / "a.o"


def test_forbidden_names() -> None:
    bad = ["malloc", "_malloc_r", "free", "_sbrk", "__aeabi_fadd", "__aeabi_dmul", "__aeabi_i2d"]
    bad += ["__aeabi_cfcmple", "__aeabi_d2iz", "__aeabi_ui2f", "__aeabi_ul2d", "__aeabi_f2d"]
    good = ["memcpy", "__aeabi_idiv", "__aeabi_uldivmod", "__aeabi_lmul", "__aeabi_idiv0", "freely"]
    faults = forbidden_symbols([*bad, *good])
    assert [fault.what for fault in faults] == [f"the image uses '{name}'" for name in sorted(bad)]


def test_software_floating_point_shows(tmp_path: Path) -> None:
    path = _object(tmp_path, "float f(float x);\nfloat f(float x) { return x + 1.0f; }\n")
    assert read_elf(path).undefined() == ("__aeabi_fadd",)
    assert forbidden_symbols(read_elf(path).undefined())


def test_fpu_instructions_show(tmp_path: Path) -> None:
    source = "float f(float x);\nfloat f(float x) { return x + 1.0f; }\n"
    faults = floating_point_instructions(disassemble(_object(tmp_path, source, hard=True)))
    assert [fault.at for fault in faults] == ["f"]
    assert "vadd.f32" in str(faults[0].got)


def test_sizes_and_symbols(tmp_path: Path) -> None:
    source = "extern const int table[4];\nconst int table[4] = {1, 2, 3, 4};\nint f(void);\n"
    elf = read_elf(_object(tmp_path, source + "int f(void) { return 7; }\n"))
    assert elf.object_bytes() == {"table": 16}
    assert elf.function_bytes()["f"] in (4, 6)


def test_no_elf_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(McugenError, match=r"cannot read .* as ELF"):
        read_elf(tmp_path / "x")
