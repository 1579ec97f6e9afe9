"""The benchmark's models are what they stand for, and its recorded figures still hold."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcugen import pipeline
from mcugen.plan.steps import fuse
from scripts import bench, bench_models
from tests.frontend.tflite.agreement import assert_equal_to_litert


@pytest.mark.parametrize("name", bench_models.WRITTEN)
def test_as_many_multiplications_as_published(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(bench_models.WRITTEN[name]())
    macs = sum(step.macs for step in fuse(pipeline.load(path).program).steps)
    assert macs == bench_models.PEERS[name].macs


@pytest.mark.parametrize("make", [bench_models.autoencoder, bench_models.wake_word])
def test_equal_to_litert(make: Callable[[], bytes], tmp_path: Path) -> None:
    assert_equal_to_litert(make(), tmp_path, np.random.default_rng(0), count=4)


@pytest.mark.parametrize(
    ("model", "core"),
    [
        ("AD autoencoder", "cortex-m4"),
        ("streaming wake word", "cortex-m4"),
        ("digits_mlp", "cortex-m0plus"),
    ],
)
def test_recorded_figures_hold(model: str, core: str, tmp_path: Path) -> None:
    """What makes a model faster or smaller records it: `scripts/bench TEXT --save`."""
    (job,) = (job for job in bench.jobs(tmp_path) if (job.model, job.core.name) == (model, core))
    assert job.measure(tmp_path / "generated") == bench.baseline()[model, core]
