"""OpenOCD, st-flash, pyOCD and stm32flash themselves, as far as they go without a probe.

They are asked for a probe that nobody has, so that a board on the desk stays as it is. Where one of
them is missing the tests fail: scripts/setup test installs them.
"""

import json
from importlib import import_module
from inspect import getsource
from pathlib import Path

import pytest

from mcugen import tools
from mcugen.errors import McugenError
from mcugen.flash import openocd
from mcugen.flash.choice import _too_old, installed
from mcugen.flash.runner import ASK_S, Writer, output_of
from mcugen.flash.tool import Step
from mcugen.target.boards import Board, all_boards, load_board
from tests.flash.conftest import BOARD, BY_NAME, job, put_images

REAL = ("openocd", "stlink", "pyocd", "stm32flash")
NOBODY = {"stm32flash": "/dev/no-such-port"}


def boards_of(name: str) -> list[Board]:
    return [board for board in all_boards() if board.flash and name in board.flash.runners]


PAIRS = [(name, board.name) for name in REAL for board in boards_of(name)]


@pytest.fixture(autouse=True)
def _images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for board in all_boards():
        put_images(Path("digits"), board.name, bytes(64))


@pytest.mark.parametrize("name", REAL)
def test_installed_and_new_enough(name: str) -> None:
    assert installed(BY_NAME[name]), "scripts/setup test installs it"
    assert _too_old(BY_NAME[name]) is None


@pytest.mark.parametrize("name", ["stlink", "pyocd"])
def test_listing(name: str) -> None:
    listed = BY_NAME[name].probes(load_board(BOARD), output_of)
    assert listed is not None
    assert all(probe.name for probe in listed)


@pytest.mark.parametrize(("name", "board"), PAIRS)
def test_the_tool_takes_the_command_and_finds_no_probe(name: str, board: str) -> None:
    """It would complain about an option, a configuration file or a command before that."""
    tool = BY_NAME[name]
    made = job(load_board(board), NOBODY.get(name, "0123456789"))
    for step in tool.steps(made)[:1]:
        with pytest.raises(McugenError, match=f"{name} finds no probe for {board}"):
            Writer(tool, made).run(step, ASK_S)


def test_pyocd_takes_what_asks_and_verifies() -> None:
    tool, made = BY_NAME["pyocd"], job(load_board(BOARD), "0123456789")
    assert tool.chip is not None
    for step in (tool.chip(made), tool.steps(made)[1]):
        with pytest.raises(McugenError, match=f"pyocd finds no probe for {BOARD}"):
            Writer(tool, made).run(step, ASK_S)


def test_pyocd_has_the_commands_that_its_commander_is_given() -> None:
    """It looks at them once it is connected, so they are looked up here."""
    known = import_module("pyocd.commands.commands")
    assert "read32" in known.Read32Command.INFO["names"]
    assert "reset" in known.ResetCommand.INFO["names"]
    assert "compare" in known.CompareCommand.INFO["names"]
    assert 2 in known.CompareCommand.INFO["nargs"]  # address, file
    assert "All %d bytes match." in getsource(known.CompareCommand)


def test_st_flash_refuses_what_it_does_not_know() -> None:
    """The counterpart: st-flash does look at its arguments."""
    tool, made = BY_NAME["stlink"], job(load_board(BOARD))
    step = Step(("st-flash", "--no-such-option", "write", "x.bin", "0x08000000"))
    with pytest.raises(McugenError, match="stlink or the firmware of the probe is too old"):
        Writer(tool, made).run(step, ASK_S)


@pytest.mark.parametrize("board", [board.name for board in boards_of("openocd")])
def test_openocd_reads_the_configuration_to_its_end(board: str) -> None:
    made = job(load_board(board), "0123456789")
    done = tools.run(openocd._command(made, "adapter speed", "shutdown"), timeout_s=ASK_S)
    assert done.returncode == 0, done.stderr
    assert "adapter speed: " in done.stderr


@pytest.mark.parametrize("board", [b.name for b in boards_of("openocd") if b.flash.openocd.unlock])
def test_openocd_knows_the_command_that_unlocks(board: str) -> None:
    made = job(load_board(board))
    unlock = made.settings.openocd.unlock.removesuffix(" 0")
    done = tools.run(openocd._command(made, f"help {unlock}", "shutdown"), timeout_s=ASK_S)
    assert f"{unlock} bank_id" in done.stderr


def test_openocd_without_a_file_of_ours() -> None:
    """The counterpart: a configuration that is not there is not passed over."""
    tool, made = BY_NAME["openocd"], job(load_board(BOARD))
    step = Step(("openocd", "-f", "interface/stlink.cfg", "-f", "target/stm32f4y.cfg"))
    with pytest.raises(McugenError, match="openocd or the firmware of the probe is too old"):
        Writer(tool, made).run(step, ASK_S)


def test_pyocd_s_targets_that_need_no_pack() -> None:
    done = tools.run_checked(("pyocd", "json", "--targets"), timeout_s=60)
    known = {item["name"] for item in json.loads(done.stdout)["targets"]}
    named = {b.name: b.flash.pyocd.target for b in boards_of("pyocd")}
    without = {board for board, target in named.items() if target in known}
    assert without >= {"rp2040", "nrf52840", "microbit", "stm32h743"}
