"""N-level networks: pairs, the published networks, folding, AdaQuant, stages, exactness."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from mcugen import data, pipeline
from mcugen.errors import McugenError
from mcugen.quant import Uniform, adaquant_, calibrate, fold_batch_norm_, quantize_
from mcugen.quant.adaquant import layers
from mcugen.train import TrainConfig, nlevel, session, zoo

pytest.importorskip("sklearn")

#: Trainable parameters and products, as published.
PUBLISHED = {
    "cnn6": (15_598, 887_936),
    "cnn7": (16_858, 1_551_744),
    "cnn8": (29_066, 1_721_984),
    "cnn9": (40_674, 1_991_424),
    "cnn10": (315_602, 15_346_176),
}


def products(model, x):
    """Multiply-accumulates of one inference."""
    found = []

    def count(layer, inputs, output):
        found.append(output[0].numel() * layer.weight[0].numel())

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model.eval()(x)
    return sum(found)


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_published_networks(name, published):
    model = zoo.build(name, (3, 32, 32), 10)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    image = torch.rand(1, 3, 32, 32)
    assert (parameters, products(model, image)) == published
    assert model(image).shape == (1, 10)


def test_pairs_are_the_largest_whose_products_fit_a_byte():
    assert len(nlevel.PAIRS) == 19
    assert {(5, 127), (15, 37), (23, 23), (127, 5)} <= set(nlevel.PAIRS)
    for x, w in nlevel.PAIRS:
        activations, weights = (np.arange(-(n // 2), n // 2 + 1) for n in (x, w))
        assert np.abs(np.multiply.outer(activations, weights)).max() <= 127
        for wider in ((x + 2, w), (x, w + 2)):
            assert (wider[0] // 2) * (wider[1] // 2) > 127
    bits = [math.log2(x * w) / 2 for x, w in nlevel.PAIRS]
    assert round(float(np.mean(bits)), 1) == 4.6


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    """A float network for digits, its batch norms in place, and images."""
    folder = tmp_path_factory.mktemp("nlevel")
    run = session.Session.start(TrainConfig("lenet", "digits", folder / "m.pt2", epochs=4), "test")
    model = run.build()
    run.train(model, run.stage("float", 4, 4e-3))
    return model.eval(), run.train_samples.x


def test_folding_changes_nothing(lenet):
    model, images = copy.deepcopy(lenet[0]), lenet[1][:100]
    before = model(images)
    fold_batch_norm_(model, images[:2])
    assert not [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert torch.allclose(model(images), before, atol=1e-4)


def test_batch_norm_beside_another_reader_is_refused():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)
            nn.init.constant_(self.norm.weight, 2.0)

        def forward(self, x):
            y = self.conv(x)
            return y + self.norm(y)

    with pytest.raises(McugenError, match="not alone behind its layer"):
        fold_batch_norm_(Both(), torch.rand(1, 1, 2, 2))


def quantized(lenet, weights, activations):
    model, images = copy.deepcopy(lenet[0]), lenet[1][:300]
    fold_batch_norm_(model, images[:2])
    original = copy.deepcopy(model)
    weight = Uniform(levels=weights, per_channel=False)
    quantize_(model, weight, Uniform(levels=activations))
    calibrate(model, [images])
    return model, adaquant_(model, original, images, skip=("conv1", "fc2"))


@pytest.mark.parametrize(("activations", "weights"), [(23, 23), (5, 127), (127, 5)])
def test_adaquant_lowers_the_error_of_every_layer(lenet, activations, weights):
    _, errors = quantized(lenet, weights, activations)
    assert [error.name for error in errors] == ["conv2", "fc1"]
    assert all(error.after < error.before for error in errors)


def test_scales_are_odd_multiples_of_the_sums_in_front(lenet):
    first, second, third, _ = layers(quantized(lenet, 23, 23)[0])
    for before, layer in ((first, second), (second, third)):
        ratio = float(layer.input.scale) / before.sum_scale
        assert ratio == pytest.approx(round(ratio), rel=1e-6)
        assert round(ratio) % 2 == 1


def test_weights_and_biases_are_integers_of_their_grids(lenet):
    for layer in layers(quantized(lenet, 23, 23)[0]):
        level = layer.latent.detach().double() / float(layer.weight.scale)
        assert torch.allclose(level, level.round(), atol=1e-4)
        bias = layer.module.bias.detach().double() / layer.sum_scale
        assert torch.allclose(bias, bias.round(), rtol=1e-6, atol=1e-3)


def config(folder, **changes):
    return TrainConfig("lenet", "digits", folder / "m.pt2", epochs=6, **changes)


def integers(model):
    return [layer.weight(layer.latent).detach().clone() for layer in layers(model)]


@pytest.mark.parametrize("mode", ["rest", "one"])
def test_a_stage_changes_no_other_integers(tmp_path, monkeypatch, mode):
    seen = []

    def observed(run, model, stage, *rest):
        before = integers(model) if "float" not in stage.name else None
        loss = original(run, model, stage, *rest)
        if before is not None:
            same = [torch.equal(a, b) for a, b in zip(before, integers(model), strict=True)]
            seen.append(same)
        return loss

    original = session.Session.train
    monkeypatch.setattr(session.Session, "train", observed)
    monkeypatch.setattr(nlevel, "STAGE_RATE", 0.05)  # so that something changes in so few steps
    nlevel.train(config(tmp_path), nlevel.Options(mode=mode))
    assert len(seen) == 3
    for index, same in enumerate(seen):
        still = same[: index + 1] if mode == "rest" else same[:index] + same[index + 1 :]
        assert all(still)
    assert not all(all(same) for same in seen)


@pytest.mark.parametrize("pair", [(23, 23), (16, 16)])
def test_every_level_is_that_of_the_integer_program(tmp_path, pair):
    options = nlevel.Options(activation_levels=pair[0], weight_levels=pair[1])
    result = nlevel.train(config(tmp_path), options)
    assert [step.name for step in result.steps] == ["float", "min/max", "AdaQuant", "stages"]
    assert result.accuracy > result.steps[0].accuracy - 0.05
    report = pipeline.check(pipeline.load(result.path), data.load("digits", "test"), layers=True)
    assert report.mismatched_elements["interpreter_c"] == 0
    assert report.agreement["reference_c"] == 1.0
    assert {layer.equal for layer in report.layers} <= {None, 1.0}


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"activation_levels": 2}, "levels out of range"),
        ({"weight_levels": 257}, "levels out of range"),
        ({"mode": "all"}, "no mode of this name"),
        ({"stage_epochs": 0}, "below one"),
    ],
)
def test_wrong_options(tmp_path, options, what):
    with pytest.raises(McugenError, match=what):
        nlevel.train(config(tmp_path), nlevel.Options(**options))
