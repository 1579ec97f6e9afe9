"""ResNets and the U-Net on few levels: converted, generated, and the same on the host."""

import numpy as np
import pytest
import torch

from mcugen import pipeline
from mcugen.data import DataSet
from mcugen.quant import export
from mcugen.train import models_large, nlevel, zoo


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet18", 11_689_512), ("resnet34", 21_797_672)]
)
def test_resnets_are_those_of_torchvision(name, parameters):
    with torch.device("meta"):
        model = zoo.build(name, (3, 224, 224), 1000)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    names = model.state_dict().keys()
    assert {"conv1.weight", "layer2.0.downsample.1.running_mean", "layer4.1.bn2.bias"} <= names


def test_the_unet_is_the_published_one():
    with torch.device("meta"):
        model = models_large.UNet()
    assert sum(parameter.numel() for parameter in model.parameters()) == 7_763_041
    image = torch.rand(1, 3, 32, 32)
    assert models_large.UNet(features=2)(image).shape == (1, 1, 32, 32)


SMALL = {
    "resnet": (models_large.LargeResNet((2, 1, 1, 1), (3, 64, 64), 10, width=4), 64),
    "unet": (models_large.UNet(features=4), 32),
}


@pytest.mark.parametrize("name", SMALL)
def test_narrow_ones_compute_the_same_on_the_host(tmp_path, name):
    """Random weights, whose batch norms have seen the samples."""
    model, side = SMALL[name]
    torch.manual_seed(0)
    samples = torch.rand(24, 3, side, side)
    model.train()
    for _ in range(20):
        model(samples)
    steps = list(nlevel.post_training_(model.eval(), samples, nlevel.Options()))
    assert steps == ["min/max", "AdaQuant"]
    path = tmp_path / f"{name}.pt2"
    export(model, samples[:1], path)
    loaded = pipeline.load(path)
    x = np.random.default_rng(0).random((8, 3, side, side), dtype=np.float32)
    report = pipeline.check(loaded, DataSet("random", x, np.zeros(8, np.int64), 10), layers=True)
    assert report.mismatched_elements["interpreter_c"] == 0
    assert all(layer.c_mismatches == 0 for layer in report.layers)
    shared = [layer for layer in report.layers if layer.equal is not None]
    assert min(layer.equal for layer in shared) > 0.99
    assert max(layer.max_difference for layer in shared) <= 1
