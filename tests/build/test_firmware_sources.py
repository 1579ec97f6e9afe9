"""The firmware's own C: clean under clang and cppcheck, and without compound decisions."""

import re
from pathlib import Path

import pytest

from mcugen import tools
from mcugen.build import gcc
from mcugen.build.headers import render_protocol_messages, render_target
from mcugen.resources import data_root
from mcugen.target.boards import Board
from tests.build.tiny_model import write_tiny_model

FIRMWARE = data_root() / "firmware"
FOLDERS = (".", "startup", "mcu", "uart")
SOURCES = sorted(
    path.relative_to(FIRMWARE).as_posix()
    for folder in FOLDERS
    for path in (FIRMWARE / folder).glob("*.c")
)
_MODEL = ("-DMODEL_PREFIX=tiny", "-DMODEL_MACRO=TINY", "-DMODEL_ARENA_SECTION=")


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory, board: Board) -> Path:
    folder = tmp_path_factory.mktemp("headers")
    write_tiny_model(folder)
    (folder / "protocol_messages.h").write_text(render_protocol_messages())
    (folder / "target.h").write_text(render_target(board, "0" * 64))
    return folder


def _newlib() -> str:
    found = tools.run_checked([gcc.ARM_GCC, "-print-file-name=libc.a"]).stdout.strip()
    return str(Path(found).resolve().parents[3] / "include" / "newlib")


@pytest.mark.parametrize("source", SOURCES)
def test_clang_has_nothing_to_say(source: str, headers: Path) -> None:
    target = ["--target=thumbv7em-none-eabi", "-mfloat-abi=soft", "-fsyntax-only"]
    include = [f"-I{headers}", f"-I{FIRMWARE}", "-isystem", _newlib()]
    tools.run_checked(["clang", *target, *gcc.WARNINGS, *_MODEL, *include, str(FIRMWARE / source)])


def test_cppcheck_has_nothing_to_say(headers: Path) -> None:
    enable = ["--enable=warning,style,performance,portability", "--inline-suppr", "--quiet"]
    options = ["--std=c99", "--error-exitcode=1", "--suppress=missingIncludeSystem"]
    include = [f"-I{headers}", f"-I{FIRMWARE}"]
    files = [str(FIRMWARE / source) for source in SOURCES]
    tools.run_checked(["cppcheck", *enable, *options, *_MODEL, *include, *files])


@pytest.mark.parametrize("source", SOURCES)
def test_no_compound_decisions_and_no_heap(source: str) -> None:
    text = re.sub(r"/\*.*?\*/", "", (FIRMWARE / source).read_text(), flags=re.DOTALL)
    assert not re.search(r"&&|\|\||\bmalloc\b|\bfloat\b|\bdouble\b", text)
