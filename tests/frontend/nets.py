"""Small networks with their inputs, and how the tests export them."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

import mcugen.quant.ops as quantizers


class Convolutional(nn.Module):
    """Convolution, batch norm, pooling, padding, dropout, a linear layer, constants."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.wide = nn.Conv2d(4, 6, 3, padding="same", groups=2)
        self.drop = nn.Dropout()
        self.head = weight_norm(nn.Linear(6 * 5 * 5, 3))
        self.register_buffer("gain", torch.rand(4, 1, 1), persistent=False)
        with torch.no_grad():
            self.bn.running_mean.uniform_(-1, 1)
            self.bn.running_var.uniform_(0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn(self.conv(x)), inplace=True) * self.gain
        x = functional.pad(x, (1, 1, 1, 1), value=0.25) + torch.tensor([0.5])
        x = functional.max_pool2d(functional.hardtanh(self.wide(x)), 2)
        return functional.log_softmax(self.head(self.drop(x.flatten(1))), 1)


class Residual(nn.Module):
    """Addition, concatenation, reshaping with sizes, permutation, pooling, chunks."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.scale = nn.Parameter(torch.rand(4))

    def forward(self, x: Tensor) -> Tensor:
        y = x + torch.tanh(self.first(x)) * self.scale.view(1, 4, 1, 1)
        left, right = y.permute(0, 2, 3, 1).chunk(2, dim=3)
        y = torch.cat((left.clamp(-1, 1), right.sigmoid(), left), dim=3).permute(0, 3, 1, 2)
        y = functional.adaptive_avg_pool2d(functional.avg_pool2d(y, 2), 2)
        y = y.view(1, 6, 4).transpose(1, 2).reshape(1, -1)
        return torch.softmax(y.unsqueeze(2).squeeze(2) - y.mean(1, keepdim=True), -1)


class Quantized(nn.Module):
    """Both quantizer ops, per tensor and per channel, and a fake quantizer of PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.fc = nn.Linear(64, 5)
        self.register_buffer("zero", torch.tensor(3))
        self.register_buffer("zeros", torch.tensor([0, 1, 0, -1]))
        self.register_buffer("steps", torch.tensor([0.02, 0.03, 0.05, 0.01]))
        self.register_buffer("offsets", torch.linspace(-0.2, 0.2, 5))
        self.basis = nn.Parameter(torch.tensor([0.3, 0.13, 0.55]))
        self.bases = nn.Parameter(torch.rand(5, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = quantizers.quantize(x, torch.tensor(0.03), self.zero, 0, 255, -1)
        weight = quantizers.quantize(self.conv.weight, self.steps, self.zeros, -7, 8, 0)
        x = functional.conv2d(x, weight, self.conv.bias)
        x = quantizers.quantize(x, self.steps, self.zeros, -50, 50, 1)
        x = torch.fake_quantize_per_tensor_affine(x, 0.07, 5, 0, 15)
        x = quantizers.quantize_basis(x, self.basis, torch.tensor(0.1), -1)
        weight = quantizers.quantize_basis(self.fc.weight, self.bases, self.offsets, 0)
        return functional.linear(x.flatten(1), weight, self.fc.bias)


NETS: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "convolutional": (Convolutional, (2, 8, 8)),
    "residual": (Residual, (4, 8, 8)),
    "quantized": (Quantized, (2, 6, 6)),
}


def make(name: str) -> nn.Module:
    """The network, always with the same weights, ready for inference."""
    torch.manual_seed(7)
    return NETS[name][0]().eval()


def save(module: nn.Module, shape: tuple[int, ...], path: Path, **options: object) -> Path:
    """Export a module for one input of a shape without batch, and save the archive."""
    program = torch.export.export(module, (torch.zeros(1, *shape),), **options)  # type: ignore[arg-type]
    torch.export.save(program, path)
    return path
