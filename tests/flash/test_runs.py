"""Whole runs against stand-ins that print what each tool prints."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mcugen import tools
from mcugen.errors import McugenError
from mcugen.flash import TOOLS, Wish, flash, runner, stm32flash, uf2
from mcugen.flash.problems import WORDS
from mcugen.flash.runner import Writer, diagnosis
from mcugen.flash.tool import Problem, Step
from mcugen.report import console, documents, tables
from mcugen.run.serial import FoundPort
from mcugen.target.boards import Board, load_board
from tests.flash.conftest import (
    BOARD,
    BY_NAME,
    OUTPUTS,
    SERIAL,
    Bench,
    failing,
    job,
    outputs,
    put_images,
)

NAMES = [tool.name for tool in TOOLS]
FAILURES = [
    pytest.param(name, failure, id=f"{name}-{number}-{failure['problem'].lower()}")
    for name in NAMES
    for number, failure in enumerate(outputs(name)["failure"])
    if failure["command"] != "FAIL.TXT"
]

#: How a failure that comes before the tool writes is worded; the others are in `WORDS`.
_BEFORE = {
    Problem.NO_PROBE: "no probe of ",
    Problem.SEVERAL_PROBES: "finds 2 probes",
    Problem.TOO_OLD: "is too old",
}

BoardOf = Callable[[str], Board]


@pytest.fixture
def board_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> BoardOf:
    """The board of a tool's outputs, with its drive or port where it needs one."""

    def board(name: str) -> Board:
        found = load_board(outputs(name)["board"])
        drive = tmp_path / "NOD_F446RE"
        drive.mkdir()
        (drive / "DETAILS.TXT").touch()
        monkeypatch.setattr(uf2, "mounted", lambda label: (drive,))
        monkeypatch.setattr(uf2, "_WAIT_S", 0.0)
        port = FoundPort("/dev/ttyUSB0", "1a86:7523", None, "USB Serial")
        monkeypatch.setattr(stm32flash, "found_ports", lambda: (port,))
        return found

    return board


@pytest.mark.parametrize("name", NAMES)
def test_success(name: str, bench: Bench, folder: Path, board_of: BoardOf) -> None:
    tool, board = bench.install(name), board_of(name)
    report = flash(folder, board, Wish(runner=name))
    assert (report.runner, report.board, report.bytes) == (name, board.name, 136)
    assert report.verified == (tool.verifies != "never")
    assert report.seconds is not None
    for command in report.commands:
        assert command.splitlines()[-1] in bench.commands
    if tool.must_name:
        assert report.probe
        assert any(report.probe in command for command in report.commands)
    if tool.chip and board.flash.chip:
        assert report.chip == f"{board.flash.chip.value:#x}"


@pytest.mark.parametrize(("name", "failure"), FAILURES)
def test_failure(name: str, failure: dict, bench: Bench, folder: Path, board_of: BoardOf) -> None:
    bench.install(name, failure)
    with pytest.raises(McugenError) as caught:
        flash(folder, board_of(name), Wish(runner=name))
    what = Problem[failure["problem"]]
    told = caught.value.faults[0]
    board = load_board(outputs(name)["board"])
    sentence = WORDS[what][0].format(tool=name, board=board.name, chip=board.mcu.name)
    assert told.what == sentence or _BEFORE.get(what, "∅") in told.what, str(caught.value)
    assert told.help
    assert "{" not in f"{told.what}{told.help}"


@pytest.mark.parametrize("name", NAMES)
def test_outputs_say_where_they_come_from(name: str) -> None:
    head = (OUTPUTS / f"{name}.toml").read_text().splitlines()[0]
    assert "reconstructed" in head
    assert {item["problem"] for item in outputs(name)["failure"]} <= Problem.__members__.keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_sign_is_heard(name: str) -> None:
    """Each has a text that it decides; none stands behind a more general one, none is invented."""
    signs = BY_NAME[name].signs
    texts = [failure["text"] for failure in outputs(name)["failure"]]
    for index, sign in enumerate(signs):
        without = (*signs[:index], *signs[index + 1 :])
        decided = [text for text in texts if diagnosis(signs, text) != diagnosis(without, text)]
        assert {diagnosis(signs, text)[0] for text in decided} == {sign.problem}, sign


def test_a_locked_chip_says_what_unlocks_it(bench: Bench, folder: Path) -> None:
    bench.install(
        "openocd", next(f for f in outputs("openocd")["failure"] if f["problem"] == "LOCKED")
    )
    with pytest.raises(McugenError) as caught:
        flash(folder, load_board(BOARD), Wish())
    told = caught.value.faults[0]
    assert told.what == "the STM32F446RE is protected against reading or writing"
    assert "erases all of its flash: openocd -f interface/stlink.cfg" in str(told.help)
    assert "-c 'stm32f2x unlock 0'" in str(told.help)
    assert told.got == "Error: stm32x device protected"


def test_a_wrong_chip_is_not_written(bench: Bench, folder: Path) -> None:
    other = {"command": "mdw", "text": "0xe0042000: 10016413"}
    bench.install("openocd", other)
    with pytest.raises(McugenError) as caught:
        flash(folder, load_board(BOARD), Wish())
    assert "got  0x413 at 0xe0042000\n  want  0x421" in str(caught.value)
    assert not any("program" in command for command in bench.commands)


def test_pyocd_says_which_pack(bench: Bench, folder: Path) -> None:
    bench.install("pyocd", failing("pyocd", "UNKNOWN_CHIP"))
    with pytest.raises(McugenError, match="help: pyocd pack install stm32f446retx"):
        flash(folder, load_board(BOARD), Wish())


def test_a_tool_that_hangs(bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It and what it started are stopped; the error says that the flash may be half written."""
    monkeypatch.setattr(runner, "_START_S", 0.6)
    bench.install("openocd", {"command": "program", "text": "erasing", "seconds": 60})
    started = time.monotonic()
    with pytest.raises(McugenError, match="openocd did not end in time") as caught:
        flash(folder, load_board(BOARD), Wish())
    assert time.monotonic() - started < 50
    assert "half written" in str(caught.value)


def test_children_of_a_stopped_tool_are_stopped(tmp_path: Path) -> None:
    """As the vendors' shell wrappers need it."""
    mark = tmp_path / "mark"
    script = f"(trap '' INT; sleep 2.5; touch {mark}) & wait"
    with pytest.raises(tools.TimedOutError, match=r"sh did not end within 0\.2 s"):
        tools.run(["sh", "-c", script], timeout_s=0.2)
    time.sleep(3)
    assert not mark.exists()


INTERRUPTED = """
import sys
from mcugen import cli, tools
from mcugen.flash import usb
sys.argv = ["mcugen", "flash", "digits", "--board", "stm32f446", "--runner", "stlink", "--json"]
cli.main()
"""


def test_ctrl_c_leaves_no_half_report(bench: Bench, folder: Path) -> None:
    bench.install("stlink", {"command": "write", "text": "erasing", "seconds": 60})
    environment = {**os.environ, "PATH": str(bench.path)}
    running = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    deadline = time.monotonic() + 60
    while not any("write" in command for command in bench.commands):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert "may be half written: run mcugen flash again" in err
    assert "Traceback" not in err


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    path = tmp_path / "media/user/RPI-RP2"
    path.mkdir(parents=True)
    (path / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\n")
    return path


def test_drives_are_found(drive: Path, tmp_path: Path) -> None:
    other = drive.with_name("RPI-RP21")
    other.mkdir()
    assert uf2.mounted("RPI-RP2", tmp_path) == (drive,)  # without its file it is no boot loader
    (other / "INFO_UF2.TXT").touch()
    assert uf2.mounted("RPI-RP2", tmp_path) == (drive, other)
    assert uf2.mounted("MICROBIT", tmp_path) == ()


def test_what_a_drive_does_after_the_copy(drive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pico = job(load_board("rp2040"), str(drive))
    nucleo = job(load_board(BOARD), str(drive))
    monkeypatch.setattr(uf2, "_WAIT_S", 0.3)
    assert uf2._confirm(nucleo) is None
    assert "did not take the image" in str(uf2._confirm(pico))
    (drive / "FAIL.TXT").write_text("The interface firmware FAILED to reset/halt the target MCU\n")
    assert str(uf2._confirm(pico)).startswith("The interface firmware FAILED")
    copying_nothing = replace(BY_NAME["uf2"], steps=lambda made: (Step(("true",)),))
    with pytest.raises(McugenError, match="the probe does not reach the STM32F446RE"):
        Writer(copying_nothing, nucleo).write(1)
    for path in drive.iterdir():
        path.unlink()
    assert uf2._confirm(pico) is None


@pytest.mark.parametrize(
    "failure", [item for item in outputs("uf2")["failure"] if item["command"] == "FAIL.TXT"]
)
def test_what_a_drive_complains_about(failure: dict, drive: Path) -> None:
    (drive / "FAIL.TXT").write_text(failure["text"])
    complaint = uf2._confirm(job(load_board(BOARD), str(drive)))
    assert complaint == failure["text"].strip()
    assert diagnosis(BY_NAME["uf2"].signs, complaint)[0] is Problem[failure["problem"]]


def test_no_image_and_an_old_one(bench: Bench, folder: Path) -> None:
    board = load_board(BOARD)
    put_images(folder, BOARD, bytes(100))
    with pytest.raises(McugenError, match="the image is older than the model") as caught:
        flash(folder, board, Wish(dry_run=True))
    assert "help: build it again: mcugen build digits --board stm32f446" in str(caught.value)
    with pytest.raises(McugenError, match="no image for stm32f407") as caught:
        flash(folder, load_board("stm32f407"), Wish(dry_run=True))
    assert "help: mcugen build digits --board stm32f407" in str(caught.value)


def test_an_image_larger_than_the_flash(bench: Bench, folder: Path) -> None:
    board = load_board("stm32f103")
    data = (folder / "build/stm32f103/firmware.bin").read_bytes()
    put_images(folder, "stm32f103", data + bytes(board.memory.flash.size))
    with pytest.raises(McugenError, match="does not fit into the flash of stm32f103"):
        flash(folder, board, Wish(dry_run=True))
    assert bench.commands == []


def test_json_of_a_run(bench: Bench, folder: Path) -> None:
    bench.install("stlink")
    report = flash(folder, load_board(BOARD), Wish(serial_number=SERIAL[-4:]))
    assert report.probe == SERIAL
    assert f"--serial {SERIAL}" in report.commands[0]
    document = json.loads(json.dumps(console._plain(documents.flashed(report))))
    assert document["verified"] is True
    assert "written and read back by stlink" in str(tables.flashed(report))
