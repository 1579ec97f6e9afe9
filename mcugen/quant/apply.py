"""`quantize_`: puts quantizers into any model without rewriting it.

Weights of Conv2d and Linear get a quantizer as a parametrization. Activations get theirs on the
*input* of every Conv2d, Linear, average pool and `Add`, by a forward pre-hook: batch norm,
activation function and max-pool then lie between the layer before and one quantizer, which is
what the integer program folds. `calibrate` drops those that meet a tensor already on a grid.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mcugen.errors import Fault, McugenError, fail
from mcugen.quant.grid import Grid, Uniform, settle
from mcugen.quant.observer import Observer
from mcugen.quant.quantizer import Quantizer, make_quantizer

CHANNEL_AXIS = 1
_WEIGHTED = (nn.Conv2d, nn.Linear)
_POOLS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)
_Model = TypeVar("_Model", bound=nn.Module)


class Add(nn.Module):
    """Sum of two tensors as a module, so that both operands can have quantizers."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


@dataclass(frozen=True)
class LayerGrids:
    """What one layer has instead of the model's: grid of its weights, grid of its input."""

    weight: Grid | None = None
    activation: Grid | None = None


def quantize_(
    model: _Model,
    weight: Grid = Uniform(bits=8),  # noqa: B008 - frozen
    activation: Grid = Uniform(bits=8),  # noqa: B008 - frozen
    *,
    skip: Collection[str] = (),
    overrides: Mapping[str, LayerGrids] | None = None,
    input: Grid = Uniform(bits=8),  # noqa: B008 - frozen
    input_range: tuple[float, float] | None = (0.0, 1.0),
) -> _Model:
    """Adds quantizers to `model` in place and returns it; `calibrate` then sets the activations'.

    `skip` and `overrides` name modules as in `model.named_modules()`. The model's input gets the
    grid `input` over `input_range`, by default 8-bit pixels in [0, 1]: scale 1/255, zero point 0;
    None calibrates it. Adds and average pools take `activation` too, or 8 bits where that is
    binary, since a sum of signs would lose the residual.

    Raises McugenError for unknown names, a model quantized before, and weights NaN or infinite.
    """
    overrides = overrides or {}
    _check_names(model, skip, overrides)
    faults: list[Fault] = []
    _add_input(model, input, input_range)
    for name, module in list(model.named_modules()):
        if name in skip or not isinstance(module, (*_WEIGHTED, *_POOLS, Add)):
            continue
        own = overrides.get(name, LayerGrids())
        grid = settle(own.activation or activation, weight=False)
        if isinstance(module, _WEIGHTED):
            try:
                _add_weight(module, own.weight or weight)
            except McugenError as error:
                faults += [Fault(f.what, at=f"{name}.weight", help=f.help) for f in error.faults]
        elif own.activation is None and grid.count == 2:
            grid = settle(Uniform(bits=8), weight=False)
        _add_operands(module, grid)
    if faults:
        raise McugenError("quant", faults)
    return model


def _check_names(
    model: nn.Module, skip: Collection[str], overrides: Mapping[str, LayerGrids]
) -> None:
    modules = dict(model.named_modules())
    if any(isinstance(module, Quantizer) for module in modules.values()):
        raise fail("quant", "the model is quantized already", help="start from the float model")
    known = [n for n, m in modules.items() if isinstance(m, (*_WEIGHTED, *_POOLS, Add))]
    for name in (*skip, *overrides):
        if name not in known:
            raise fail("quant", "no layer of this name", got=repr(name), want=", ".join(known))


def _add_input(model: nn.Module, grid: Grid, bounds: tuple[float, float] | None) -> None:
    quantizer = make_quantizer(settle(grid, weight=False), CHANNEL_AXIS)
    if bounds is not None:
        observer = Observer()
        observer.add(torch.tensor([bounds]))
        quantizer.fit(observer)
        for parameter in quantizer.parameters():
            parameter.requires_grad_(False)  # the sensor's scale is a fact, not a parameter
    model.add_module("input_quantizer", quantizer)
    if isinstance(model, nn.Sequential):  # runs all its children in order, so this one comes first
        children = model._modules
        for name in [name for name in children if name != "input_quantizer"]:
            children[name] = children.pop(name)
    else:
        model.register_forward_pre_hook(_quantize_input)


def _add_weight(module: nn.Module, grid: Grid) -> None:
    quantizer = make_quantizer(settle(grid, weight=True), axis=0)
    refit_weight(quantizer, module.weight, search=False)  # type: ignore[arg-type]
    parametrize.register_parametrization(module, "weight", quantizer)


def refit_weight(quantizer: Quantizer, weight: Tensor, search: bool) -> None:
    """Sets a weight quantizer's parameters from the weight `[out, …]` itself."""
    observer = Observer()
    observer.add(quantizer.rows(weight))
    quantizer.fit(observer, search=search)


def _add_operands(module: nn.Module, grid: Grid) -> None:
    count = 2 if isinstance(module, Add) else 1
    quantizers = [make_quantizer(grid, CHANNEL_AXIS) for _ in range(count)]
    module.add_module("operand_quantizers", nn.ModuleList(quantizers))
    module.register_forward_pre_hook(_quantize_operands)


def _quantize_input(model: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    quantizer: nn.Module = model.input_quantizer  # type: ignore[assignment]
    return (quantizer(args[0]), *args[1:])


def _quantize_operands(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    quantizers: nn.ModuleList = module.operand_quantizers  # type: ignore[assignment]
    return tuple(quantizer(x) for quantizer, x in zip(quantizers, args, strict=True))


@torch.no_grad()
def snap_weights_(model: nn.Module) -> None:
    """Replaces every latent weight by its value on the grid.

    Straight-through training parks weights close to a border between two levels, where another
    precision or another order of operations could round them differently.
    """
    for module in model.modules():
        if not parametrize.is_parametrized(module, "weight"):
            continue
        chain: Any = module.parametrizations["weight"]  # type: ignore[index]
        if isinstance(chain[0], Quantizer):
            chain.original.copy_(chain[0](chain.original))
