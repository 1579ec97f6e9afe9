"""Boards with images that need no compiler, and stand-ins for the tools on a PATH of their own."""

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcugen import pipeline, tools
from mcugen.emit.manifest import read_generated
from mcugen.flash import TOOLS, usb
from mcugen.flash.tool import Job, Tool
from mcugen.target.boards import Board, load_board

MODEL = Path(__file__).parents[1] / "models/digits_mlp.pt2"
OUTPUTS = Path(__file__).parent / "outputs"
BOARD = "stm32f446"
SERIAL = "066DFF485550755187121234"
BY_NAME = {tool.name: tool for tool in TOOLS}

#: Answers as its replies tell, in order; the command line goes into a log beside it.
_STAND_IN = """#!{python}
import json, pathlib, re, shlex, sys, time
here = pathlib.Path(__file__)
command = shlex.join([here.name, *sys.argv[1:]])
with here.with_name("log").open("a") as log:
    log.write(command + "\\n")
for reply in json.loads(here.with_name(here.name + ".json").read_text()):
    if re.search(reply["command"], command):
        print(reply["text"].strip("\\n"), flush=True)
        time.sleep(reply.get("seconds", 0))
        sys.exit(reply.get("exit", 0))
sys.exit(f"no reply to: {{command}}")
"""

Reply = Mapping[str, Any]


def outputs(name: str) -> dict[str, Any]:
    """What the tool called `name` prints, from tests/flash/outputs."""
    return tomllib.loads((OUTPUTS / f"{name}.toml").read_text(encoding="utf-8"))


def failing(name: str, problem: str) -> Reply:
    """The first output of the tool that means `problem`."""
    return next(item for item in outputs(name)["failure"] if item["problem"] == problem)


@dataclass
class Bench:
    """A PATH with stand-ins only, and what they were asked."""

    path: Path

    def install(self, name: str, *first: Reply) -> Tool:
        """Stand-ins for the tool called `name`; the replies in `first` come before its usual."""
        known = outputs(name)
        for program in (known["program"], *known.get("others", ())):
            script = self.path / program
            script.write_text(_STAND_IN.format(python=sys.executable))
            script.chmod(0o755)
            replies = [*first, *known["reply"]]
            script.with_name(f"{program}.json").write_text(json.dumps(replies))
        return BY_NAME[name]

    @property
    def commands(self) -> list[str]:
        """Every command line so far."""
        log = self.path / "log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """No tool is installed but those that the test installs; one ST-LINK and one J-Link on USB."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setattr(tools, "BESIDE_PYTHON", str(path))
    tree = tmp_path / "usb"
    tree.mkdir()
    monkeypatch.setattr(usb, "SYSFS", tree)
    plug_in(tree, "0483", "STM32 STLink", SERIAL)
    plug_in(tree, "1366", "J-Link", "001050278255")
    return Bench(path)


def plug_in(tree: Path, vendor: str, product: str, serial: str) -> None:
    """A device in a tree as Linux shows it."""
    device = tree / f"1-{len(list(tree.iterdir())) + 1}"
    device.mkdir()
    for name, text in (("idVendor", vendor), ("product", product), ("serial", serial)):
        (device / name).write_text(f"{text}\n")


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output of `mcugen generate`, not to be changed."""
    board = load_board(BOARD)
    target = tmp_path_factory.mktemp("generated") / "digits"
    model = pipeline.load(MODEL)
    pipeline.generate(pipeline.emitted(model, board.core, None, board, False), target, False)
    return target


def put_images(folder: Path, board: str, data: bytes) -> None:
    """What `mcugen build` would leave, as far as `mcugen flash` looks at it."""
    images = folder / "build" / board
    images.mkdir(parents=True, exist_ok=True)
    for form in ("elf", "bin", "hex", "uf2"):
        (images / f"firmware.{form}").write_bytes(data)


@pytest.fixture
def folder(generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A generated model with images for every board, seen from the working folder."""
    shutil.copytree(generated, tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    target = Path("digits")
    digest = bytes.fromhex(read_generated(target).digest)
    for name in ("stm32f446", "stm32f103", "rp2040", "nrf52840"):
        put_images(target, name, bytes(64) + digest + bytes(40))
    return target


def job(board: Board, probe: str | None = None, verify: bool = True) -> Job:
    """One as `mcugen flash digits` makes."""
    assert board.flash is not None
    return Job(board, board.flash, Path("digits/build") / board.name, probe, verify)


def commands(tool: Tool, made: Job) -> Sequence[str]:
    return [str(step) for step in tool.steps(made)]


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> str:
    """Whose drives are under /media."""
    monkeypatch.setitem(os.environ, "LOGNAME", "user")
    return "user"
