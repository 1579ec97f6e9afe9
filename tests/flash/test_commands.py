"""The command lines of every tool on every board.

To accept a change: GOLDEN=update .venv/bin/pytest tests/flash/test_commands.py; review the diff.
"""

import os
from pathlib import Path

import pytest

from mcugen.errors import McugenError
from mcugen.flash import TOOLS
from mcugen.target.boards import all_boards, boards_folder, load_board, read_board
from tests.flash.conftest import BOARD, BY_NAME, SERIAL, commands, job

GOLDEN = Path(__file__).parent / "commands.txt"


def whole() -> str:
    """All command lines: how the chip is asked, how the image is written."""
    lines = []
    for board in all_boards():
        for name in board.flash.runners if board.flash else ():
            made = job(board)
            tool = BY_NAME[name]
            lines.append(f"{board.name} {name}")
            if tool.chip and made.settings.chip:
                lines.append(f"? {tool.chip(made)}")
            lines += [f"  {command}" for command in commands(tool, made)]
    return "\n".join(lines) + "\n"


def test_every_command_line(user: str) -> None:
    if os.environ.get("GOLDEN") == "update":
        GOLDEN.write_text(whole(), encoding="utf-8")
    assert whole().splitlines() == GOLDEN.read_text(encoding="utf-8").splitlines()


IMAGE = f"digits/build/{BOARD}/firmware"


@pytest.mark.parametrize(
    ("name", "probe", "verify", "expected"),
    [
        (
            "openocd",
            None,
            True,
            "openocd -f interface/stlink.cfg -f target/stm32f4x.cfg "
            f"-c 'program {IMAGE}.elf verify reset exit'",
        ),
        (
            "openocd",
            SERIAL,
            False,
            f"openocd -f interface/stlink.cfg -c 'adapter serial {SERIAL}' "
            f"-f target/stm32f4x.cfg -c 'program {IMAGE}.elf reset exit'",
        ),
        ("stlink", None, False, f"st-flash --reset write {IMAGE}.bin 0x08000000"),
        (
            "stlink",
            SERIAL,
            True,
            f"st-flash --serial {SERIAL} --reset write {IMAGE}.bin 0x08000000",
        ),
        (
            "pyocd",
            "12",
            False,
            f"pyocd load --no-wait -t stm32f446retx -u 12 -O auto_unlock=false {IMAGE}.hex",
        ),
        (
            "stm32cubeprogrammer",
            SERIAL,
            True,
            f"STM32_Programmer_CLI -c port=SWD sn={SERIAL} -w {IMAGE}.elf -v -rst",
        ),
        ("uf2", "/media/me/NOD_F446RE1", True, f"cp {IMAGE}.bin /media/me/NOD_F446RE1/\nsync"),
        (
            "stm32flash",
            "/dev/ttyUSB3",
            False,
            f"stm32flash -b 115200 -w {IMAGE}.bin -g 0x0 /dev/ttyUSB3",
        ),
    ],
)
def test_probe_and_verify(name: str, probe: str | None, verify: bool, expected: str) -> None:
    made = job(load_board(BOARD), probe, verify)
    assert "\n".join(commands(BY_NAME[name], made)) == expected


def test_probes_of_other_boards() -> None:
    pico = job(load_board("rp2040"), "1:10", verify=False)
    assert commands(BY_NAME["picotool"], pico) == [
        "picotool load -x digits/build/rp2040/firmware.uf2 --bus 1 --address 10"
    ]
    kit = job(load_board("nrf52840"), "001050278255")
    (text,) = commands(BY_NAME["jlink"], kit)
    assert text.splitlines()[:7] == [
        "cat > digits/build/nrf52840/flash.jlink <<'END'",
        "loadfile digits/build/nrf52840/firmware.hex",
        "verifybin digits/build/nrf52840/firmware.bin, 0x00000000",
        *("r", "g", "exit", "END"),
    ]
    assert "-USB 001050278255 -Device nRF52840_xxAA" in text


def test_a_folder_with_a_space() -> None:
    board = load_board(BOARD)
    assert board.flash is not None
    made = job(board)
    spaced = type(made)(board, board.flash, Path("my digits"), None, True)
    (openocd,) = commands(BY_NAME["openocd"], spaced)
    assert openocd.endswith("-c 'program my\\ digits/firmware.elf verify reset exit'")
    assert "'\"'\"'" in commands(BY_NAME["pyocd"], spaced)[1]
    assert 'loadfile "my digits/firmware.hex"' in commands(BY_NAME["jlink"], spaced)[0]


def test_a_probe_cannot_give_orders() -> None:
    """A serial number comes from the device, and OpenOCD's commands are a program."""
    made = job(load_board(BOARD), 'x[exec reboot]$y;{"')
    (step,) = BY_NAME["openocd"].steps(made)
    assert step.argv[4] == r"adapter serial x\[exec\ reboot\]\$y\;\{\""


def test_every_runner_is_a_tool_and_every_tool_a_runner() -> None:
    used = {name for board in all_boards() if board.flash for name in board.flash.runners}
    assert used == {tool.name for tool in TOOLS} == BY_NAME.keys()


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ('"pyocd", ', "", "pyocd"),
        ('[flash.jlink]\ndevice = "STM32F446RE"', "", "jlink"),
    ],
)
def test_a_runner_and_its_table_belong_together(
    old: str, new: str, name: str, tmp_path: Path
) -> None:
    text = (boards_folder() / f"{BOARD}.toml").read_text()
    assert old in text
    path = tmp_path / f"{BOARD}.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(McugenError, match=rf"'{name}' needs both a place in runners and a table"):
        read_board(path)
