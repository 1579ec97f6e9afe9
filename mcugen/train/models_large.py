"""ResNet-18 and -34 and a U-Net: larger than most microcontrollers, but networks that people have.

Their modules have the names of torchvision's and of the public brain-segmentation U-Net, so that
weights trained elsewhere load. ReLU6 stands where they have a ReLU.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mcugen.train.models import Activation, Shape, relu


class _Basic(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al., 2016)."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU6()
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        total: Tensor = self.relu(y + shortcut)
        return total


class LargeResNet(nn.Module):
    """Four stages of `blocks` basic blocks, with `width` (64) to 8·width channels.

    The stem's pool is 2×2, as in the work on grids of N levels, not torchvision's 3×3.
    """

    def __init__(
        self, blocks: tuple[int, int, int, int], shape: Shape, classes: int, width: int = 64
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU6()
        self.maxpool = nn.MaxPool2d(2)
        channels = width
        for stage, count in enumerate(blocks):
            out = width * 2**stage
            layers = [
                _Basic(channels if index == 0 else out, out, 2 if index == 0 and stage > 0 else 1)
                for index in range(count)
            ]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
            channels = out
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → scores `[N, classes]`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        scores: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return scores


def resnet(*blocks: int) -> Callable[[Shape, int, Activation], nn.Module]:
    """Builds a ResNet of so many blocks per stage, whose nonlinearities are its own."""

    def build(shape: Shape, classes: int, activation: Activation = relu) -> nn.Module:
        del activation
        first, second, third, fourth = blocks
        return LargeResNet((first, second, third, fourth), shape, classes)

    return build


class UNet(nn.Module):
    """Four levels down to 1/16 and up again by transposed convolutions, beside what was there.

    Ronneberger et al., 2015. With 3 channels in, 1 out and 32 `features` it has 7,763,041
    parameters. Height and width are multiples of 16. The result is what a sigmoid makes a mask of.
    """

    def __init__(self, channels: int = 3, out: int = 1, features: int = 32) -> None:
        super().__init__()
        widths = [features * 2**level for level in range(5)]
        for level, width in enumerate(widths[:4], 1):
            self.add_module(f"encoder{level}", _double(channels, width, f"enc{level}"))
            channels = width
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = _double(channels, widths[4], "bottleneck")
        for level in (4, 3, 2, 1):
            up = nn.ConvTranspose2d(widths[level], widths[level - 1], 2, 2)
            self.add_module(f"upconv{level}", up)
            double = _double(2 * widths[level - 1], widths[level - 1], f"dec{level}")
            self.add_module(f"decoder{level}", double)
        self.conv = nn.Conv2d(features, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → `[N, out, H, W]`."""
        kept = []
        for level in range(1, 5):
            x = self.get_submodule(f"encoder{level}")(x)
            kept.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)
        for level in (4, 3, 2, 1):
            x = self.get_submodule(f"upconv{level}")(x)
            x = torch.cat((x, kept[level - 1]), 1)
            x = self.get_submodule(f"decoder{level}")(x)
        scores: Tensor = self.conv(x)
        return scores


def _double(channels: int, out: int, name: str) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, inputs in ((1, channels), (2, out)):
        layers[f"{name}conv{index}"] = nn.Conv2d(inputs, out, 3, padding=1, bias=False)
        layers[f"{name}norm{index}"] = nn.BatchNorm2d(out)
        layers[f"{name}relu{index}"] = nn.ReLU6()
    return nn.Sequential(layers)
