"""Layers whose weights, inputs and outputs are probabilities of +1, on their way to 0 and 1.

Sums are taken as if all terms were independent ("naive"), which holds for the first layer. After a
layer is binary, its outputs are those of the integer sums.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcugen.train.bernoulli import sums
from mcugen.train.models_binary import LayerShape, weigh

_EPSILON = 1e-5  # of the norm
_COLDEST = 1e-4  # added to a temperature


class BernoulliWeights(nn.Module):
    """Weights `[terms, outputs]` as P(w = +1), and which of them are frozen to 0 or 1."""

    frozen: Tensor

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.shape = shape
        self.weight = nn.Parameter(torch.empty(shape.terms, shape.outputs).uniform_(0.3, 0.7))
        self.register_buffer("frozen", torch.zeros_like(self.weight, dtype=torch.bool))
        self.binary = False

    def signs(self) -> Tensor:
        """Torch's weights for the layer, −1 and +1: the sign that is likelier."""
        return torch.where(self.weight >= 0.5, 1.0, -1.0).t().reshape(self.shape.weights)

    @torch.no_grad()
    def settle_(self, push: float) -> None:
        """After a step: moves weights away from 1/2 by the share `push`, back into [0, 1]."""
        pushed = 0.5 + (self.weight - 0.5) * (1 + push)
        self.weight.copy_(torch.where(self.frozen, self.weight.round(), pushed.clamp(0, 1)))

    @torch.no_grad()
    def freeze_(self, fraction: float) -> None:
        """Replaces so many of the weights by their signs for good: the least doubtful ones."""
        certainty = (self.weight - 0.5).abs() + self.frozen
        count = round(fraction * certainty.numel())
        self.frozen.view(-1)[certainty.flatten().topk(count).indices] = True
        self.settle_(0)

    def binarize_(self) -> None:
        """Freezes all weights; nothing here is trained any more."""
        self.freeze_(1)
        self.binary = True
        self.requires_grad_(False)


class BernoulliSums(BernoulliWeights):
    """P(sum ≥ 0) of a convolution or a linear layer.

    With `normal`, convolutions use the central limit theorem and no `gradient` of the exact sums.
    """

    def __init__(self, shape: LayerShape, gradient: sums.Gradient, normal: bool = False) -> None:
        super().__init__(shape)
        self.gradient: sums.Gradient = gradient
        self.normal = normal and shape.kernel > 0

    def forward(self, x: Tensor) -> Tensor:
        """P(+1) of inputs `[N, C, H, W]` or `[N, features]` → P(+1) of the outputs."""
        if self.binary:
            return (weigh(self.shape, 2 * x - 1, self.signs()) >= 0).to(x.dtype)
        return self.exact(x)

    def exact(self, x: Tensor) -> Tensor:
        """The same through the distribution, binary or not."""
        if not self.shape.kernel:
            return self._columns(x.flatten(1).t()).t()
        side = [(size - self.shape.kernel) // self.shape.stride + 1 for size in x.shape[2:]]
        patches = functional.unfold(x, self.shape.kernel, stride=self.shape.stride)
        z = self._columns(patches.transpose(0, 1).reshape(self.shape.terms, -1))
        return z.reshape(self.shape.outputs, len(x), *side).transpose(0, 1)

    def _columns(self, x: Tensor) -> Tensor:
        if self.normal:
            return sums.normal(x, self.weight)
        return sums.not_negative(x, self.weight, self.gradient)


class UncentredNorm(nn.Module):
    """Batch norm around 1/2, without parameters: u = (z − 1/2) / rms(z − 1/2), per channel.

    A mean or an offset would be a threshold that a binary sum, compared with 0, cannot have. A
    factor that learns as fast as the weights cost accuracy (docs/results.md).
    """

    mean_square: Tensor

    def __init__(self, channels: int, momentum: float = 0.05) -> None:
        super().__init__()
        self.register_buffer("mean_square", torch.full((channels,), 0.05))
        self.momentum = momentum

    def forward(self, z: Tensor) -> Tensor:
        """Probabilities `[N, C, …]` → values around 0."""
        mean_square = self.mean_square
        if self.training:
            mean_square = ((z - 0.5) ** 2).transpose(0, 1).flatten(1).mean(1)
            self.mean_square.lerp_(mean_square.detach(), self.momentum)
        factor = torch.rsqrt(mean_square + _EPSILON)
        return (z - 0.5) * factor.reshape(-1, *[1] * (z.dim() - 2))


class Warm(nn.Module):
    """A sigmoid that becomes a step as its `temperature` falls."""

    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, u: Tensor) -> Tensor:
        """Values → probabilities."""
        return torch.sigmoid(u / (self.temperature + _COLDEST))


class Unit(nn.Module):
    """One hidden layer: sums, norm and sigmoid; once it is binary, the bits of the sums alone."""

    def __init__(self, sums: BernoulliSums) -> None:
        super().__init__()
        self.sums = sums
        self.norm = UncentredNorm(sums.shape.outputs)
        self.warm = Warm()

    def forward(self, x: Tensor) -> Tensor:
        """P(+1) of the inputs → P(+1) of the outputs."""
        z: Tensor = self.sums(x)
        return z if self.sums.binary else self.warm(self.norm(z))


class MathExpectation(BernoulliWeights):
    """The expected sums, exactly: scores."""

    def forward(self, x: Tensor) -> Tensor:
        """P(+1) `[N, features]` → `[N, outputs]`."""
        return (2 * x.flatten(1) - 1) @ (2 * self.weight - 1)
