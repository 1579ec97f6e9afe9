"""Models of MLPerf Tiny, found by $MCUGEN_MODELS, equal LiteRT in every tensor."""

import os
from pathlib import Path

import numpy as np
import pytest

from mcugen import data, pipeline
from mcugen.errors import McugenError
from mcugen.ir import ops

FOLDER = Path(os.environ.get("MCUGEN_MODELS", "/nonexistent"))
IMAGES = int(os.environ.get("MCUGEN_TFLITE_IMAGES", "40"))
RESNET = "mlperf_tiny_ic_resnet8_int8.tflite"
DSCNN = "mlperf_tiny_kws_dscnn_int8.tflite"


def model(name: str) -> pipeline.Model:
    if not (FOLDER / name).is_file():
        pytest.skip("MCUGEN_MODELS names no folder with the models of MLPerf Tiny")
    return pipeline.load(FOLDER / name)


def agrees(loaded: pipeline.Model, test: data.DataSet) -> None:
    report = pipeline.check(loaded, test, layers=True)
    assert report.reference == "LiteRT"
    assert report.mismatched_elements == {"interpreter_c": 0, "reference_c": 0}
    assert len(report.layers) == len(loaded.graph.operators)
    assert all(item.max_difference == 0 and item.c_mismatches == 0 for item in report.layers)
    assert len(set(report.accuracy.values())) == 1


def test_image_classification() -> None:
    loaded = model(RESNET)
    try:
        test = pipeline.samples("cifar10", IMAGES)
    except McugenError:
        pytest.skip("no CIFAR-10")
    agrees(loaded, test)


def test_keyword_spotting(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(-128, 128, (IMAGES, 49, 10, 1)).astype(np.int8)
    np.savez(tmp_path / "levels.npz", x=x, y=np.zeros(IMAGES, int))
    agrees(model(DSCNN), pipeline.samples(str(tmp_path / "levels.npz"), None))


def test_fast_rounding_leaves_no_rescale_and_says_what_it_changes() -> None:
    model(RESNET)
    fast = pipeline.load(FOLDER / RESNET, fast_rounding=True)
    assert not any(isinstance(node.op, ops.Rescale) for node in fast.program.nodes)
    found = pipeline.rounding(fast)
    assert found is not None
    assert (found.samples, found.elements) == (64, 640)
    assert 0 < found.differing < 0.3 * found.elements
    assert found.largest > 0
    assert pipeline.rounding(model(RESNET)) is None


@pytest.mark.parametrize(("name", "rescaled"), [(RESNET, 5), (DSCNN, 0)])
def test_one_rounding_is_proven_behind_every_relu(name: str, rescaled: int) -> None:
    """What is left are the convolutions in front of a sum, which have no activation function."""
    nodes = model(name).program.nodes
    left = [node for node in nodes if isinstance(node.op, ops.Rescale)]
    assert len(left) == rescaled
    assert all(node.op.zero > -128 for node in left if isinstance(node.op, ops.Rescale))
