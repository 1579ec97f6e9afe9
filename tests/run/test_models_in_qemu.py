"""Trained models all the way: archive, program, C, image, QEMU; and the interpreter's numbers."""

from pathlib import Path

import numpy as np
import pytest

from mcugen.build.firmware import build_firmware
from mcugen.emit import emit, write
from mcugen.emit.encoding import decode_output, encode_input
from mcugen.frontend.exported import load
from mcugen.ir import interp
from mcugen.passes import optimize
from mcugen.run.qemu import open_qemu
from mcugen.run.target import run_on
from mcugen.target.boards import load_board

_MODELS = Path(__file__).parents[1] / "models"


@pytest.mark.parametrize("name", ["digits_mlp", "digits_dscnn", "lenet_binary"])
def test_outputs_equal_the_interpreters(name: str, tmp_path: Path) -> None:
    board = load_board("stm32f446")
    program = optimize(load(_MODELS / f"{name}.pt2")[1])
    emitted = emit(program, board.core, name, board=board.name)
    write(tmp_path, emitted)
    report = build_firmware(tmp_path, board)
    manifest = emitted.manifest
    source = manifest.input
    random = np.random.default_rng(17)
    samples = random.integers(source.lo, source.hi + 1, (4, *source.shape[1:]))
    with open_qemu(board, report.elf) as device:
        run = run_on(device, manifest, encode_input(source, samples))
    outputs = decode_output(manifest.output, run.outputs.view(np.uint8))
    np.testing.assert_array_equal(outputs, interp.run(program, samples))
    assert run.stack_bytes <= report.stack.bytes
    write(tmp_path, emitted)  # the images beside the sources are no strangers
