"""Training end to end on the 8×8 digits: accuracy, resume, options, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from mcugen.errors import McugenError
from mcugen.quant import Uniform
from mcugen.train import METHODS, MODELS, TrainConfig, loop, method, session, uniform, zoo

pytest.importorskip("sklearn")
OPTIONS = uniform.Options
#: The others need larger images, or much time, and have tests of their own.
ANY_SIZE = tuple(
    name for name in MODELS if not name.startswith(("bits", "cnn", "resnet1", "resnet3"))
)


@pytest.fixture(autouse=True)
def _one_thread():
    """Sums in a fixed order, so that weights can be compared bit for bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def config(folder, **changes):
    return replace(TrainConfig("mlp", "digits", folder / "m.pt2", epochs=2), **changes)


def weights(path):
    return torch.export.load(path).state_dict


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", ANY_SIZE)
def test_one_epoch_is_better_than_chance(tmp_path, name):
    result = uniform.train(config(tmp_path, model=name, epochs=1, batch_size=32), OPTIONS())
    assert result.samples == 360
    assert result.accuracy > (0.8 if name == "mlp" else 0.5)
    module = torch.export.load(result.path).module()
    x = session.data.load("digits").x[:1]
    assert module(torch.from_numpy(x)).shape == (1, 10)


def test_float_has_no_quantizers(tmp_path):
    module = method("float")
    result = module.train(config(tmp_path), module.Options())
    assert result.accuracy > 0.8
    assert "mcugen" not in str(torch.export.load(result.path).graph)


def test_all_methods_have_the_same_interface():
    for name in METHODS:
        assert callable(method(name).train)
        method(name).Options()  # every option has a default
    assert tuple(zoo.ZOO) == MODELS
    with pytest.raises(McugenError, match="no training method"):
        method("magic")


@pytest.mark.parametrize(
    "options",
    [
        OPTIONS(bits=1),
        OPTIONS(bits=2, per_channel=False),
        OPTIONS(levels=23),
        OPTIONS(weight_bits=3, activation_bits=5),
        OPTIONS(bits=4, post_training=True),
        OPTIONS(layer_bits="fc2=1/1", first_bits=4, last_bits=6),
    ],
)
def test_options_train(tmp_path, options):
    result = uniform.train(config(tmp_path, epochs=4, batch_size=64), options)
    assert result.accuracy > 0.75


@pytest.mark.parametrize("stopped", [1, 2, 3])
def test_resume_gives_the_weights_of_an_uninterrupted_run(tmp_path, monkeypatch, stopped):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    uniform.train(config(whole, epochs=4), OPTIONS(bits=4))
    interrupted = config(parts, epochs=4, checkpoint=parts / "state.pt", resume=True)
    save, saved = loop.Checkpoint.save, []

    def save_then_stop(self, *args):
        save(self, *args)
        saved.append(args)
        if len(saved) == stopped:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.Checkpoint, "save", save_then_stop)
        with pytest.raises(KeyboardInterrupt):
            uniform.train(interrupted, OPTIONS(bits=4))
    assert [p.name for p in parts.iterdir()] == ["state.pt"]
    uniform.train(interrupted, OPTIONS(bits=4))
    assert equal(weights(whole / "m.pt2"), weights(parts / "m.pt2"))


def test_seeds_decide_the_weights(tmp_path):
    runs = []
    for seed in (0, 0, 1):
        uniform.train(config(tmp_path, seed=seed, epochs=1, limit=300), OPTIONS())
        runs.append(weights(tmp_path / "m.pt2"))
    assert equal(runs[0], runs[1])
    assert not equal(runs[0], runs[2])


def test_a_checkpoint_of_another_run_or_a_damaged_one(tmp_path):
    state = tmp_path / "state.pt"
    first = config(tmp_path, epochs=1, limit=200, checkpoint=state, resume=True)
    uniform.train(first, OPTIONS())
    with pytest.raises(McugenError, match="belongs to another run"):
        uniform.train(first, OPTIONS(bits=4))
    with pytest.raises(McugenError, match="belongs to another run"):
        uniform.train(replace(first, seed=1), OPTIONS())
    state.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")  # a pickle that would run a program
    with pytest.raises(McugenError, match="cannot resume"):
        uniform.train(first, OPTIONS())


def test_a_teacher_changes_the_weights_and_is_heard(tmp_path):
    state = tmp_path / "teacher.ckpt"
    method("float").train(config(tmp_path, checkpoint=state), method("float").Options())
    pupil = config(tmp_path, model="lenet", epochs=1, output=tmp_path / "pupil.pt2")
    trained = []
    for teacher in (None, state):
        method("float").train(replace(pupil, teacher=teacher), method("float").Options())
        trained.append(weights(pupil.output))
    assert not equal(*trained)


def test_a_run_is_not_resumed_under_another_teacher(tmp_path):
    teachers = [tmp_path / f"{seed}.ckpt" for seed in (0, 1)]
    for seed, file in enumerate(teachers):
        method("float").train(
            config(tmp_path, epochs=1, seed=seed, checkpoint=file), method("float").Options()
        )
    pupil = config(tmp_path, epochs=1, checkpoint=tmp_path / "pupil.ckpt", teacher=teachers[0])
    method("float").train(pupil, method("float").Options())
    with pytest.raises(McugenError, match="belongs to another run"):
        method("float").train(
            replace(pupil, teacher=teachers[1], resume=True), method("float").Options()
        )


def test_the_loss_falls_where_a_pupil_agrees_with_its_teacher():
    said = torch.tensor([[4.0, 0.0, 0.0]])
    samples = loop.Samples(torch.zeros(1, 1), torch.tensor([0]), said)
    assert samples.loss(said) < samples.loss(torch.tensor([[4.0, 3.0, 0.0]]))
    plain = replace(samples, taught=None)
    assert plain.loss(said) == torch.nn.functional.cross_entropy(said, samples.y)


def test_a_teacher_that_is_none(tmp_path):
    state = tmp_path / "other.ckpt"
    method("float").train(
        config(tmp_path, epochs=1, checkpoint=state), method("float").Options("tanh")
    )
    for file in (state, tmp_path / "missing.ckpt"):
        with pytest.raises(McugenError, match="cannot learn from this teacher"):
            method("float").train(config(tmp_path, teacher=file), method("float").Options())


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"model": "alexnet"}, "no model of this name"),
        ({"data": "imagenet"}, "no data set of this name"),
        ({"output": Path("m.onnx")}, "not a .pt2"),
        ({"output": Path("/nowhere/m.pt2")}, "no such folder"),
        ({"epochs": 0}, "epochs below one"),
        ({"batch_size": 1}, "batch norm needs"),
        ({"resume": True}, "no checkpoint to resume from"),
        ({"learning_rate": -1.0}, "learning rate is not positive"),
        ({"learning_rate": 1e30}, "loss is not a number"),
    ],
)
def test_wrong_configurations(tmp_path, changes, what):
    with pytest.raises(McugenError, match=what):
        uniform.train(config(tmp_path, **changes), OPTIONS())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (OPTIONS(bits=9), "bits out of range"),
        (OPTIONS(weight_bits=0), "bits out of range"),
        (OPTIONS(levels=1), "levels out of range"),
        (OPTIONS(layer_bits="fc9=4/4"), "no layer of this name"),
        (OPTIONS(layer_bits="fc2=4/"), "layer bits are not understood"),
        (OPTIONS(layer_bits="fc2=-4/4"), "layer bits are not understood"),
    ],
)
def test_wrong_options(tmp_path, options, what):
    with pytest.raises(McugenError, match=what):
        uniform.train(config(tmp_path), options)


def test_plan_of_a_mixed_network():
    plan = uniform.make_plan("lenet", OPTIONS(bits=4, layer_bits="fc1=1/2"))
    grids = {n: (g.weight.bits, g.activation.bits) for n, g in plan.layers.items()}
    assert grids == {"conv1": (8, 8), "conv2": (4, 4), "fc1": (1, 2), "fc2": (4, 4)}
    binary = uniform.make_plan("lenet", OPTIONS(bits=1))
    grids = {n: (g.weight.bits, g.activation.bits) for n, g in binary.layers.items()}
    assert grids == {"conv1": (8, 8), "conv2": (1, 1), "fc1": (1, 1), "fc2": (8, 8)}
    assert binary.binary_input("fc1")
    assert not binary.binary_input("fc2")
    assert isinstance(plan.weight, Uniform)


def test_a_plan_in_words():
    text = uniform.describe(uniform.make_plan("lenet", OPTIONS(bits=4)))
    assert text == "input u8; bits of weights/activations: conv1 8/8, others 4/4"
    text = uniform.describe(uniform.make_plan("mlp", OPTIONS(levels=23, first_bits=8)))
    assert text.endswith("fc1 8/8, others (23 levels)/(23 levels)")
    text = uniform.describe(uniform.make_plan("lenet", OPTIONS()))
    assert text.endswith("all layers 8/8")


def test_schedule_rises_then_falls():
    values = [loop.schedule(t / 100) for t in range(101)]
    assert values[0] == 0
    assert max(values) == pytest.approx(1)
    assert values[-1] == pytest.approx(0)
    assert values[5:] == sorted(values[5:], reverse=True)


def test_an_image_too_small():
    with pytest.raises(McugenError, match="too small for lenet"):
        zoo.build("lenet", (1, 3, 8), 10)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("name", ANY_SIZE)
def test_zoo_shapes(name, shape):
    model = zoo.build(name, shape, 7).eval()
    assert model(torch.rand(2, *shape)).shape == (2, 7)
    assert zoo.layer_names(name) == [
        n for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    ]


def test_accuracy_counts_the_whole_set_and_keeps_the_mode():
    x = torch.eye(4).repeat(300, 1)
    samples = loop.Samples(x, x.argmax(1))
    model = nn.Identity().train()
    assert loop.accuracy(model, samples) == 1.0
    assert model.training
    assert loop.accuracy(model, loop.Samples(x, torch.zeros(1200, dtype=torch.int64))) == 0.25
