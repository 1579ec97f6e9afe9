"""The emitted C compiles without a warning everywhere, and needs nothing it must not."""

import subprocess
from pathlib import Path

import pytest

from mcugen.emit import emit, write
from mcugen.target.cores import CORES, core_named
from tests.programs import random_program

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic")
SEEDS = range(200, 218)
#: Integer helpers of libgcc that Armv6-M and Armv7-M need, and what the sources name themselves.
ALLOWED = {"memset", "memcpy", "memmove"} | {
    f"__aeabi_{name}" for name in ("lmul", "idiv", "uidiv", "llsl", "lasr", "llsr", "memset")
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("models")
    for seed in SEEDS:
        emitted = emit(
            random_program(seed), core_named("cortex-m4"), f"p{seed}", split_data=seed % 3 == 0
        )
        write(root / f"p{seed}", emitted)
    return sorted(root.glob("*/*.c"))


def _compile(compiler: list[str], sources: list[Path], folder: Path) -> None:
    units = []
    for path in sources:
        unit = folder / f"{path.parent.name}_{path.name}"
        unit.write_text(f'#include "{path}"\n')
        units.append(str(unit))
    done = subprocess.run(
        [*compiler, *WARNINGS, "-c", *units], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    "compiler",
    [
        ["gcc", "-std=c99", "-O2"],
        ["gcc", "-std=c11", "-O2", "-DMODEL_LAYER_HOOK=hook"],
        ["clang", "-std=c99", "-O1"],
    ],
    ids=" ".join,
)
def test_host_compilers_have_nothing_to_say(
    compiler: list[str], sources: list[Path], tmp_path: Path
) -> None:
    _compile(compiler, sources, tmp_path)


@pytest.mark.parametrize("core", CORES)
def test_cores_need_no_floating_point_and_no_heap(
    core: str, sources: list[Path], tmp_path: Path
) -> None:
    flags = core_named(core).gcc_flags
    _compile(["arm-none-eabi-gcc", "-std=c99", "-O2", *flags], sources, tmp_path)
    objects = [str(path) for path in tmp_path.glob("*.o")]
    listing = subprocess.run(
        ["arm-none-eabi-nm", "-u", *objects], capture_output=True, text=True, check=True
    ).stdout
    undefined = {line.split()[1] for line in listing.splitlines() if line.strip().startswith("U ")}
    own = {name for name in undefined if name.startswith("p2")}
    assert undefined - own <= ALLOWED


def test_header_is_cpp(sources: list[Path], tmp_path: Path) -> None:
    includes = [f'#include "{path.parent}/model.h"' for path in sources]
    unit = tmp_path / "all.cpp"
    unit.write_text("\n".join(includes) + "\n")
    subprocess.run(["g++", *WARNINGS, "-c", str(unit)], cwd=tmp_path, check=True)
