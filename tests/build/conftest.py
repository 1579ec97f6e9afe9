"""The hand-written model, and its image, built once."""

import pytest

from mcugen.build.firmware import FirmwareReport, build_firmware
from mcugen.target.boards import Board, load_board
from tests.build.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def board() -> Board:
    return load_board("stm32f446")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, board: Board) -> FirmwareReport:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return build_firmware(folder, board)
