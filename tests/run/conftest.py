"""The hand-written model's image, built once for the tests that run it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from mcugen.build.firmware import build_firmware
from mcugen.emit.manifest import Manifest
from mcugen.target.boards import Board, load_board
from tests.build.tiny_model import write_tiny_model


@dataclass(frozen=True)
class Tiny:
    """The image, its manifest, its board, and the bound of its stack in bytes."""

    elf: Path
    manifest: Manifest
    board: Board
    stack_bytes: int


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("tiny")
    manifest = write_tiny_model(folder)
    board = load_board("stm32f446")
    report = build_firmware(folder, board)
    return Tiny(report.elf, manifest, board, report.stack.bytes)
