"""Which tool and which probe, and the ways out where there is none."""

from pathlib import Path

import pytest

from mcugen.errors import McugenError
from mcugen.flash import TOOLS, Wish, flash, usb
from mcugen.flash.choice import candidates
from mcugen.target.boards import load_board
from tests.flash.conftest import BOARD, SERIAL, Bench, failing, outputs, plug_in


def refused(folder: Path, wish: Wish = Wish(), board: str = BOARD) -> str:  # noqa: B008 - frozen
    with pytest.raises(McugenError) as caught:
        flash(folder, load_board(board), wish)
    return str(caught.value)


def test_the_board_s_order_decides(bench: Bench, folder: Path) -> None:
    for name in ("pyocd", "stlink", "openocd"):
        bench.install(name)
    assert flash(folder, load_board(BOARD), Wish()).runner == "openocd"
    assert flash(folder, load_board(BOARD), Wish(runner="pyocd")).runner == "pyocd"


def test_a_tool_without_a_probe_is_passed_over(bench: Bench, folder: Path) -> None:
    bench.install("stlink", failing("stlink", "NO_PROBE"))
    bench.install("pyocd")
    assert flash(folder, load_board(BOARD), Wish()).runner == "pyocd"


def test_a_tool_that_is_too_old_is_passed_over(bench: Bench, folder: Path) -> None:
    old = {"command": "--version", "text": "Open On-Chip Debugger 0.10.0"}
    bench.install("openocd", old)
    assert "openocd is too old\n  got  0.10.0\n  want  0.12 or newer" in refused(folder)
    bench.install("stlink")
    assert flash(folder, load_board(BOARD), Wish()).runner == "stlink"


def test_no_tool(bench: Bench, folder: Path) -> None:
    words = refused(folder)
    assert "no tool that flashes stm32f446 is installed" in words
    for way in (
        "sudo apt-get install openocd",
        "sudo apt-get install stlink-tools",
        "mcugen[flash]",
    ):
        assert way in words
    assert "stm32flash" not in words  # only where it is asked for
    assert "stm32flash is not installed" in refused(folder, Wish(runner="stm32flash"))
    assert "probe_rs is not installed" in refused(folder, Wish(runner="probe-rs"))


def test_no_probe(bench: Bench, folder: Path) -> None:
    bench.install("stlink", failing("stlink", "NO_PROBE"))
    bench.install("pyocd", failing("pyocd", "NO_PROBE"))
    words = refused(folder)
    assert "no probe of Nucleo-F446RE found\n  at  stlink, pyocd" in words
    assert "USB cable that carries data" in words
    assert "or install another tool (openocd, stm32cubeprogrammer, probe_rs, jlink, uf2" in words
    bench.install("picotool", failing("picotool", "NO_PROBE"))
    assert "hold the BOOTSEL button" in refused(folder, board="rp2040")


def test_two_probes(bench: Bench, folder: Path) -> None:
    bench.install("stlink", failing("stlink", "SEVERAL_PROBES"))
    words = refused(folder)
    assert "stlink finds 2 probes" in words
    assert f"{SERIAL} (ST-LINK)\n       0671FF303435554157111111 (ST-LINK)" in words
    assert f"--serial-number {SERIAL}" in words
    report = flash(folder, load_board(BOARD), Wish(serial_number=SERIAL.lower()))
    assert report.probe == SERIAL
    # The chip is asked of that probe: the other one's is 0x413.
    assert "0x413" in refused(folder, Wish(serial_number="111111"))
    assert f"no probe has serial number 77\n  got  {SERIAL}" in refused(
        folder, Wish(serial_number="77")
    )


def test_two_probes_on_usb(bench: Bench, folder: Path) -> None:
    plug_in(usb.SYSFS, "0483", "ST-LINK/V3", "004600433234511233353533")
    plug_in(usb.SYSFS, "1d50", "ST-Link of another maker", "12")  # another vendor, not counted
    bench.install("openocd")
    assert "openocd finds 2 probes" in refused(folder)
    report = flash(folder, load_board(BOARD), Wish(serial_number="3533"))
    assert "-c 'adapter serial 004600433234511233353533'" in report.commands[0]


def test_two_boot_loaders_have_places_not_numbers(bench: Bench, folder: Path) -> None:
    bench.install("picotool", failing("picotool", "SEVERAL_PROBES"))
    assert "--serial-number 1:10" in refused(folder, board="rp2040")
    later = outputs("picotool")["failure"][-2]  # since 2.0 it tells RP2350 boards apart
    bench.install("picotool", later)
    assert "picotool finds 2 probes" in refused(folder, board="rp2040")
    report = flash(folder, load_board("rp2040"), Wish(serial_number="1:11"))
    assert report.commands[0].endswith("--bus 1 --address 11")


def test_usb_that_cannot_be_seen(
    bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not Linux: the tool finds its probe or says why not."""
    monkeypatch.setattr(usb, "SYSFS", tmp_path / "nothing")
    bench.install("openocd")
    report = flash(folder, load_board(BOARD), Wish())
    assert (report.runner, report.probe) == ("openocd", None)
    bench.install("stlink")  # it can tell
    assert flash(folder, load_board(BOARD), Wish()).runner == "stlink"


def test_a_dry_run_needs_neither_tool_nor_probe(bench: Bench, folder: Path) -> None:
    report = flash(folder, load_board(BOARD), Wish(dry_run=True))
    assert report.commands == (
        "openocd -f interface/stlink.cfg -f target/stm32f4x.cfg "
        "-c 'program digits/build/stm32f446/firmware.elf verify reset exit'",
    )
    assert (report.seconds, report.chip, report.probe) == (None, None, None)
    bench.install("pyocd")
    wish = Wish(dry_run=True, serial_number="12", verify=False)
    report = flash(folder, load_board(BOARD), wish)
    assert report.runner == "pyocd"  # the first that is installed
    assert report.commands == (
        "pyocd load --no-wait -t stm32f446retx -u 12 -O auto_unlock=false "
        "digits/build/stm32f446/firmware.hex",
    )
    assert report.verified is False
    assert bench.commands == []


def test_runners_of_the_board_only(bench: Bench, folder: Path) -> None:
    words = refused(folder, Wish(runner="picotool"))
    assert "'picotool' does not flash stm32f446\n  help: runners of stm32f446: openocd, " in words
    assert "'avrdude' does not flash" in refused(folder, Wish(runner="avrdude"))


def test_a_board_of_the_emulator_only() -> None:
    with pytest.raises(McugenError, match="mps2-an385 cannot be flashed") as caught:
        candidates(load_board("mps2-an385"), TOOLS, None)
    assert "--qemu" in str(caught.value)
