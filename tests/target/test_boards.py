"""Board files: what the reference board says, and every fault of a wrong file at once."""

from pathlib import Path

import pytest

from mcugen.errors import McugenError
from mcugen.target.boards import (
    all_boards,
    boards_folder,
    load_board,
    pin_numbers,
    read_board,
)


def test_the_reference_board() -> None:
    board = load_board("stm32f446")
    assert board.core.name == "cortex-m4"
    assert board.memory.flash.wait_states == 5
    assert board.memory.flash.instruction_cache is not None
    assert board.memory.flash.instruction_cache.lines == 64
    assert board.ram_available == 131_072 - 2_048 - 2_048


def test_every_board_reads_and_cites_its_sources() -> None:
    for board in all_boards():
        for part in (board.board, board.mcu, board.clock, board.memory.flash, board.uart):
            assert part.source


def test_clock_settings_give_the_stated_clock() -> None:
    clock = load_board("stm32f446").clock
    pll = clock.settings
    for source_hz, divider in ((pll["external_hz"], "external"), (clock.fallback_hz, "internal")):
        assert source_hz // pll[f"pll_m_{divider}"] * pll["pll_n"] // pll["pll_p"] == clock.hz


def test_unknown_board_lists_the_known() -> None:
    with pytest.raises(McugenError, match=r"unknown board 'f4'\n  help: known boards: .*stm32f446"):
        load_board("f4")


def test_board_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "stm32f446.toml"
    path.write_text((boards_folder() / "stm32f446.toml").read_text())
    assert load_board(str(path)) == load_board("stm32f446")
    with pytest.raises(McugenError, match=r"cannot read board file 'none\.toml'"):
        load_board(str(tmp_path / "none.toml"))


def test_firmware_must_leave_ram(tmp_path: Path) -> None:
    text = (boards_folder() / "stm32h743.toml").read_text()
    path = tmp_path / "stm32h743.toml"
    path.write_text(text.replace("size = 131_072", "size = 4_096"))
    with pytest.raises(McugenError, match="the firmware keeps more RAM than the board has"):
        read_board(path)


def test_all_faults_of_a_file_come_together(tmp_path: Path) -> None:
    text = (boards_folder() / "stm32f446.toml").read_text()
    for old, new in (
        ('core = "cortex-m4"', 'core = "cortex-m9"'),
        ("fpu = true", 'fpu = "yes"'),
        ('rx = "PA3"', 'rx = "PA3"\nbuad = 9600'),
        ('tx = "PA2"', 'tx = "A2"'),
        ("[qemu]", "[qmu]"),
        ("wait_states = 5", "wait_states = -5"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "stm32f446.toml"
    path.write_text(text)
    with pytest.raises(McugenError) as caught:
        read_board(path)
    places = {fault.at for fault in caught.value.faults}
    assert places == {
        *("mcu.core", "mcu.fpu", "uart.buad", "uart.tx", "qmu", "memory.flash.wait_states")
    }
    assert "unknown core 'cortex-m9'; known: cortex-m0" in str(caught.value)


def test_not_toml_and_wrong_name(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("[board\n")
    with pytest.raises(McugenError, match=r"cannot read board file 'other\.toml'"):
        read_board(path)
    path.write_text((boards_folder() / "stm32f446.toml").read_text())
    with pytest.raises(McugenError, match="board name and file name differ"):
        read_board(path)


def test_pins() -> None:
    assert pin_numbers("PA2") == (0, 2)
    assert pin_numbers("PK15") == (10, 15)
    assert pin_numbers("P0.06") == (0, 6)
    assert pin_numbers("P1.31") == (1, 31)
    assert pin_numbers("GP29") == (0, 29)
    for wrong in ("PA16", "A2", "PL1", "PA", "P2.01", "P0.32", "P0", "GP30", "GP", "PA2 "):
        with pytest.raises(ValueError, match="is no pin"):
            pin_numbers(wrong)
