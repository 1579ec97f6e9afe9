"""AdaQuant, layer by layer: scales and integers that give back what the float layer gave.

After Hubara et al., "Accurate Post Training Quantization With Small Calibration Sets", 2021. Each
layer in turn, the layers in front of it quantized already: first the scales of its input and its
weights are searched for the least squared error of its output, then weights and bias are trained on
that error with straight-through gradients, at a rate relative to the step of the weights.

In a network that is a chain of layers, the scale of a layer's input is an odd multiple of that of
the sums in front of it: no sum then lies half way between two levels, and integers and floats round
the same way.
"""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcugen.errors import fail
from mcugen.quant.intercept import Site, holder_of
from mcugen.quant.quantizer import AffineQuantizer
from mcugen.quant.weights import WEIGHTED

INPUT_SHARES = tuple(0.5 + 0.05 * step for step in range(11))  # of the range seen
WEIGHT_SHARES = tuple(0.25 + 0.05 * step for step in range(16))
QUANTILE = 0.9999  # of the weights, either way
SEARCH_SAMPLES = 256
BATCH = 100
PASSES = 6
RATE = 0.01  # of the step of the weights
_MOST_SORTED = 1 << 22  # values that torch takes a quantile of


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of a quantized model, the quantizer of its input and that of its weights."""

    name: str
    module: nn.Conv2d | nn.Linear | nn.ConvTranspose2d
    input: AffineQuantizer
    weight: AffineQuantizer

    @property
    def latent(self) -> nn.Parameter:
        """The real weights behind the quantizer."""
        return cast(nn.Parameter, cast(Any, self.module).parametrizations["weight"].original)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What is trained of it."""
        bias = cast(nn.Parameter | None, self.module.bias)
        return [self.latent] if bias is None else [self.latent, bias]

    @property
    def sum_scale(self) -> float:
        """What one step of its sums is worth."""
        return float(self.input.scale.detach()) * float(self.weight.scale.detach())

    @torch.no_grad()
    def snap_(self) -> None:
        """Puts weights and bias onto their grids, where no other precision rounds them away."""
        self.latent.copy_(self.weight(self.latent))
        if self.module.bias is not None:
            steps = torch.floor(self.module.bias.double() / self.sum_scale + 0.5)
            self.module.bias.copy_(steps * self.sum_scale)

    @torch.no_grad()
    def error(self, x: Tensor, y: Tensor) -> float:
        """Mean squared error of its output for the input `x`, before the quantizer."""
        return float(functional.mse_loss(self.module(self.input(x)), y))


@dataclass(frozen=True)
class Errors:
    """Mean squared error of a layer's output on the samples: as calibrated, and in the end."""

    name: str
    before: float
    after: float


def layers(model: nn.Module) -> list[Layer]:
    """The layers of a calibrated model in the order in which they run.

    Raises McugenError for one without a single uniform grid for weights and one for its input.
    """
    return [_layer(model, site) for site in _sites(model)]


def _sites(model: nn.Module) -> list[Site]:
    plan = holder_of(model).plan or ()
    weighted = {name for name, module in model.named_modules() if isinstance(module, WEIGHTED)}
    return [site for site in plan if site.owner in weighted]


def _layer(model: nn.Module, site: Site) -> Layer:
    module = cast(Any, model.get_submodule(site.owner))
    input = holder_of(model).get_submodule(site.operands[0][-1] if site.operands[0] else "input")
    weight = module.parametrizations["weight"][0]
    for quantizer in (input, weight):
        if not isinstance(quantizer, AffineQuantizer) or quantizer.axis >= 0:
            raise fail("quant", "AdaQuant is for uniform grids, one scale each", at=site.owner)
    return Layer(site.owner, module, cast(AffineQuantizer, input), weight)


def adaquant_(
    model: nn.Module, original: nn.Module, samples: Tensor, skip: Collection[str] = ()
) -> list[Errors]:
    """Quantizes a calibrated model's layers one after the other, but for those of `skip`.

    `original` is the float model that it was made of; `samples` are inputs `[N, …]`. All weights
    and biases end up on their grids, those of `skip` too.
    """
    for network in (model, original):
        network.eval()
    errors, searched = [], set[AffineQuantizer]()
    found = layers(model)
    chain = len(found) == len(holder_of(model).plan or ())
    for before, layer in zip([None, *found], found, strict=False):
        if layer.name not in skip:
            x, y = _input(model, layer, samples), _output(original, layer.name, samples)
            first = layer.error(x, y)
            sum_scale = before.sum_scale if before is not None and chain else None
            search_(layer, x, y, sum_scale, layer.input in searched)
            tune_(layer, x, y)
            searched.add(layer.input)
        layer.snap_()
        if layer.name not in skip:
            errors.append(Errors(layer.name, first, layer.error(x, y)))
    return errors


@torch.no_grad()
def _input(model: nn.Module, layer: Layer, samples: Tensor) -> Tensor:
    """What the quantizer of a layer's input sees, behind the layers before as they are."""
    seen: list[Tensor] = []
    hook = layer.input.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        parts = torch.split(samples, BATCH)
        for part in parts:
            model(part)
    finally:
        hook.remove()
    # A tensor that several layers read passes several times; each time it is the same.
    return torch.cat(seen[:: len(seen) // len(parts)])


@torch.no_grad()
def _output(model: nn.Module, name: str, samples: Tensor) -> Tensor:
    seen: list[Tensor] = []
    hook = model.get_submodule(name).register_forward_hook(lambda _, __, out: seen.append(out))
    try:
        for part in torch.split(samples, BATCH):
            model(part)
    finally:
        hook.remove()
    return torch.cat(seen)


@torch.no_grad()
def search_(layer: Layer, x: Tensor, y: Tensor, sum_scale: float | None, settled: bool) -> None:
    """Sets both scales of a layer for the least squared error of its output `y` for `x`.

    With `sum_scale`, that of the sums in front, the input's scale becomes an odd multiple of it.
    Where the input's grid is `settled`, only the weights' is searched.
    """
    x, y = x[:SEARCH_SAMPLES], y[:SEARCH_SAMPLES]
    inputs = [(layer.input.scale.detach(), layer.input.zero_point)]
    if not settled:
        low, high = x.min().reshape(1), x.max().reshape(1)
        inputs = [_input_grid(layer.input, low * s, high * s, sum_scale) for s in INPUT_SHARES]
    flat = layer.latent.flatten()
    flat = flat[:: -(-len(flat) // _MOST_SORTED)]
    low, high = (torch.quantile(flat, q).reshape(1) for q in (1 - QUANTILE, QUANTILE))
    weights = [layer.weight.scale_and_zero(low * s, high * s) for s in WEIGHT_SHARES]
    trials = []
    for grids in product(inputs, weights):
        _set(layer, *grids)
        trials.append((layer.error(x, y), grids))
    _set(layer, *min(trials, key=lambda trial: trial[0])[1])


_Grid = tuple[Tensor, Tensor]  # scale and zero point


def _set(layer: Layer, input: _Grid, weight: _Grid) -> None:
    layer.input.set(input[0].reshape(1), input[1].reshape(1))
    layer.weight.set(weight[0].reshape(1), weight[1].reshape(1))


def _input_grid(
    quantizer: AffineQuantizer, low: Tensor, high: Tensor, sum_scale: float | None
) -> _Grid:
    scale, zero = quantizer.scale_and_zero(low, high)
    if sum_scale is None:
        return scale, zero
    scale = (2 * torch.floor(scale / (2 * sum_scale)) + 1) * sum_scale
    zero = torch.floor(-low.clamp(max=0) / scale + 0.5).clamp(quantizer.lo, quantizer.hi)
    return scale, zero.to(torch.int64)


def tune_(layer: Layer, x: Tensor, y: Tensor) -> None:
    """Trains a layer's weights and bias on the error of its output; its scales stay."""
    weights, *bias = layer.parameters
    rate = RATE * float(layer.weight.scale.detach())
    optimizer = torch.optim.Adam([weights, *bias], rate)
    steps = PASSES * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        x = layer.input(x)
    for _ in range(PASSES):
        for picks in torch.split(torch.randperm(len(x), generator=generator), BATCH):
            loss = functional.mse_loss(layer.module(x[picks]), y[picks])
            gradients = torch.autograd.grad(loss, [weights, *bias])
            for parameter, gradient in zip([weights, *bias], gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
            schedule.step()
    optimizer.zero_grad()
