"""LQ-Nets end to end on the 8×8 digits: options, resume, start, and what the graph says."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from mcugen import cli
from mcugen.errors import McugenError
from mcugen.quant import Basis, LayerGrids, Uniform, calibrate, export, follow_data_, quantize_
from mcugen.train import TrainConfig, lq, method, session
from mcugen.train.models_reference import Normalize

pytest.importorskip("sklearn")
OPTIONS = lq.Options
OP = torch.ops.mcugen.quantize_basis.default


@pytest.fixture(autouse=True)
def _one_thread():
    """Sums in a fixed order, so that weights can be compared bit for bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def config(folder, **changes):
    defaults = TrainConfig("mlp", "digits", folder / "m.pt2", epochs=5, batch_size=64)
    return replace(defaults, **changes)


def program(path):
    return torch.export.load(path)


def grids_of(path):
    """(shape of the basis, offset, axis) of every op on planes; weights first, in order."""
    exported = program(path)
    tensors = dict(exported.named_parameters()) | dict(exported.named_buffers())
    names = exported.graph_signature.inputs_to_parameters | (
        exported.graph_signature.inputs_to_buffers
    )
    found = []
    for node in exported.graph.nodes:
        if node.target is OP:
            basis, offset = (tensors[names[node.args[i].name]] for i in (1, 2))
            found.append((list(basis.shape), offset, node.args[3]))
    return sorted(found, key=lambda grid: grid[2], reverse=True)


@pytest.mark.parametrize(
    ("options", "least"),
    [
        (OPTIONS(planes=1), 0.8),
        (OPTIONS(planes=2), 0.9),
        (OPTIONS(planes=3, solver="gradient"), 0.9),
        (OPTIONS(planes=2, weight_planes=1, activation_planes=3), 0.85),
        (OPTIONS(planes=2, per_channel=False), 0.85),
        (OPTIONS(planes=2, layer_planes="fc1=2/3,fc3=3"), 0.85),
        (OPTIONS(planes=2, activation="tanh"), 0.85),
        (OPTIONS(planes=2, activation="hardtanh", offset=False), 0.85),
        (OPTIONS(planes=2, offset=False), 0.8),
        (OPTIONS(planes=3, post_training=True), 0.8),
        (OPTIONS(planes=3, post_training=True, sequential=True), 0.8),
    ],
)
def test_options_train(tmp_path, options, least):
    result = lq.train(config(tmp_path, epochs=10), options)
    assert result.accuracy > least
    scores = program(result.path).module()(torch.rand(1, 1, 8, 8))
    assert scores.shape == (1, 10)


def test_what_is_exported(tmp_path):
    options = OPTIONS(planes=2, layer_planes="fc2=1/3")
    result = lq.train(config(tmp_path), options)
    want = "input u8; planes of weights/activations: fc2 1/3, fc3 2/2, others 2/u8"
    assert result.summary == want
    grids = grids_of(result.path)
    assert [shape for shape, _, _ in grids] == [[64, 2], [64, 1], [10, 2], [3], [2]]
    assert [axis for _, _, axis in grids] == [0, 0, 0, -1, -1]
    assert not any(offset.any() for _, offset, axis in grids if axis == 0)  # weights have none
    assert all(offset > 0 for _, offset, axis in grids if axis < 0)
    first = next(n for n in program(result.path).graph.nodes if "mcugen" in str(n.target))
    assert first.target is torch.ops.mcugen.quantize.default
    assert first.args[3:5] == (0, 255)


def test_the_image_on_planes_and_normalized(tmp_path):
    options = OPTIONS(planes=2, layer_planes="fc1=2/2", normalize=True, activation="tanh")
    result = lq.train(config(tmp_path, model="mlp704", epochs=10), options)
    assert result.accuracy > 0.85
    kinds = [n.target.__name__ for n in program(result.path).graph.nodes if n.op == "call_function"]
    order = [kind.split(".")[0] for kind in kinds if "basis" not in kind or kind == kinds[3]]
    assert order[:3] == ["quantize", "sub", "div"]
    grids = grids_of(result.path)
    assert [shape for shape, _, _ in grids] == [[704, 2], [10, 2], [2], [2]]
    assert not any(offset.any() for _, offset, _ in grids)  # tanh has both signs


def test_normalize_is_for_networks_with_a_place_for_it(tmp_path):
    with pytest.raises(McugenError, match="no place to normalize"):
        lq.train(config(tmp_path), OPTIONS(normalize=True))
    x = torch.rand(5, 1, 8, 8)
    torch.testing.assert_close(Normalize(0.5, 0.25)(x), 4 * x - 2)


@pytest.mark.parametrize("stopped", [1, 3, 4])
def test_resume_gives_the_weights_of_an_uninterrupted_run(tmp_path, monkeypatch, stopped):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    lq.train(config(whole), OPTIONS())
    interrupted = config(parts, checkpoint=parts / "state.pt", resume=True)
    save, saved = session.loop.Checkpoint.save, []

    def save_then_stop(self, *args):
        save(self, *args)
        saved.append(args)
        if len(saved) == stopped:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session.loop.Checkpoint, "save", save_then_stop)
        with pytest.raises(KeyboardInterrupt):
            lq.train(interrupted, OPTIONS())
    lq.train(interrupted, OPTIONS())
    a, b = (program(folder / "m.pt2").state_dict for folder in (whole, parts))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_start_takes_the_place_of_float_training(tmp_path):
    state = tmp_path / "float.pt"
    float_method = method("float")
    whole = config(tmp_path, epochs=3, checkpoint=state)
    float_method.train(whole, float_method.Options())
    only = config(tmp_path, epochs=1)
    result = lq.train(only, OPTIONS(start=state, post_training=True, planes=4))
    assert math.isnan(result.loss)
    stored = torch.load(state, weights_only=True)["model"]
    exported = program(result.path).state_dict
    assert torch.equal(exported["bn1.running_mean"], stored["bn1.running_mean"])
    tuned = lq.train(only, OPTIONS(start=state))
    assert tuned.loss > 0


def test_starts_that_do_not_fit(tmp_path):
    state = tmp_path / "state.pt"
    run = config(tmp_path, checkpoint=state)
    with pytest.raises(McugenError, match="cannot start"):
        lq.train(config(tmp_path), OPTIONS(start=state))
    lq.train(run, OPTIONS())
    with pytest.raises(McugenError, match="of a quantized stage"):
        lq.train(config(tmp_path), OPTIONS(start=state))
    lq.train(run, OPTIONS(post_training=True))
    with pytest.raises(McugenError, match="cannot start"):
        lq.train(config(tmp_path, model="lenet"), OPTIONS(start=state))
    state.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")  # a pickle that would run a program
    with pytest.raises(McugenError, match="cannot start"):
        lq.train(config(tmp_path), OPTIONS(start=state))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (OPTIONS(planes=0), "planes out of range"),
        (OPTIONS(planes=5), "planes out of range"),
        (OPTIONS(weight_planes=9), "planes out of range"),
        (OPTIONS(layer_planes="fc2=1/7"), "planes out of range"),
        (OPTIONS(layer_planes="fc9=1/1"), "no layer of this name"),
        (OPTIONS(layer_planes="fc2=x"), "layer planes are not understood"),
        (OPTIONS(layer_planes="fc2=1/"), "layer planes are not understood"),
        (OPTIONS(activation="gelu"), "no activation of this name"),
        (OPTIONS(solver="magic"), "no solver of this name"),
    ],
)
def test_wrong_options(tmp_path, options, what):
    with pytest.raises(McugenError, match=what):
        lq.train(config(tmp_path), options)
    assert list(tmp_path.iterdir()) == []


class Residual(nn.Module):
    """A user's network: functions, a sum, a pool, a depthwise layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.conv = nn.Conv2d(16, 16, 1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        self.fc = nn.Linear(16 * 16, 10)

    def forward(self, x):
        x = nn.functional.relu(self.stem(x))
        x = nn.functional.relu(x + self.bn(self.conv(nn.functional.relu(self.depthwise(x)))))
        return self.fc(nn.functional.avg_pool2d(x, 2).flatten(1))


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_any_module_learns_on_planes(tmp_path, planes):
    torch.manual_seed(0)
    data = session.loop.Samples.of(session.data.load("digits", "train"))
    model = quantize_(
        Residual(),
        Basis(planes),
        Basis(min(planes + 1, 4), offset=True),
        overrides={"stem": LayerGrids(activation=Uniform(bits=8)), "conv": LayerGrids(Basis(1))},
    )
    calibrate(model, data.x[:256].split(64))
    follow_data_(model)
    stage = session.loop.Stage("quantized", 3, 1e-2, 64, 0)
    session.loop.run_stage(model, data, data, stage, session.loop.Checkpoint(None, ""))
    assert session.loop.accuracy(model, data) > 0.7
    before = model.eval()(data.x[:50])
    assert torch.equal(model(data.x[:50]), before)
    path = export(model, data.x[:1], tmp_path / "m.pt2")
    exported = program(path).module()
    for index in range(5):
        one = data.x[index : index + 1]
        torch.testing.assert_close(exported(one), model(one), rtol=1e-4, atol=1e-5)


def test_augmented_images():
    torch.manual_seed(0)
    x = torch.arange(64.0).reshape(1, 1, 8, 8).repeat(200, 3, 1, 1) + 1
    seen = {tuple(image[0].flatten().tolist()) for image in session.loop.augmented(x)}
    assert 10 < len(seen) <= 3 * 3 * 2  # shifts by −1, 0, 1 each way, mirrored or not
    assert tuple(x[0, 0].flatten().tolist()) in seen
    assert tuple(x[0, 0].flip(1).flatten().tolist()) in seen
    image = session.loop.augmented(x)[3]
    assert torch.equal(image[0], image[2])  # channels move together


def test_augment_is_part_of_the_run(tmp_path):
    weights = []
    for augment in (False, True):
        result = lq.train(config(tmp_path, epochs=1, augment=augment), OPTIONS())
        weights.append(program(result.path).state_dict["fc3.bias"])
    assert not torch.equal(*weights)


def test_the_command_line_says_all_of_it(tmp_path):
    output = tmp_path / "m.pt2"
    words = "train lq --model mlp --data digits --epochs 2 --limit 200 --json"
    words += " --planes 1 --layer-planes fc2=2/3 --no-offset --per-tensor"
    done = CliRunner().invoke(cli.app, [*words.split(), "-o", str(output)])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["summary"].endswith("fc2 2/3, fc3 1/1, others 1/u8")
    assert printed["samples"] == 360
    grids = grids_of(output)
    assert sorted(shape for shape, _, _ in grids) == [[1], [1], [1], [2], [3]]
    assert not any(offset.any() for _, offset, _ in grids)
