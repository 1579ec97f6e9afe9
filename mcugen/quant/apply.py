"""`quantize_`: prepares any model for quantization without rewriting it."""

from collections.abc import Collection, Mapping
from typing import TypeVar

import torch
from torch import nn

from mcugen.errors import Fault, McugenError, fail
from mcugen.quant.grid import Grid, Uniform, settle
from mcugen.quant.intercept import ActivationQuantizers, install
from mcugen.quant.observer import Observer
from mcugen.quant.placement import CHANNEL_AXIS
from mcugen.quant.quantizer import Quantizer, make_quantizer
from mcugen.quant.weights import WEIGHTED, quantize_weight
from mcugen.quant.wishes import LayerGrids, Wishes

_Model = TypeVar("_Model", bound=nn.Module)


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

    Weights of Conv2d and Linear get a parametrization. Operands of layers, sums, products, average
    pools and concatenations get their quantizers when `calibrate` first runs the model, which shows
    where such calls are, in whatever module or function: batch norm, activation function and max
    pool then lie between a layer and one quantizer, which is what the integer program folds.

    `skip` and `overrides` name modules as in `model.named_modules()`; a name stands for what that
    module's own code calls. The model's input gets the grid `input` over `input_range`, by default
    8-bit pixels in [0, 1]: scale 1/255, zero point 0; None calibrates it. Sums, products, average
    pools and concatenations take `activation` too, or 8 bits where that is binary, since a sum of
    signs would lose the residual.

    Raises McugenError for unknown names, a model quantized before, and weights NaN or infinite.
    """
    overrides = overrides or {}
    _check_names(model, {*skip, *overrides})
    wishes = Wishes(weight, activation, frozenset(skip), dict(overrides))
    faults: list[Fault] = []
    for name, module in list(model.named_modules()):
        if name in skip or not isinstance(module, WEIGHTED):
            continue
        try:
            quantize_weight(module, "weight", wishes.weight_of(name))
        except McugenError as error:
            faults += [Fault(f.what, at=f"{name}.weight", help=f.help) for f in error.faults]
    if faults:
        raise McugenError("quant", faults)
    install(model, ActivationQuantizers(_input_quantizer(input, input_range), wishes))
    return model


def _check_names(model: nn.Module, names: Collection[str]) -> None:
    modules = dict(model.named_modules())
    if any(isinstance(module, Quantizer) for module in modules.values()):
        raise fail("quant", "the model is quantized already", help="start from the float model")
    known = [name for name, module in modules.items() if isinstance(module, WEIGHTED)]
    for name in sorted(names):
        if name not in modules:
            raise fail("quant", "no layer of this name", got=repr(name), want=", ".join(known))


def _input_quantizer(grid: Grid, bounds: tuple[float, float] | None) -> Quantizer:
    quantizer = make_quantizer(settle(grid, weight=False), CHANNEL_AXIS)
    if bounds is not None:
        observer = Observer()
        observer.add(torch.tensor([bounds]))
        quantizer.fit(observer)
        for parameter in quantizer.parameters():
            parameter.requires_grad_(False)  # the sensor's scale is a fact, not a parameter
    return quantizer
