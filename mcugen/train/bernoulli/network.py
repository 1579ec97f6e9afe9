"""A Bernoulli network, how it becomes binary, and the binary network as a graph of quantizers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mcugen.train.bernoulli import sums
from mcugen.train.bernoulli.layers import (
    BernoulliSums,
    BernoulliWeights,
    MathExpectation,
    Unit,
)
from mcugen.train.models_binary import Bits, LayerShape, Sign, weigh

LOGITS = 0.4  # scale of the scores over √n: the loss must not be won by the size of the scores
COLD = 0.05  # temperature at which a layer becomes binary
PUSH = 12.0  # of the last steps, times the number of steps; see BernoulliWeights.settle_
SETTLED = 0.8  # of the steps: then the layer is cold, and the others follow what it has become


class BernoulliNetwork(nn.Module):
    """Hidden layers and scores, on an image of bits.

    `begin_` and `end_` enclose the training that makes some of the layers binary; `after_step_`
    follows each of its steps.
    """

    step: Tensor

    def __init__(
        self, shapes: Sequence[LayerShape], gradient: sums.Gradient, normal: bool, shift: int
    ) -> None:
        super().__init__()
        self.bits = Bits(shift)
        *hidden, last = shapes
        units = (Unit(BernoulliSums(shape, gradient, normal)) for shape in hidden)
        self.hidden = nn.Sequential(*units)
        self.scores = MathExpectation(last)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self._names: frozenset[str] = frozenset()
        self._per_epoch = self._steps = 0
        self._parts = False

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → logits `[N, classes]`."""
        scores: Tensor = self.scores(self.hidden((self.bits(x) + 1) / 2))
        return scores * (LOGITS / math.sqrt(self.scores.shape.terms))

    def begin_(self, names: Sequence[str], epochs: int, steps: int, parts: bool) -> None:
        """The layers `names` are going to be binary after so many epochs of so many steps.

        With `parts`, ever more of their weights are frozen after each epoch.
        """
        self._names, self._parts = frozenset(names), parts
        self._per_epoch, self._steps = steps, epochs * steps
        self.step.zero_()

    def after_step_(self) -> None:
        """Keeps weights probabilities; cools and polarizes the layers that are becoming binary."""
        self.step += 1
        progress = min(1.0, int(self.step) / (SETTLED * self._steps))
        push = PUSH * progress / self._steps
        for unit in self.units():
            if unit.sums.shape.name in self._names:
                unit.warm.temperature.fill_(COLD**progress)
        for layer in self.layers():
            if layer.binary:
                continue
            chosen = layer.shape.name in self._names
            layer.settle_(push if chosen else 0.0)
            if chosen and self._parts and int(self.step) % self._per_epoch == 0:
                layer.freeze_(1 - (1 - progress) ** 3)

    def end_(self) -> None:
        """Makes the layers of this stage binary."""
        for layer in self.layers():
            if layer.shape.name in self._names:
                layer.binarize_()

    def units(self) -> list[Unit]:
        """The hidden layers."""
        return [unit for unit in self.hidden if isinstance(unit, Unit)]

    def layers(self) -> list[BernoulliWeights]:
        """All weights, from input to output."""
        return [*(unit.sums for unit in self.units()), self.scores]


class BinaryNetwork(nn.Module):
    """A Bernoulli network that has become binary, said with quantizer ops only.

    A hidden bit is [s ≥ 0] of the integer sum s. The sign of the quantizer op is +1 above 0: half a
    step of bias makes the one the other.
    """

    def __init__(self, network: BernoulliNetwork) -> None:
        super().__init__()
        self.bits, self.sign = Bits(), Sign()
        self.shapes = [layer.shape for layer in network.layers()]
        for layer in network.layers():
            name, weight = layer.shape.name, layer.signs().detach().clone()
            self.register_buffer(f"{name}_weight", weight)
            bias = None if layer is network.scores else torch.full((layer.shape.outputs,), 0.5)
            self.register_buffer(f"{name}_bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → integer scores `[N, classes]`."""
        x = self.bits(x)
        for shape in self.shapes:
            weight = self.sign(self.get_buffer(f"{shape.name}_weight"))
            last = shape is self.shapes[-1]
            x = weigh(shape, x, weight, None if last else self.get_buffer(f"{shape.name}_bias"))
            x = x if last else self.sign(x)
        return x
