"""Models as PyTorch exports and ONNX Runtime quantizes them, against ONNX Runtime."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime.quantization import QuantFormat, QuantType

from mcugen import pipeline
from mcugen.data import DataSet
from mcugen.run.samples import input_boundary
from tests.frontend.lowering import randomize_norms
from tests.frontend.onnx.exported import IMAGE, FakeQuantized, Residual, export, quantize

SAMPLES = 40


@pytest.fixture(scope="module")
def float_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    module = randomize_norms(Residual())
    return export(module, IMAGE, tmp_path_factory.mktemp("onnx") / "float.onnx")


def images(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *IMAGE)) / 255


@pytest.mark.parametrize("form", list(QuantFormat), ids=lambda form: form.name)
@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize(
    ("activation", "weight", "symmetric"),
    [
        (QuantType.QUInt8, QuantType.QInt8, False),
        (QuantType.QUInt8, QuantType.QUInt8, False),
        (QuantType.QInt8, QuantType.QInt8, False),
        (QuantType.QInt8, QuantType.QInt8, True),
    ],
    ids=["u8s8", "u8u8", "s8s8", "s8s8_symmetric"],
)
def test_every_way_to_quantize(
    float_model: Path,
    tmp_path: Path,
    form: QuantFormat,
    per_channel: bool,
    activation: QuantType,
    weight: QuantType,
    symmetric: bool,
) -> None:
    if form is QuantFormat.QOperator and activation is QuantType.QInt8:
        pytest.skip("ONNX Runtime has no QGemm for this type")
    path = quantize(
        float_model,
        tmp_path / "model.onnx",
        images(8, 0),
        form,
        activation,
        weight,
        per_channel,
        ActivationSymmetric=symmetric,
    )
    agrees(path)


def test_fake_quantization_as_pytorch_exports_it(tmp_path: Path) -> None:
    torch.manual_seed(4)
    agrees(export(FakeQuantized(), IMAGE, tmp_path / "model.onnx"), layers=2)


def agrees(path: Path, layers: int = 6) -> None:
    """No level of any tensor is further than one from ONNX Runtime's, and C is the program."""
    model = pipeline.load(path)
    shape = input_boundary(model.program).torch_shape
    x = np.random.default_rng(1).integers(0, 256, (SAMPLES, *shape[1:])) / 255
    test = DataSet("random", x, np.zeros(SAMPLES, np.int64), tuple("0123456789"))
    report = pipeline.check(model, test, layers=True)
    assert report.reference == "ONNX Runtime"
    assert report.mismatched_elements["interpreter_c"] == 0
    assert report.first_difference is None
    assert report.agreement["reference_c"] >= 0.999
    compared = [item for item in report.layers if item.max_difference is not None]
    assert len(compared) >= layers
    for item in compared:
        assert item.max_difference is not None
        assert item.max_difference <= 1, item
        assert item.equal is not None
        assert item.equal >= 0.995, item
