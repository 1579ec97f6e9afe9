"""Helpers of the lowering tests: tiny quantized modules, lowered and compared with PyTorch."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import mcugen
from mcugen.frontend.exported import load
from mcugen.frontend.graph import ExportedGraph
from mcugen.ir import Program, interp
from mcugen.quant import ops as _ops  # noqa: F401 - registers the quantizer ops
from mcugen.run.reference import Reference


class Quantize(nn.Module):
    """A uniform quantizer with fixed parameters."""

    def __init__(self, scale: float | list[float], zero: int, lo: int, hi: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("zero", torch.full_like(self.scale, zero, dtype=torch.int64))
        self.lo, self.hi = lo, hi
        self.axis = 1 if isinstance(scale, list) else -1

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mcugen.quantize(x, self.scale, self.zero, self.lo, self.hi, self.axis)


class Binarize(nn.Module):
    """A binary quantizer with fixed parameters."""

    def __init__(self, basis: float, offset: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("basis", torch.tensor([basis]))
        self.register_buffer("offset", torch.tensor(offset))

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mcugen.quantize_basis(x, self.basis, self.offset, -1)


class QuantizedWeight(nn.Module):
    """Wraps a convolution or linear layer: its weight goes through a per-channel quantizer."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, bits: int = 8) -> None:
        super().__init__()
        torch.nn.utils.parametrize.register_parametrization(
            layer, "weight", _WeightGrid(layer.weight.detach(), bits)
        )
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class _WeightGrid(nn.Module):
    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        rows = weight.flatten(1)
        if bits == 1:
            self.register_buffer("scale", rows.abs().mean(1, keepdim=True))
            self.register_buffer("zero", torch.zeros(len(rows)))
        else:
            self.register_buffer("scale", rows.abs().amax(1) / (2 ** (bits - 1) - 1))
            self.register_buffer("zero", torch.zeros(len(rows), dtype=torch.int64))

    def forward(self, w: Tensor) -> Tensor:
        if self.bits == 1:
            return torch.ops.mcugen.quantize_basis(w, self.scale, self.zero, 0)
        top = 2 ** (self.bits - 1) - 1
        return torch.ops.mcugen.quantize(w, self.scale, self.zero, -top, top, 0)


def conv(inputs: int, outputs: int, size: int, bits: int = 8, **options: object) -> QuantizedWeight:
    return QuantizedWeight(nn.Conv2d(inputs, outputs, size, **options), bits)  # type: ignore[arg-type]


def linear(inputs: int, outputs: int, bits: int = 8) -> QuantizedWeight:
    return QuantizedWeight(nn.Linear(inputs, outputs), bits)


def pixels() -> Quantize:
    return Quantize(1 / 255, 0, 0, 255)


def randomize_norms(module: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norms as after training: negative gains among them."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            for tensor, scale, shift in (
                (part.weight.data, 1.0, 0.2),
                (part.bias.data, 0.5, 0.0),
                (part.running_mean, 0.3, 0.0),
            ):
                assert tensor is not None
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale + shift)
            assert part.running_var is not None
            part.running_var.copy_(torch.rand(part.running_var.shape, generator=generator) + 0.1)
    return module


def lowered(
    module: nn.Module, shape: tuple[int, ...], folder: Path
) -> tuple[ExportedGraph, Program]:
    """`module` exported and lowered."""
    path = mcugen.export(module.eval(), torch.zeros(1, *shape), folder / "model.pt2")
    return load(path)


def levels_of(program: Program, name: str, real: np.ndarray) -> np.ndarray:
    """PyTorch's real values as the integers (or codes) of the program's value."""
    meaning = program.values[name].meaning
    assert meaning is not None
    memory = program.values[name].type.shape
    if real.ndim != 4 and len(memory) == 4:  # flattened in PyTorch, still an image in memory
        real = real.reshape(len(real), memory[3], *memory[1:3])
    if real.ndim == 4:
        real = real.transpose(0, 2, 3, 1)
    q = (real - np.array(meaning.offset)) / np.array(meaning.scale) + meaning.zero
    assert np.abs(q - np.rint(q)).max() < 1e-3
    return np.rint(q).astype(np.int64)


def final_values(program: Program) -> dict[str, str]:
    """Node of the graph → the last value that carries its grid (a pool may stand behind)."""
    found = {}
    for name, value in program.values.items():
        if value.meaning and value.source and "quantize" in value.source.node:
            found[value.source.node] = name
    return found


def assert_agrees(module: nn.Module, shape: tuple[int, ...], folder: Path, samples: int = 8) -> Program:
    """Every quantized tensor equals PyTorch's in float64, and the output to its last bit."""
    torch.manual_seed(0)
    graph, program = lowered(module, shape, folder)
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (samples, *shape)) / 255
    nodes = final_values(program)
    outputs, captured = Reference(graph).run(x, capture=tuple(nodes))
    meaning = program.inputs[0].meaning
    assert meaning is not None
    kind = program.inputs[0].type
    q = np.clip(np.floor(x / meaning.scale[0] + meaning.zero + 0.5), kind.integer.lo, kind.integer.hi)
    q = q.transpose(0, 2, 3, 1) if q.ndim == 4 else q
    values = interp.trace(program, q.astype(np.int64))
    for node, name in nodes.items():
        got = values[name][0] if values[name].dtype == np.int8 else values[name]
        want = levels_of(program, name, captured[node])
        np.testing.assert_array_equal(got.reshape(len(x), -1), want.reshape(len(x), -1), node)
    final = program.values[program.output]
    assert final.meaning is not None
    real = np.array(final.meaning.scale) * (values[program.output] - final.meaning.zero)
    if real.ndim == 4:
        real = real.transpose(0, 3, 1, 2)
    if program.output_function is None:
        np.testing.assert_allclose(real, outputs[0], atol=float(np.max(final.meaning.scale)) * 0.51)
    else:
        assert (real.argmax(1) == outputs[0].argmax(1)).all()
    return program
