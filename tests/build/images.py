"""The hand-written model's image for every board, each built once a process."""

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mcugen.build.firmware import FirmwareReport, build_firmware
from mcugen.emit.manifest import Manifest
from mcugen.target.boards import Board, load_board
from tests.build.tiny_model import write_tiny_model

_FOLDER = tempfile.TemporaryDirectory(prefix="mcugen-images-")


@dataclass(frozen=True)
class Image:
    """A board, its image and what it was built from."""

    board: Board
    manifest: Manifest
    report: FirmwareReport


@cache
def image_for(name: str) -> Image:
    """The image for the board called `name`."""
    board = load_board(name)
    folder = Path(_FOLDER.name) / name
    manifest = write_tiny_model(folder, core=board.core.name)
    return Image(board, manifest, build_firmware(folder, board))
