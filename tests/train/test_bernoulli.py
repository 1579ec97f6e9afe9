"""Bernoulli layers and networks, straight-through networks, and what is exported of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mcugen import cli, pipeline
from mcugen.errors import McugenError
from mcugen.ir import interp
from mcugen.quant import export
from mcugen.train import TrainConfig, bernoulli, loop, method, ste
from mcugen.train.bernoulli.layers import (
    BernoulliSums,
    BernoulliWeights,
    MathExpectation,
    UncentredNorm,
    Unit,
)
from mcugen.train.bernoulli.network import BernoulliNetwork, BinaryNetwork
from mcugen.train.models_binary import OUTLINES, SIDE, Bits, LayerShape, weigh

CONVOLUTION = LayerShape("conv1", 2, 4, 3, 2)
LINEAR = LayerShape("fc1", 9, 5)
DIGITS = (1, 28, 28)
FEW_EPOCHS = 7  # one for each of six phases, and one more


def network(seed=0, normal=False):
    torch.manual_seed(seed)
    shapes = OUTLINES["bits4k"].layers(DIGITS, 10)
    return BernoulliNetwork(shapes, "approx1", normal, 1)


def binary_network(seed=0):
    """A network whose random weights are binary."""
    net = network(seed).eval()
    net.begin_([layer.shape.name for layer in net.layers()], 1, 1, False)
    net.end_()
    return net


def images(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *DIGITS), generator=generator) / 255


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """scikit-learn's digits, three times as large, on 28×28."""
    datasets = pytest.importorskip("sklearn.datasets")
    found = datasets.load_digits()
    large = np.kron(found.images / 16, np.ones((3, 3)))
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    padded = np.pad(large, ((0, 0), (2, 2), (2, 2)))
    np.savez(path, x=padded.astype(np.float32), y=found.target)
    return path


def config(folder, data, **changes):
    defaults = TrainConfig("bits4k", str(data), folder / "m.pt2", epochs=FEW_EPOCHS, limit=300)
    return replace(defaults, **changes)


def test_the_outline_is_the_published_one():
    layers = OUTLINES["bits4k"].layers(DIGITS, 10)
    counts = [layer.terms * layer.outputs for layer in layers]
    assert counts == [288, 25_600, 2_048, 5_120, 800]
    assert sum(counts) == 33_856
    assert [layer.terms for layer in layers] == [36, 800, 32, 64, 80]
    assert sum(s.terms * s.outputs for s in OUTLINES["bits8k"].layers(DIGITS, 10)) <= 8 * 8192


@pytest.mark.parametrize("shape", [CONVOLUTION, LINEAR])
@pytest.mark.parametrize("gradient", ["approx1", "autograd"])
def test_a_layer_is_the_sum_of_its_terms(shape, gradient):
    torch.manual_seed(0)
    layer = BernoulliSums(shape, gradient)
    x = torch.rand(3, 2, 7, 9) if shape.kernel else torch.rand(3, 9)
    z = layer(x)
    assert z.shape == weigh(shape, x, torch.zeros(shape.weights)).shape
    draws = torch.zeros_like(z)
    for _ in range(400):
        bits = torch.bernoulli(x) * 2 - 1
        weights = torch.bernoulli(layer.weight).t().reshape(shape.weights) * 2 - 1
        draws += weigh(shape, bits, weights) >= 0
    assert (draws / 400 - z).abs().max() < 0.15
    assert (draws / 400 - z).abs().mean() < 0.03


@pytest.mark.parametrize("shape", [CONVOLUTION, LINEAR])
def test_a_binary_layer_counts_as_the_distribution_does(shape):
    torch.manual_seed(1)
    layer = BernoulliSums(shape, "approx1")
    layer.binarize_()
    x = torch.randint(0, 2, (5, 2, 9, 9) if shape.kernel else (64, 9)).float()
    assert torch.equal(layer(x), layer.exact(x))
    assert set(layer.weight.flatten().tolist()) <= {0.0, 1.0}


def test_the_surest_weights_freeze_first_and_stay():
    torch.manual_seed(0)
    layer = BernoulliWeights(LINEAR)
    before = layer.weight.detach().clone()
    layer.freeze_(0.4)
    assert int(layer.frozen.sum()) == 18
    assert (before - 0.5).abs()[layer.frozen].min() >= (before - 0.5).abs()[~layer.frozen].max()
    kept = layer.weight[layer.frozen].detach().clone()
    assert torch.equal(kept, before[layer.frozen].round())
    with torch.no_grad():
        layer.weight += 0.05 * torch.randn_like(layer.weight)
    layer.settle_(0.5)
    assert torch.equal(layer.weight[layer.frozen], kept)
    assert layer.weight.min() >= 0
    assert layer.weight.max() <= 1
    layer.freeze_(0.6)
    assert int(layer.frozen.sum()) == 27


def test_polarization_moves_away_from_a_half():
    layer = BernoulliWeights(LINEAR)
    before = layer.weight.detach() - 0.5
    layer.settle_(0.1)
    assert torch.allclose(layer.weight - 0.5, 1.1 * before, atol=1e-6)


def test_the_norm_keeps_a_half_where_it_is():
    norm = UncentredNorm(3, momentum=1.0)
    z = torch.rand(64, 3, 2, 2)
    u = norm(z)
    assert torch.equal(u >= 0, z >= 0.5)
    assert torch.allclose((u**2).mean((0, 2, 3)), torch.ones(3), atol=1e-3)
    assert torch.allclose(norm.eval()(z), u)


def test_a_cold_unit_is_binary():
    torch.manual_seed(0)
    unit = Unit(BernoulliSums(LINEAR, "approx1")).eval()
    unit.sums.freeze_(1)
    unit.warm.temperature.fill_(0.0)
    x = torch.randint(0, 2, (32, 9)).float()
    cold = unit(x)
    unit.sums.binarize_()
    assert torch.allclose(cold, unit(x), atol=1e-6)


def test_the_scores_of_certain_bits_are_the_sums():
    layer = MathExpectation(LINEAR)
    layer.binarize_()
    x = torch.randint(0, 2, (4, 9)).float()
    assert torch.equal(layer(x), weigh(LINEAR, 2 * x - 1, layer.signs()))


def test_bits_are_the_centre_of_the_image():
    x = torch.zeros(1, *DIGITS)
    x[0, 0, 14, 14], x[0, 0, 2, 2], x[0, 0, 3, 3] = 128 / 255, 1.0, 127 / 255
    seen = Bits().eval()(x)
    assert seen.shape == (1, 1, SIDE, SIDE)
    assert torch.argwhere(seen[0, 0] > 0).tolist() == [[0, 0], [12, 12]]
    assert set(seen.flatten().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize(("shift", "places"), [(0, 1), (1, 9)])
def test_in_training_the_cut_shifts(shift, places):
    x = torch.zeros(1, *DIGITS)
    x[0, 0, 14, 14] = 1
    torch.manual_seed(0)
    bits = Bits(shift)
    seen = {tuple(torch.argwhere(bits(x)[0, 0] > 0)[0].tolist()) for _ in range(60)}
    assert len(seen) == places
    assert all(abs(row - 12) <= shift and abs(column - 12) <= shift for row, column in seen)


def test_phases_share_the_epochs():
    shapes = OUTLINES["bits4k"].layers(DIGITS, 10)
    for schedule in ("parts", "layers"):
        found = bernoulli.phases(shapes, 44, schedule)
        assert [name for phase in found for name in phase.names] == [s.name for s in shapes]
        assert sum(phase.epochs for phase in found) == 44
        assert max(found, key=lambda phase: phase.epochs).names == ("conv2",)
    soft, rest = bernoulli.phases(shapes, 44, "all")
    assert (soft.names, len(rest.names)) == ((), 5)
    assert soft.epochs + rest.epochs == 44
    with pytest.raises(McugenError, match="too few epochs"):
        bernoulli.phases(shapes, 5, "parts")


def test_a_phase_cools_and_freezes_its_layer_before_it_ends():
    net = network()
    first, second = net.units()[:2]
    net.begin_(["conv1"], 5, 4, True)
    frozen = []
    for _ in range(20):
        net.after_step_()
        frozen.append(float(first.sums.frozen.float().mean()))
    assert frozen[3::4] == sorted(frozen[3::4])
    assert 0.5 < frozen[3] < 0.6
    assert frozen[15] == frozen[19] == 1
    assert float(first.warm.temperature) == pytest.approx(0.05)
    assert float(second.warm.temperature) == 1
    assert not second.sums.frozen.any()
    net.end_()
    assert first.sums.binary
    assert not any(parameter.requires_grad for parameter in first.parameters())
    assert second.sums.weight.requires_grad


def test_the_export_has_the_networks_bits(tmp_path):
    """Distributions, integers and program."""
    net = binary_network(3)
    x = images(40)
    hidden = (net.bits(x) + 1) / 2
    for unit in net.units():
        assert torch.equal(unit.sums.exact(hidden), unit.sums(hidden))
        hidden = unit(hidden)
    expected = net.scores(hidden)
    exported = BinaryNetwork(net).eval()
    assert torch.equal(exported(x), expected)
    path = export(exported, x[:1], tmp_path / "bits.pt2")
    program = pipeline.load(path).program
    levels = (x * 255).round().long().permute(0, 2, 3, 1).numpy()
    values = interp.trace(program, levels)
    assert np.array_equal(values[program.output], expected.long().numpy())
    bits = {v.shape[2:]: v[0] for v in values.values() if v.ndim > 2 and v.dtype == np.int8}
    assert np.array_equal(bits[80,], 2 * hidden.numpy() - 1)


def test_every_gradient_and_schedule_trains(digits, tmp_path):
    runs = [{"gradient": "precise"}, {"schedule": "layers"}, {"schedule": "all", "normal": True}]
    for index, options in enumerate(runs):
        output = tmp_path / f"{index}.pt2"
        result = bernoulli.train(
            config(tmp_path, digits, output=output, limit=64), bernoulli.Options(**options)
        )
        assert output.exists()
        assert 0 < result.accuracy <= 1


def test_it_learns(digits, tmp_path):
    run = config(tmp_path, digits, epochs=12, limit=1200, batch_size=64)
    result = bernoulli.train(run, bernoulli.Options(normal=True))
    assert result.accuracy > 0.7
    assert "33856 weights, 4232 bytes" in result.summary


@pytest.mark.parametrize("stopped", [1, 4])
def test_resume_gives_the_weights_of_an_uninterrupted_run(digits, tmp_path, monkeypatch, stopped):
    options = bernoulli.Options(normal=True)
    bernoulli.train(config(tmp_path, digits, output=tmp_path / "whole.pt2"), options)
    parts = config(tmp_path, digits, checkpoint=tmp_path / "state.pt", resume=True)
    save, saved = loop.Checkpoint.save, []

    def save_then_stop(self, *args):
        save(self, *args)
        saved.append(args)
        if len(saved) == stopped:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.Checkpoint, "save", save_then_stop)
        with pytest.raises(KeyboardInterrupt):
            bernoulli.train(parts, options)
    bernoulli.train(parts, options)
    a, b = (torch.export.load(tmp_path / name).state_dict for name in ("whole.pt2", "m.pt2"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("gradient", ["clipped", "identity"])
def test_straight_through_learns_and_agrees_with_its_program(digits, tmp_path, gradient):
    run = config(tmp_path, digits, epochs=10, limit=1200, batch_size=64, learning_rate=0.03)
    result = ste.train(run, ste.Options(gradient))
    assert result.accuracy > 0.7
    report = pipeline.check(pipeline.load(result.path), pipeline.samples(str(digits), 50), True)
    assert report.agreement["interpreter_c"] == 1
    assert report.mismatched_elements["interpreter_c"] == 0
    assert report.agreement["reference_interpreter"] == 1


def test_the_clipped_gradient_stops_outside_of_one():
    shapes = OUTLINES["bits4k"].layers(DIGITS, 10)
    x = torch.tensor([-1.5, -0.5, 0.0, 0.5, 1.5], requires_grad=True)
    for gradient, expected in (("clipped", [0, 1, 1, 1, 0]), ("identity", [1] * 5)):
        net = ste.StraightNetwork(shapes, ste.Options(gradient))
        found = net._straight(x, gradient)
        assert found.tolist() == [-1, -1, -1, 1, 1]
        assert torch.autograd.grad(found.sum(), x)[0].tolist() == expected


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("bernoulli", {"gradient": "clipped"}, "no gradient of this name"),
        ("bernoulli", {"schedule": "some"}, "no schedule of this name"),
        ("bernoulli", {"shift": 3}, "shift out of range"),
        ("ste", {"gradient": "approx1"}, "no gradient of this name"),
        ("ste", {"shift": -1}, "shift out of range"),
    ],
)
def test_wrong_options_are_named(tmp_path, name, options, words):
    chosen = method(name)
    with pytest.raises(McugenError, match=words):
        chosen.train(config(tmp_path, "digits"), chosen.Options(**options))


@pytest.mark.parametrize("name", ["bernoulli", "ste"])
def test_other_networks_and_small_images_are_refused(tmp_path, name):
    chosen = method(name)
    with pytest.raises(McugenError, match="trains other networks"):
        chosen.train(config(tmp_path, "digits", model="lenet"), chosen.Options())
    with pytest.raises(McugenError, match="too small"):
        chosen.train(config(tmp_path, "digits"), chosen.Options())


def test_the_command_line_knows_both(digits, tmp_path):
    shared = ["--model", "bits4k", "--data", str(digits), "--limit", "32", "--shift", "0"]
    for arguments in (
        ["bernoulli", "--epochs", "6", "--gradient", "approx2", "--schedule", "parts", "--normal"],
        ["ste", "--epochs", "1", "--gradient", "identity"],
        ["float", "--epochs", "1"],
    ):
        used = shared[:-2] if arguments[0] == "float" else shared
        output = tmp_path / f"{arguments[0]}.pt2"
        done = CliRunner().invoke(cli.app, ["train", *arguments, *used, "-o", str(output)])
        assert done.exit_code == 0, done.output
        assert output.exists()
