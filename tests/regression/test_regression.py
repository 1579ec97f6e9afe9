"""Every program of this folder on every back end (see README.md)."""

from pathlib import Path

import pytest

from mcugen.ir import Program, text, verify
from scripts.fuzz_lib import backends

PATHS = sorted(Path(__file__).parent.glob("*.mir"))


def _read(path: Path) -> Program:
    side = path.with_suffix(".npz")
    constants = text.load_constants(side) if side.exists() else None
    return verify(text.parse(path.read_text(encoding="utf-8"), constants))


def test_programs_that_failed_once_agree_everywhere() -> None:
    programs = [_read(path) for path in PATHS]
    assert [program.name for program in programs] == [path.stem for path in PATHS]
    findings, emitted = backends.compare(programs)
    assert findings == []
    assert len(emitted) == len(PATHS) * len(backends.CORES)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_first_lines_say_what_was_wrong(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
