"""Batch norm as part of the layer in front of it."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import fusion

from mcugen.errors import fail
from mcugen.quant.weights import WEIGHTED

TOLERANCE = 1e-3  # of the largest output: float32 through a deep network
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@torch.no_grad()
def fold_batch_norm_(model: nn.Module, sample: Tensor) -> None:
    """Folds every batch norm right behind a layer into the layer.

    Running `sample` in evaluation mode shows which ones these are; in their place an identity
    stays. The network computes the same in evaluation mode, up to float rounding.

    Raises McugenError where it does not, since something else reads what the layer gave.
    """
    training = model.training
    model.eval()
    before = model(sample)
    for name, layer, norm in list(_pairs(model, sample)):
        if isinstance(layer, nn.Linear):
            folded: Any = fusion.fuse_linear_bn_eval(layer, norm)
        else:
            transposed = isinstance(layer, nn.ConvTranspose2d)
            folded = fusion.fuse_conv_bn_eval(layer, norm, transpose=transposed)
        layer.weight, layer.bias = folded.weight, folded.bias.requires_grad_()
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, nn.Identity())
    difference = float((model(sample) - before).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(before.abs().max())):
        raise fail("quant", "batch norm is not alone behind its layer", got=f"{difference:g} off")
    model.train(training)


def _pairs(model: nn.Module, sample: Tensor) -> Iterator[tuple[str, Any, Any]]:
    """Name of each batch norm, the layer it follows, and itself."""
    made: dict[int, tuple[nn.Module, Tensor]] = {}  # the tensor is kept, so that its id stays its
    read: dict[nn.Module, int] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, WEIGHTED):
            made[id(output)] = (module, output)
        else:
            read[module] = id(inputs[0])

    with ExitStack() as hooks:
        for module in model.modules():
            if isinstance(module, (*WEIGHTED, *_NORMS)):
                hooks.callback(module.register_forward_hook(note).remove)
        model(sample)
    for name, module in model.named_modules():
        if isinstance(module, _NORMS) and read.get(module) in made:
            yield name, made[read[module]][0], module
