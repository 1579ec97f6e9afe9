"""Documents name files, commands and options that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_PATH = re.compile(r"`((?:mcugen|templates|firmware|boards|tests|scripts|docs)/[\w./-]+)`")
_LINK = re.compile(r"\]\(([^)#:]+)\)")
_COMMANDS = "train|generate|inspect|check|build|flash|run|profile|boards|ops|doctor"
_COMMAND = re.compile(rf"mcugen ({_COMMANDS})\b")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page: Path) -> None:
    text = page.read_text()
    named = [name for name in _PATH.findall(text) if "NAME" not in name]
    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [name for name in _LINK.findall(text) if not (page.parent / name).exists()]
    assert not missing, f"{page.name} names what is not there: {missing}"


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """Options of each command, from its --help."""
    found = {}
    for command in sorted(set(_COMMAND.findall("".join(page.read_text() for page in PAGES)))):
        argv = [sys.executable, "-m", "mcugen.cli", command, "--help"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        found[command] = set(_FLAG.findall(done.stdout))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_take_the_options_named(page: Path, flags: dict[str, set[str]]) -> None:
    for line in page.read_text().splitlines():
        named = _COMMAND.search(line)
        if named and line.lstrip().startswith(("mcugen", "`mcugen")):
            unknown = set(_FLAG.findall(line.split("#")[0])) - flags[named[1]]
            assert not unknown, f"{page.name}: {line.strip()} has unknown options {unknown}"
