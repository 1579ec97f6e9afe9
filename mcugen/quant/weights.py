"""Quantizers of weights, as parametrizations."""

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mcugen.quant.grid import Grid, settle
from mcugen.quant.observer import Observer
from mcugen.quant.quantizer import Quantizer, make_quantizer

WEIGHTED = (nn.Conv2d, nn.Linear, nn.ConvTranspose2d)


def quantize_weight(module: nn.Module, name: str, grid: Grid) -> None:
    """Puts the parameter `name`, `[out, …]` (transposed: `[in, out, …]`), onto a grid.

    Raises McugenError where it is NaN or infinite.
    """
    axis = 1 if isinstance(module, nn.ConvTranspose2d) else 0
    quantizer = make_quantizer(settle(grid, weight=True), axis)
    _fit(quantizer, getattr(module, name), search=False)
    parametrize.register_parametrization(module, name, quantizer)


def weight_places(model: nn.Module, weight: Tensor) -> list[tuple[nn.Module, str]]:
    """The modules and names under which the model holds a tensor; none where it is computed."""
    return [
        (module, name)
        for module in model.modules()
        for name, tensor in {**module._parameters, **module._buffers}.items()
        if tensor is weight
    ]


@torch.no_grad()
def search_weights_(model: nn.Module) -> None:
    """Fits every weight quantizer for the least squared error."""
    for quantizer, latent in quantized_weights(model):
        _fit(quantizer, latent, search=True)


@torch.no_grad()
def snap_weights_(model: nn.Module) -> None:
    """Replaces every latent weight by its value on the grid.

    Straight-through training parks weights close to a border between two levels, where another
    precision or another order of operations could round them differently.
    """
    for quantizer, latent in quantized_weights(model):
        latent.copy_(quantizer(latent))


def _fit(quantizer: Quantizer, weight: Tensor, search: bool) -> None:
    observer = Observer()
    observer.add(quantizer.rows(weight))
    quantizer.fit(observer, search=search)


def quantized_weights(model: nn.Module) -> Iterator[tuple[Quantizer, Tensor]]:
    """The quantizer and the latent tensor of every quantized weight."""
    for module in model.modules():
        if not parametrize.is_parametrized(module):
            continue
        for chain in cast(nn.ModuleDict, module.parametrizations).values():
            assert isinstance(chain, parametrize.ParametrizationList)
            if isinstance(chain[0], Quantizer):
                yield chain[0], chain.original
