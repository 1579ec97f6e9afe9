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
from mcugen.run.samples import (
    captured_nodes,
    classes,
    input_boundary,
    output_boundary,
    program_levels,
    torch_levels,
)


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


class OnBasis(nn.Module):
    """A quantizer onto ± the entries of a basis, with fixed parameters; one entry is binary."""

    def __init__(self, *basis: float, offset: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("basis", torch.tensor(basis))
        self.register_buffer("offset", torch.tensor(offset))

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mcugen.quantize_basis(x, self.basis, self.offset, -1)


class QuantizedWeight(nn.Module):
    """Wraps a convolution or linear layer: its weight goes through a per-channel quantizer."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, bits: int = 8, planes: int = 0) -> None:
        super().__init__()
        grid: nn.Module = _WeightGrid(layer.weight.detach(), bits)
        if planes:
            grid = _WeightBases(layer.weight.detach(), planes)
        torch.nn.utils.parametrize.register_parametrization(layer, "weight", grid)
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Transposed(nn.Module):
    """A transposed convolution with a weight quantized per output channel."""

    def __init__(self, inputs: int, outputs: int, size: int, **options: int) -> None:
        super().__init__()
        layer = nn.ConvTranspose2d(inputs, outputs, size)
        self.weight, self.bias, self.options = layer.weight, layer.bias, options
        self.register_buffer("scale", self.weight.detach().abs().amax((0, 2, 3)) / 127)
        self.register_buffer("zero", torch.zeros(outputs, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.ops.mcugen.quantize(self.weight, self.scale, self.zero, -127, 127, 1)
        return nn.functional.conv_transpose2d(x, weight, self.bias, **self.options)


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


class _WeightBases(nn.Module):
    """A basis for each row, in no order and of any sign."""

    def __init__(self, weight: Tensor, planes: int) -> None:
        super().__init__()
        parts = torch.tensor([0.9, -0.41, 1.7, 0.2])[:planes]
        jitter = 1 + 0.1 * torch.rand(len(weight), planes)
        self.register_buffer(
            "basis", weight.flatten(1).abs().mean(1, keepdim=True) * parts * jitter
        )
        self.register_buffer("offset", torch.zeros(len(weight)))

    def forward(self, w: Tensor) -> Tensor:
        return torch.ops.mcugen.quantize_basis(w, self.basis, self.offset, 0)


def conv(
    inputs: int, outputs: int, size: int, bits: int = 8, planes: int = 0, **options: object
) -> QuantizedWeight:
    return QuantizedWeight(nn.Conv2d(inputs, outputs, size, **options), bits, planes)  # type: ignore[arg-type]


def linear(inputs: int, outputs: int, bits: int = 8, planes: int = 0) -> QuantizedWeight:
    return QuantizedWeight(nn.Linear(inputs, outputs), bits, planes)


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


def assert_agrees(
    module: nn.Module, shape: tuple[int, ...], folder: Path, apart: int = 0
) -> Program:
    """Every quantized tensor is at most `apart` levels from PyTorch's in float64 (in 1 % of the
    elements where that is not 0), and the output equal to its last bit."""
    torch.manual_seed(0)
    graph, program = lowered(module, shape, folder)
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (8, *shape)) / 255
    nodes = captured_nodes(graph, program)
    outputs, captured = Reference(graph).run(x, capture=tuple(nodes))
    values = interp.trace(program, input_boundary(program).levels(x))
    for node, name in nodes.items():
        got = program_levels(program.values[name], values[name])
        want = torch_levels(program.values[name], captured[node])
        distance = np.abs(got.reshape(len(x), -1) - want.reshape(len(x), -1))
        assert distance.max() <= apart, node
        assert (distance > 0).mean() <= 0.01, node
    if apart:
        return program
    boundary = output_boundary(program)
    if program.output_function is None:
        real = boundary.real(values[program.output])
        step = float(np.max(boundary.meaning.scale))
        np.testing.assert_allclose(real.reshape(outputs[0].shape), outputs[0], atol=step * 0.51)
    else:
        np.testing.assert_array_equal(classes(values[program.output]), classes(outputs[0]))
    return program
