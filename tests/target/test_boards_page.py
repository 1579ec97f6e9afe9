"""docs/boards.md: its table is what the board files say, and its walk-through's board works."""

import re
from pathlib import Path

import numpy as np
import pytest

from mcugen.build.firmware import build_firmware
from mcugen.run.device import Device, Timing
from mcugen.run.qemu import open_qemu
from mcugen.run.target import run_on
from mcugen.target.boards import Board, all_boards, load_board
from tests.build.images import Image
from tests.build.tiny_model import expected_outputs, random_inputs, write_tiny_model
from tests.run.chip_families import FAMILIES
from tests.run.chips import Chip

PAGE = (Path(__file__).parents[2] / "docs" / "boards.md").read_text()
_TIMING = Timing(reply_s=20, attempts=2, run_s=60)


def _row(board: Board) -> str:
    """The columns that the board's file decides; the serial port's words only end as it says."""
    ram, flash = board.ram_available // 1024, board.memory.flash.size // 1024
    facts = (board.core.name, f"{board.clock.hz / 1e6:g} MHz", f"{flash} KB", f"{ram} KB")
    return f"| `{board.name}` {board.board.title} | {' | '.join(facts)} | "


def _has_run(board: Board) -> str:
    places = (("QEMU", board.qemu is not None), ("chip", board.mcu.family in FAMILIES))
    return ", ".join(place for place, runs in places if runs)


@pytest.mark.parametrize("board", all_boards(), ids=lambda board: board.name)
def test_table_says_what_the_files_say(board: Board) -> None:
    (line,) = [item for item in PAGE.splitlines() if item.startswith(_row(board))]
    *_, port, has_run, _ = (cell.strip() for cell in line.split("|"))
    assert has_run == _has_run(board)
    assert port.startswith("USB: ") == bool(board.board.usb and not board.mcu.uf2_family)
    if board.uart.tx:
        assert port.endswith(f"{board.uart.tx} and {board.uart.rx}")


def test_no_row_is_of_another_board() -> None:
    assert len(re.findall(r"^\| `", PAGE, re.MULTILINE)) == len(all_boards())


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The walk-through's board from the page's own text, by its path, and an image for it."""
    folder = tmp_path_factory.mktemp("walk-through")
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = folder / "stm32f411.toml"
    path.write_text(text)
    board = load_board(str(path))
    manifest = write_tiny_model(folder / "model", core=board.core.name)
    return Image(board, manifest, build_firmware(folder / "model", board))


def test_walk_through_builds_and_runs_in_qemu(image: Image) -> None:
    inputs = random_inputs(3)
    with open_qemu(image.board, image.report.elf) as device:
        run = run_on(device, image.manifest, inputs)
    np.testing.assert_array_equal(run.outputs, expected_outputs(inputs))
    assert run.identity.board == "stm32f411"


def test_walk_through_reaches_its_clock(image: Image) -> None:
    chip = Chip(image, FAMILIES[image.board.mcu.family])
    with Device(chip, _TIMING, emulated=True) as device:
        identity = device.identify()
        assert identity.clock_hz == chip.core_hz == 100_000_000
        assert abs(chip.baud / image.board.uart.baud - 1) < 0.01
    assert chip.faults == []
