"""The float64 reference gives what PyTorch gives for the module itself."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcugen.errors import McugenError
from mcugen.frontend.archive import read_archive
from mcugen.frontend.graph import ExportedGraph
from mcugen.run.reference import Reference
from tests.frontend.nets import NETS, make, save


def samples(count: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (count, *shape))


def graph_of(module: nn.Module, shape: tuple[int, ...], folder: Path) -> ExportedGraph:
    return read_archive(save(module, shape, folder / "m.pt2"))


@pytest.mark.parametrize("name", ["convolutional", "residual"])
def test_equals_the_module_in_float64(name: str, tmp_path: Path) -> None:
    shape = NETS[name][1]
    reference = Reference(graph_of(make(name), shape, tmp_path))
    x = samples(7, shape)
    (found,), _ = reference.run(x)
    module = make(name).double()
    # One at a time: the modules have sizes with a batch of 1 in their code.
    want = torch.cat([module(torch.from_numpy(one[None])) for one in x]).detach().numpy()
    assert found.dtype == np.float64
    assert found.shape == want.shape
    np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-14)


def test_equals_a_quantized_module_in_float64(tmp_path: Path) -> None:
    shape = NETS["quantized"][1]
    graph = graph_of(make("quantized"), shape, tmp_path)
    names = [node.outputs[0] for node in graph.nodes if "quantize" in node.target]
    assert len(names) == 6
    x = samples(50, shape)
    (found,), captured = Reference(graph).run(x, tuple(names))
    want = make("quantized").double()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-13)
    assert captured["fake_quantize_per_tensor_affine"].shape == (50, 4, 4, 4)
    assert captured["quantize_1"].shape == (4, 2, 3, 3)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("planes", [0, 1, 2, 5])
def test_quantizers_equal_those_of_training_bit_for_bit(
    axis: int, planes: int, tmp_path: Path
) -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            count = () if axis < 0 else (6,)
            self.register_buffer("steps", torch.rand(count) * 0.1 + 0.01)
            self.register_buffer("zeros", torch.randint(-3, 4, count))
            self.register_buffer("basis", torch.rand(*count, max(planes, 1)))

        def forward(self, x: Tensor) -> Tensor:
            if planes:
                return torch.ops.mcugen.quantize_basis(x, self.basis, self.steps, axis)
            return torch.ops.mcugen.quantize(x, self.steps, self.zeros, -8, 7, axis)

    module = One()
    x = samples(200, (6, 3))
    (found,), _ = Reference(graph_of(module, (6, 3), tmp_path)).run(x)
    np.testing.assert_array_equal(found, module.double()(torch.from_numpy(x)).numpy())


def test_a_tie_follows_the_contract_of_each_quantizer(tmp_path: Path) -> None:
    class Ties(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            step, zero = torch.tensor(1.0), torch.tensor(1)
            up = torch.ops.mcugen.quantize(x, step, zero, -9, 9, -1)
            even = torch.fake_quantize_per_tensor_affine(x, 1.0, 1, -9, 9)
            lower = torch.ops.mcugen.quantize_basis(x, torch.tensor([0.5]), torch.tensor(0.0), -1)
            return torch.cat((up, even, lower), 1)

    x = np.array([[-1.5, -0.5, 0.0, 0.5, 1.5, 2.5]])
    (found,), _ = Reference(graph_of(Ties(), (6,), tmp_path)).run(x)
    up, even, lower = found.reshape(3, 6)
    assert up.tolist() == [-1, 0, 0, 1, 2, 3]
    assert even.tolist() == [-2, 0, 0, 0, 2, 2]
    assert lower.tolist() == [-0.5, -0.5, -0.5, 0.5, 0.5, 0.5]


def test_reads_the_quantize_and_dequantize_ops_of_pt2e(tmp_path: Path) -> None:
    import torch.ao.quantization.fx._decomposed  # registers the ops

    ops = torch.ops.quantized_decomposed

    class Decomposed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.randint(-127, 128, (3, 4)).to(torch.int8))
            self.register_buffer("steps", torch.tensor([0.25, 0.5, 0.125]))
            self.register_buffer("zeros", torch.zeros(3, dtype=torch.int64))

        def forward(self, x: Tensor) -> Tensor:
            limits = (-128, 127, torch.int8)
            x = ops.dequantize_per_tensor(
                ops.quantize_per_tensor(x, 0.25, 3, *limits), 0.25, 3, *limits
            )
            weight = ops.dequantize_per_channel(self.weight, self.steps, self.zeros, 0, *limits)
            y = nn.functional.linear(x, weight)
            y = ops.quantize_per_channel(y, self.steps, self.zeros, 1, *limits)
            return ops.dequantize_per_channel(y, self.steps, self.zeros, 1, *limits)

    x = np.round(samples(40, (4,)) * 64) / 64  # exact in float32, with ties
    module = Decomposed()
    (found,), _ = Reference(graph_of(module, (4,), tmp_path)).run(x)
    want = module(torch.from_numpy(x.astype(np.float32))).numpy()
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("zeros", [[1, 0, -3], [0.5, -1.25, 3.0]])
def test_fake_quantization_per_channel_rounds_as_pytorch_does(
    zeros: list[float], tmp_path: Path
) -> None:
    class Channels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("steps", torch.tensor([0.25, 0.5, 2.0]))
            dtype = torch.float32 if isinstance(zeros[0], float) else torch.int32
            self.register_buffer("zeros", torch.tensor(zeros, dtype=dtype))

        def forward(self, x: Tensor) -> Tensor:
            return torch.fake_quantize_per_channel_affine(x, self.steps, self.zeros, 1, -9, 8)

    x = np.round(samples(90, (3, 4)) * 32) / 16  # exact in float32, with ties
    module = Channels()
    (found,), _ = Reference(graph_of(module, (3, 4), tmp_path)).run(x)
    want = module(torch.from_numpy(x.astype(np.float32))).numpy()
    np.testing.assert_array_equal(found, want)


def test_captures_intermediate_values_before_they_are_overwritten(tmp_path: Path) -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            nn.functional.relu(y, inplace=True)
            return y + 1

    graph = graph_of(InPlace(), (3,), tmp_path)
    x = samples(1200, (3,))  # three batches
    (found,), captured = Reference(graph).run(x, ("mul", "relu_", "x"))
    np.testing.assert_array_equal(captured["mul"], 2 * x)
    np.testing.assert_array_equal(captured["relu_"], np.maximum(2 * x, 0))
    np.testing.assert_array_equal(captured["x"], x)
    np.testing.assert_array_equal(found, np.maximum(2 * x, 0) + 1)


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: x.permute(1, 0),
        lambda x: x.t(),
        lambda x: x.reshape(4, 1),
        lambda x: x.flatten(),
        lambda x: torch.cat((x, x), 0),
        lambda x: x.softmax(0),
        lambda x: x.mean(),
        lambda x: x.argmax(),
        lambda x: x.unsqueeze(0),
        lambda x: x.squeeze(),
        lambda x: x.select(0, 0),
        lambda x: x + torch.ones(3, 1),
        lambda x: x.unsqueeze(1) + torch.ones(2, 1, 1, 1),
        lambda x: torch.matmul(x, x.t()),
    ],
)
def test_refuses_operations_that_mix_samples(mix, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    class Mixing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return mix(x).relu()

    with pytest.raises(McugenError, match=r"mixes samples|reference does not know"):
        Reference(graph_of(Mixing(), (4,), tmp_path))


def test_names_every_operation_that_is_not_allowed(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cumsum(torch.special.erfcx(x), 1)

    with pytest.raises(McugenError) as caught:
        Reference(graph_of(Odd(), (4,), tmp_path))
    assert [fault.got for fault in caught.value.faults] == [
        "aten.special_erfcx.default",
        "aten.cumsum.default",
    ]
    assert "test_reference.py:" in str(caught.value)


def test_refuses_wrong_samples_and_unknown_values(tmp_path: Path) -> None:
    reference = Reference(graph_of(nn.Linear(4, 2), (4,), tmp_path))
    for wrong in (np.zeros((2, 5)), np.zeros(4), np.zeros((0, 4))):
        with pytest.raises(McugenError, match="samples have the wrong shape"):
            reference.run(wrong)
    with pytest.raises(McugenError, match="no such value"):
        reference.run(np.zeros((1, 4)), ("nothing",))


def test_refuses_arguments_that_pytorch_refuses(tmp_path: Path) -> None:
    graph = graph_of(nn.Sequential(nn.Linear(4, 2), nn.ReLU()), (4,), tmp_path)
    first = replace(graph.nodes[0], arguments={**graph.nodes[0].arguments, "extra": 1})
    with pytest.raises(McugenError, match="PyTorch refuses"):
        Reference(replace(graph, nodes=(first, *graph.nodes[1:]))).run(np.zeros((1, 4)))


def test_says_how_to_install_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(nn.Linear(4, 2), (4,), tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(McugenError, match=r"pip install 'mcugen\[train\]'"):
        Reference(graph)


def test_leaves_the_number_of_threads_as_it_was(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    Reference(graph_of(nn.Linear(4, 2), (4,), tmp_path)).run(np.zeros((3, 4)))
    assert torch.get_num_threads() == before
