"""A trained model's image, and what the interpreter makes of a few samples."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcugen.build.firmware import build_firmware
from mcugen.emit import emit, write
from mcugen.emit.encoding import decode_output, encode_input
from mcugen.frontend.exported import load
from mcugen.ir import Program, interp
from mcugen.passes import optimize
from mcugen.run.device import Device
from mcugen.run.target import run_on
from mcugen.target.boards import load_board
from tests.build.images import Image

_MODELS = Path(__file__).parents[1] / "models"


@dataclass(frozen=True)
class Trained:
    """An image with the model's input levels and the outputs that belong to them."""

    image: Image
    samples: np.ndarray
    expected: np.ndarray

    def agrees(self, device: Device) -> bool:
        """Whether `device` computes every element as the interpreter does."""
        manifest = self.image.manifest
        run = run_on(device, manifest, encode_input(manifest.input, self.samples))
        outputs = decode_output(manifest.output, run.outputs.view(np.uint8))
        return np.array_equal(outputs, self.expected)


def trained(model: str, board_name: str, folder: Path) -> Trained:
    """tests/models/`model`.pt2 for the board called `board_name`, built in `folder`."""
    return image_of(optimize(load(_MODELS / f"{model}.pt2")[1]), model, board_name, folder)


def image_of(program: Program, name: str, board_name: str, folder: Path) -> Trained:
    """The image of a program, and two samples for it."""
    board = load_board(board_name)
    emitted = emit(program, board.core, name, board=board.name)
    write(folder, emitted)
    source = emitted.manifest.input
    random = np.random.default_rng(23)
    samples = random.integers(source.lo, source.hi + 1, (2, *source.shape[1:]))
    image = Image(board, emitted.manifest, build_firmware(folder, board))
    return Trained(image, samples, interp.run(program, samples))
