"""The firmware's own C: clean under clang and cppcheck, and without compound decisions."""

import re
from pathlib import Path

import pytest

from mcugen import tools
from mcugen.build import gcc
from mcugen.build.headers import render_protocol_messages, render_target
from mcugen.resources import data_root
from mcugen.target.boards import Board, all_boards
from tests.build.tiny_model import write_tiny_model

FIRMWARE = data_root() / "firmware"
FOLDERS = (".", "startup", "mcu", "uart")
SOURCES = sorted(
    path.relative_to(FIRMWARE).as_posix()
    for folder in FOLDERS
    for path in (FIRMWARE / folder).glob("*.c")
)
_MODEL = ("-DMODEL_PREFIX=tiny", "-DMODEL_MACRO=TINY", "-DMODEL_ARENA_SECTION=")
_BOARDS = {board.name: board for board in all_boards()}


def _chip_sources(board: Board) -> tuple[str, ...]:
    """The sources that only boards like this one use."""
    family = board.mcu.family
    names = (f"mcu/{family}.c", f"startup/{family}_boot.c", f"uart/{board.uart.driver}.c")
    return tuple(name for name in names if name in SOURCES)


_CHIP_SOURCES = {name: _chip_sources(board) for name, board in _BOARDS.items()}
_PORTABLE = tuple(set(SOURCES) - {name for names in _CHIP_SOURCES.values() for name in names})
#: Every source with every board it is for; the portable ones with one board per architecture.
_PAIRS = [
    *((source, name) for name, sources in _CHIP_SOURCES.items() for source in sources),
    *((source, name) for source in sorted(_PORTABLE) for name in ("stm32f446", "microbit")),
]


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each board with what is generated for it."""
    root = tmp_path_factory.mktemp("headers")
    for name, board in _BOARDS.items():
        write_tiny_model(root / name, core=board.core.name)
        (root / name / "protocol_messages.h").write_text(render_protocol_messages())
        (root / name / "target.h").write_text(render_target(board, "0" * 64))
    return root


def _newlib() -> str:
    found = tools.run_checked([gcc.ARM_GCC, "-print-file-name=libc.a"]).stdout.strip()
    return str(Path(found).resolve().parents[3] / "include" / "newlib")


def test_every_source_is_used() -> None:
    assert {source for source, _ in _PAIRS} == set(SOURCES)


@pytest.mark.parametrize(("source", "name"), _PAIRS)
def test_clang_has_nothing_to_say(source: str, name: str, headers: Path) -> None:
    flags = _BOARDS[name].core.gcc_flags
    target = ["--target=arm-none-eabi", *flags, "-fsyntax-only"]
    include = [f"-I{headers / name}", f"-I{FIRMWARE}", "-isystem", _newlib()]
    tools.run_checked(["clang", *target, *gcc.WARNINGS, *_MODEL, *include, str(FIRMWARE / source)])


@pytest.mark.parametrize("name", _BOARDS)
def test_cppcheck_has_nothing_to_say(name: str, headers: Path) -> None:
    enable = ["--enable=warning,style,performance,portability", "--inline-suppr", "--quiet"]
    options = ["--std=c99", "--error-exitcode=1", "--suppress=missingIncludeSystem"]
    include = [f"-I{headers / name}", f"-I{FIRMWARE}"]
    sources = _CHIP_SOURCES[name] + (_PORTABLE if name == "stm32f446" else ())
    files = [str(FIRMWARE / source) for source in sources]
    tools.run_checked(["cppcheck", *enable, *options, *_MODEL, *include, *files])


@pytest.mark.parametrize("source", SOURCES)
def test_no_compound_decisions_and_no_heap(source: str) -> None:
    text = re.sub(r"/\*.*?\*/", "", (FIRMWARE / source).read_text(), flags=re.DOTALL)
    assert not re.search(r"&&|\|\||\bmalloc\b|\bfloat\b|\bdouble\b", text)
