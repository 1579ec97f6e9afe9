"""Binary networks by straight-through gradients: the baseline of the Bernoulli layers.

Real weights are kept in [−1, 1]; the network computes with their signs, and with the signs of what
batch norm makes of the integer sums. Gradients pass the sign unchanged ("identity"), or are stopped
where what it is taken of lies outside [−1, 1] ("clipped"; Hubara et al., 2016).
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mcugen.errors import fail
from mcugen.train import session
from mcugen.train.config import TrainConfig, TrainResult
from mcugen.train.models_binary import (
    Bits,
    LayerShape,
    Sign,
    check_shift,
    describe,
    outline,
    weigh,
)

EPOCHS = 44
LEARNING_RATE = 3e-3

Gradient = Literal["clipped", "identity"]


@dataclass(frozen=True)
class Options:
    """The gradient of the activations' signs; how many pixels off centre training images may be."""

    gradient: Gradient = "clipped"
    shift: int = 1


class StraightNetwork(nn.Module):
    """An outline with binary weights, each hidden layer followed by batch norm and a sign."""

    def __init__(self, shapes: list[LayerShape], options: Options) -> None:
        super().__init__()
        self.bits, self.sign = Bits(options.shift), Sign()
        self.shapes, self.gradient = shapes, options.gradient
        for shape in shapes:
            weight = torch.empty(shape.weights).uniform_(-1, 1)
            self.register_parameter(f"{shape.name}_weight", nn.Parameter(weight))
        self.norms = nn.ModuleList(
            (nn.BatchNorm2d if shape.kernel else nn.BatchNorm1d)(shape.outputs)
            for shape in shapes[:-1]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → scores `[N, classes]`, integers; in training, over √n."""
        x = self.bits(x)
        for shape, norm in zip(self.shapes, [*self.norms, None], strict=True):
            weight = self.get_parameter(f"{shape.name}_weight")
            x = weigh(shape, x, self._straight(weight, "identity"))
            if norm is not None:
                x = self._straight(norm(x), self.gradient)
        return x / math.sqrt(self.shapes[-1].terms) if self.training else x

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keeps the weights where a step can change their signs again."""
        for shape in self.shapes:
            self.get_parameter(f"{shape.name}_weight").clamp_(-1, 1)

    def _straight(self, x: Tensor, gradient: Gradient) -> Tensor:
        if not self.training:
            binary: Tensor = self.sign(x)
            return binary
        through = x.clamp(-1, 1) if gradient == "clipped" else x
        return through + (torch.where(x > 0, 1.0, -1.0) - through).detach()


def train(config: TrainConfig, options: Options) -> TrainResult:
    """Trains a network of bits and exports it with its quantizers.

    Raises McugenError for networks, data sets and options unknown or out of range, and a loss that
    is not a number.
    """
    if options.gradient not in get_args(Gradient):
        want = ", ".join(get_args(Gradient))
        raise fail("train", "no gradient of this name", got=repr(options.gradient), want=want)
    check_shift(options.shift)
    plan = outline(config.model)
    run = session.Session.start(config, f"ste {options}")
    shapes = plan.layers(run.train_samples.shape, run.classes)
    network = StraightNetwork(shapes, options)
    stage = run.stage("ste", config.epochs or EPOCHS, config.learning_rate or LEARNING_RATE)
    loss = run.train(network, stage, StraightNetwork.clamp_)
    run.export(network)
    return run.result(run.accuracy(network), loss, describe(shapes))
