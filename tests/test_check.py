"""PyTorch, the integer program, C on the host and C in QEMU agree on real images."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from mcugen import pipeline
from mcugen.build.firmware import build_firmware
from mcugen.check import CheckReport
from mcugen.ir.program import Meaning
from mcugen.run.samples import Boundary
from mcugen.target.boards import load_board

MODELS = Path(__file__).parent / "models"
BOARD = "stm32f446"
IMAGES = 10_000
QEMU_IMAGES = 40

needs_mnist = pytest.mark.skipif(
    not (Path(os.environ.get("MCUGEN_DATA", "/nowhere")) / "mnist").is_dir(),
    reason="MNIST is not in $MCUGEN_DATA",
)


def agrees(report: CheckReport) -> None:
    assert report.mismatched_elements["interpreter_c"] == 0
    assert report.agreement["interpreter_c"] == 1
    assert report.agreement["reference_c"] >= 0.999
    assert abs(report.accuracy["reference"] - report.accuracy["c"]) <= 0.0005


@needs_mnist
@pytest.mark.parametrize(("name", "accuracy"), [("lenet_mixed", 0.985), ("lenet_w8a8", 0.985)])
def test_all_of_mnist(name: str, accuracy: float) -> None:
    """The whole test set, in less than half a minute."""
    model, test = pipeline.load(MODELS / f"{name}.pt2"), pipeline.samples("mnist", None)
    began = time.process_time()
    report = pipeline.check(model, test, layers=False)
    took = time.process_time() - began
    agrees(report)
    assert report.samples == IMAGES
    assert report.elements == 10 * IMAGES
    assert report.accuracy["c"] >= accuracy
    assert took < 30  # processor seconds: other work stretches the wall clock only


@needs_mnist
@pytest.mark.parametrize("name", ["lenet_mixed", "lenet_w4a4", "lenet_binary"])
def test_every_layer(name: str) -> None:
    model, test = pipeline.load(MODELS / f"{name}.pt2"), pipeline.samples("mnist", 300)
    report = pipeline.check(model, test, layers=True)
    assert report.mismatched_elements["interpreter_c"] == 0
    assert report.first_difference is None
    compared = [item for item in report.layers if item.equal is not None]
    assert len(compared) >= 4
    for item in compared:
        assert item.equal >= 0.999, item
        if name != "lenet_w4a4":
            assert item.equal == 1, item
    assert {item.name for item in report.layers if item.c_mismatches} == set()


@pytest.mark.parametrize("name", ["digits_mlp", "digits_dscnn", "digits_resnet"])
def test_digits(name: str) -> None:
    test = pipeline.samples("digits", None)
    report = pipeline.check(pipeline.load(MODELS / f"{name}.pt2"), test, layers=True)
    assert report.first_difference is None
    assert report.agreement["interpreter_c"] == 1
    assert report.agreement["reference_c"] >= 0.99


@needs_mnist
def test_qemu_gives_the_hosts_bytes(tmp_path: Path) -> None:
    board, model = load_board(BOARD), pipeline.load(MODELS / "lenet_mixed.pt2")
    pipeline.generate(
        pipeline.emitted(model, board.core, None, board, False), tmp_path / "out", False
    )
    build_firmware(tmp_path / "out", board)
    report = pipeline.run(tmp_path / "out", board, None, pipeline.samples("mnist", QEMU_IMAGES))
    assert (report.samples, report.mismatched_bytes, report.retries) == (QEMU_IMAGES, 0, 0)
    assert report.accuracy > 0.9
    assert report.cycles is None


def test_pixels_are_what_the_input_ranges_over() -> None:
    x = np.array([[0, 1, 1 / 255]], np.float32)
    of_bytes, of_shares = (
        Boundary((1, 3), -128, 127, Meaning((scale,), -128)) for scale in (1.0, 1 / 255)
    )
    assert of_bytes.levels(of_bytes.taken(x)).tolist() == [[-128, 127, -127]]
    assert of_shares.taken(x) is x


def test_int8_samples_are_levels_in_memory_order() -> None:
    boundary = Boundary((1, 2, 1, 3), -128, 127, Meaning((0.37,), 5))
    x = np.arange(-6, 6, dtype=np.int8).reshape(2, 1, 3, 2)
    assert (boundary.levels(boundary.taken(x)) == x).all()


def test_boundary_is_the_quantizer_of_the_input() -> None:
    """Real numbers to levels and back, images to the order of memory."""
    model = pipeline.load(MODELS / "lenet_mixed.pt2")
    meaning = model.program.values[model.program.inputs[0].name].meaning
    assert meaning is not None
    boundary = Boundary((1, 2, 1, 2), 0, 255, meaning)
    x = np.array([[[[0.0, 1.0]], [[0.75, 2.0]]]])
    levels = boundary.levels(x)
    assert levels.shape == (1, 1, 2, 2)
    assert levels.ravel().tolist() == [0, 191, 255, 255]  # beyond the interval: clamped
    back = boundary.real(levels)
    assert back.shape == x.shape
    assert np.abs(back - np.clip(x, 0, 1)).max() <= 0.5 / 255


@needs_mnist
@pytest.mark.parametrize("name", ["lenet_qdq", "lenet_qoperator"])
def test_onnx_on_all_of_mnist(name: str) -> None:
    """The class is ONNX Runtime's on 99.9 % of the images, the accuracy nearly the float's."""
    model, test = pipeline.load(MODELS / f"{name}.onnx"), pipeline.samples("mnist", None)
    report = pipeline.check(model, test, layers=False)
    agrees(report)
    assert report.reference == "ONNX Runtime"
    assert report.accuracy["c"] >= 0.985


@pytest.mark.parametrize("name", ["digits_resnet_qdq", "digits_dscnn_qdq"])
def test_onnx_in_every_layer(name: str) -> None:
    model, test = pipeline.load(MODELS / f"{name}.onnx"), pipeline.samples("digits", None)
    report = pipeline.check(model, test, layers=True)
    agrees(report)
    assert report.first_difference is None
    compared = [item for item in report.layers if item.max_difference is not None]
    assert len(compared) >= 10
    assert compared[-1].max_difference in (0, 1)
    for item in compared:  # what is a tie in float32 moves what is computed from it
        assert item.equal is not None
        assert item.equal >= 0.997, item
