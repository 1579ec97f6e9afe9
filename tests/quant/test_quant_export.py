"""`.pt2` files: what is in the graph, that it computes the same, and what is refused."""

import hashlib
import zipfile

import pytest
import torch
from torch import nn

import mcugen
from mcugen.errors import McugenError
from mcugen.quant import Uniform, calibrate, quantize_
from mcugen.quant.ops import quantize, quantize_basis

X = torch.rand(32, 1, 12, 12, generator=torch.Generator().manual_seed(1))


def make_model(weight, activation):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.Hardtanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(54, 5),
    )
    quantize_(model, weight, activation)
    calibrate(model, [X])
    return model


def load(path):
    return torch.export.load(path)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("per_channel", [True, False])
def test_round_trip_computes_the_same(tmp_path, bits, per_channel):
    model = make_model(Uniform(bits=bits, per_channel=per_channel), Uniform(bits=bits))
    path = mcugen.export(model, X[:1], tmp_path / "m.pt2")
    with torch.no_grad():
        assert torch.equal(load(path).module()(X[:1]), model.eval()(X[:1]))


def test_graph_holds_the_ops_and_the_layers(tmp_path):
    path = mcugen.export(make_model(Uniform(bits=4), Uniform(bits=1)), X[:1], tmp_path / "m.pt2")
    nodes = load(path).graph.nodes
    names = [str(node.target) for node in nodes if node.op == "call_function"]
    assert names == [
        "mcugen.quantize.default",
        "mcugen.quantize.default",
        "mcugen.quantize_basis.default",  # the first layer asked for binary pixels
        "aten.conv2d.default",
        "aten.batch_norm.default",
        "aten.hardtanh.default",
        "aten.max_pool2d.default",
        "mcugen.quantize.default",
        "mcugen.quantize_basis.default",
        "aten.conv2d.default",
        "aten.relu.default",
        "aten.flatten.using_ints",
        "mcugen.quantize.default",
        "mcugen.quantize_basis.default",
        "aten.linear.default",
    ]


def test_ops_round_trip_in_float64_with_all_arguments(tmp_path):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([0.1, 0.2], dtype=torch.float64))
            self.register_buffer("zero", torch.tensor([3, -4]))
            self.basis = nn.Parameter(torch.tensor([0.3, 1.0], dtype=torch.float64))
            self.register_buffer("offset", torch.tensor(0.25, dtype=torch.float64))

        def forward(self, x):
            x = quantize(x, self.scale, self.zero, -8, 7, 1)
            return quantize_basis(x, self.basis, self.offset, -1)

    x = torch.randn(1, 2, 5, dtype=torch.float64)
    path = mcugen.export(Both(), x, tmp_path / "m.pt2")
    assert torch.equal(load(path).module()(x), Both()(x))
    assert load(path).module()(x).dtype == torch.float64


def test_weights_are_stored_on_their_grid_and_the_model_is_left_alone(tmp_path):
    model = make_model(Uniform(bits=4), Uniform(bits=4)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    path = mcugen.export(model, X[:1], tmp_path / "m.pt2")
    assert model.training
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    stored = load(path).state_dict
    name = "4.parametrizations.weight.original"
    assert torch.equal(stored[name], model[4].weight)
    assert not torch.equal(stored[name], before[name])


def test_nothing_is_pickled_and_bytes_repeat(tmp_path):
    digests = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        model = make_model(Uniform(bits=8), Uniform(bits=8))
        path = mcugen.export(model, X[:1], tmp_path / folder / "m.pt2")
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
        with zipfile.ZipFile(path) as archive:
            pickles = [n for n in archive.namelist() if n.endswith((".pt", ".pkl"))]
            assert [len(archive.read(n)) for n in pickles] == [0]
    assert len(digests) == 1


def test_batches_names_and_folders_are_checked(tmp_path):
    model = make_model(Uniform(bits=8), Uniform(bits=8))
    for example, path, what in [
        (X[:2], "m.pt2", "not a batch of one"),
        (X[0, 0, 0], "m.pt2", "not a batch of one"),
        (X[:1], "m.onnx", r"not a \.pt2"),
        (X[:1], "no/m.pt2", "no such folder"),
    ]:
        with pytest.raises(McugenError, match=what):
            mcugen.export(model, example, tmp_path / path)
    assert list(tmp_path.iterdir()) == []


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Nonzero(nn.Module):
    def forward(self, x):
        return x[x > 0]


@pytest.mark.parametrize("model", [Branching(), Nonzero()])
def test_shapes_and_branches_that_depend_on_data(tmp_path, model):
    with pytest.raises(McugenError, match=r"cannot trace|depends on the data"):
        mcugen.export(model, X[:1], tmp_path / "m.pt2")


def test_uncalibrated_models_are_refused_in_their_own_words(tmp_path):
    model = quantize_(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)))
    with pytest.raises(McugenError, match="no scale yet"):
        mcugen.export(model, torch.rand(1, 4), tmp_path / "m.pt2")


def test_an_interrupt_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.pt2"
    path.write_bytes(b"old")

    def interrupted(program, name):
        name.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.export, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mcugen.export(make_model(Uniform(bits=8), Uniform(bits=8)), X[:1], path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["m.pt2"]
