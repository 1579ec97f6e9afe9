"""CNN6 to CNN10 for CIFAR-10: networks that grids of N levels were published for.

The first convolution is 1×1 with batch norm and a hardtanh, whose input is half of what batch norm
gives by default; the others have batch norm, a pool in some places, and ReLU6, which together rise.
"fc1" is a convolution over the 2×2 pixels that are left, without batch norm.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from mcugen.errors import fail
from mcugen.train.models import Activation, Shape, relu

LAST_SIDE = 2  # pixels that the convolutions leave, each way


@dataclass(frozen=True)
class Block:
    """A convolution with batch norm, and perhaps a 2×2 max pool."""

    channels: int
    kernel: int = 3
    padding: int = 0
    pool: bool = False


@dataclass(frozen=True)
class Plan:
    """The convolutions from input to output, and the width of the hidden linear layer."""

    blocks: tuple[Block, ...]
    hidden: int


_START = (Block(8, 1), Block(8), Block(12, pool=True))

PLANS = {
    "cnn6": Plan(
        (Block(4, 1), Block(8, 5, pool=True), Block(16, pool=True), Block(32, pool=True)), 64
    ),
    "cnn7": Plan((*_START, Block(16, pool=True), Block(32, pool=True)), 64),
    "cnn8": Plan((*_START, Block(24, pool=True), Block(24), Block(40)), 64),
    "cnn9": Plan((*_START, Block(12, padding=1), Block(24, pool=True), Block(24), Block(48)), 96),
    "cnn10": Plan(
        (
            Block(8, 1),
            Block(16, padding=1),
            Block(32, padding=1, pool=True),
            Block(32, padding=1),
            Block(64, padding=1, pool=True),
            Block(64),
            Block(64),
            Block(128),
        ),
        256,
    ),
}


class Cnn(nn.Module):
    """The network of a plan, for images of 32×32."""

    def __init__(self, plan: Plan, shape: Shape, classes: int) -> None:
        super().__init__()
        channels, side = shape[0], shape[1]
        layers: list[tuple[str, nn.Module]] = []
        for index, block in enumerate(plan.blocks, 1):
            norm = nn.BatchNorm2d(block.channels)
            if index == 1:
                nn.init.constant_(norm.weight, 0.5)
            conv = nn.Conv2d(
                channels, block.channels, block.kernel, padding=block.padding, bias=False
            )
            layers += [(f"conv{index}", conv), (f"bn{index}", norm)]
            layers += [(f"pool{index}", nn.MaxPool2d(2))] if block.pool else []
            layers += [(f"act{index}", nn.Hardtanh() if index == 1 else nn.ReLU6())]
            channels, side = block.channels, side + 2 * block.padding - block.kernel + 1
            side //= 2 if block.pool else 1
        if shape[1:] != (32, 32):
            got = f"{shape[1]}×{shape[2]}"
            raise fail("train", "this network is for other images", got=got, want="32×32")
        assert side == LAST_SIDE
        layers += [
            ("fc1", nn.Conv2d(channels, plan.hidden, LAST_SIDE)),
            ("tanh", nn.Tanh()),
            ("flatten", nn.Flatten()),
            ("fc2", nn.Linear(plan.hidden, classes)),
        ]
        self.names = [name for name, _ in layers]
        for name, layer in layers:
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, 32, 32]` → scores `[N, classes]`."""
        for name in self.names:
            x = self.get_submodule(name)(x)
        return x


def builder(name: str) -> Callable[[Shape, int, Activation], nn.Module]:
    """Builds the zoo's network for a plan, whose nonlinearities are its own."""

    def build(shape: Shape, classes: int, activation: Activation = relu) -> nn.Module:
        del activation
        return Cnn(PLANS[name], shape, classes)

    return build
