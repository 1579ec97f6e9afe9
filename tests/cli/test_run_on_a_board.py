"""`mcugen run`: what a person with a Nucleo sees, the board being a simulated chip or QEMU."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from serial.tools import list_ports

from mcugen import pipeline
from mcugen.build.firmware import build_firmware
from mcugen.emit.manifest import read_manifest
from mcugen.target.boards import load_board
from tests.build.images import Image
from tests.cli.conftest import BOARD, MODELS, Command
from tests.run.chip_families import FAMILIES
from tests.run.chips import Chip
from tests.run.lines import bridged
from tests.run.test_layers import planted_difference

_RUN = ("--board", BOARD, "--data", "digits", "--limit", "3")


@pytest.fixture(scope="module")
def port(built: Path) -> Iterator[str]:
    """The path of the board's port; its cycle counter goes on with every look at it."""
    board = load_board(BOARD)
    image = Image(board, read_manifest(built), build_firmware(built, board))
    with bridged(Chip(image, FAMILIES[board.mcu.family])) as path:
        yield path


def _plug_in(monkeypatch: pytest.MonkeyPatch, *paths: str) -> None:
    """ST-LINKs on `paths`, and a port that is no USB device."""
    links = [
        SimpleNamespace(
            device=path, vid=0x0483, pid=0x374B, serial_number="0667", description="STM32 STLink"
        )
        for path in paths
    ]
    other = SimpleNamespace(
        device="/dev/ttyS0", vid=None, pid=None, serial_number=None, description="n/a"
    )
    monkeypatch.setattr(list_ports, "comports", lambda: [*links, other])


def test_what_a_person_sees(
    mcugen: Command, built: Path, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plug_in(monkeypatch, port)
    answer = mcugen("run", built, *_RUN, "--port", "auto")
    assert answer.code == 0, answer.err
    first, clock, latency, *table = answer.out.splitlines()
    digest = read_manifest(built).digest[:8]
    assert f"model {digest}…, 3 samples, every output byte as on the host, accuracy " in first
    assert first.startswith(f"stm32f446 on {port}, ")
    assert re.fullmatch(r"clock 180 MHz, stack \d+ B, \d+ retries", clock)
    numbers = r"[\d.,]+ / [\d.,]+ / [\d.,]+"
    assert re.fullmatch(rf"latency {numbers} ms, cycles {numbers} \(min / median / max\)", latency)
    rows = [line.split() for line in table[2:] if line.strip()]
    assert [row[0] for row in rows] == [layer.name for layer in read_manifest(built).layers]
    assert all(int(row[1].replace(",", "")) > 0 for row in rows)


def test_several_boards_are_listed(
    mcugen: Command, built: Path, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plug_in(monkeypatch, port, "/dev/ttyACM7")
    answer = mcugen("run", built, *_RUN, "--port", "auto")
    assert answer.code == 2
    assert "2 serial ports could be Nucleo-F446RE" in answer.err
    assert port in answer.err
    assert "/dev/ttyACM7" in answer.err
    answer = mcugen("run", built, *_RUN, "--port", port)
    assert answer.code == 0, answer.err


def test_another_model_on_the_board(mcugen: Command, port: str, tmp_path: Path) -> None:
    other, board = tmp_path / "other", load_board(BOARD)
    model = pipeline.load(MODELS / "digits_resnet.pt2")
    pipeline.generate(pipeline.emitted(model, board.core, "other", board, False), other, False)
    answer = mcugen("run", other, *_RUN, "--port", port)
    assert answer.code == 2
    assert "the stm32f446 runs another model, or an older image of 'other'" in answer.err
    assert "mcugen flash DIR --board stm32f446" in answer.err


def test_an_image_for_another_board(mcugen: Command, built: Path, port: str) -> None:
    arguments = ("--board", "stm32f407", "--data", "digits", "--limit", "1", "--port", port)
    answer = mcugen("run", built, *arguments)
    assert answer.code == 2
    assert "the image was built for stm32f446, not for stm32f407" in answer.err


def test_a_difference_is_told_with_its_layer(mcugen: Command, tmp_path: Path) -> None:
    wrong = planted_difference(tmp_path / "mlp", load_board(BOARD))
    dump = tmp_path / "layers.npz"
    answer = mcugen("run", tmp_path / "mlp", *_RUN, "--qemu", "--dump", dump)
    assert answer.code == 1, answer.err
    assert "output bytes differ from the host's" in answer.out
    assert f"sample 0: first differing layer {wrong}, 1 bytes of what it stores" in answer.out
    with np.load(dump) as layers:
        assert wrong in layers
