"""Calibration: where quantizers are needed, and the range of what each one sees."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn

from mcugen.errors import fail
from mcugen.quant.intercept import holder_of
from mcugen.quant.observer import Blindfold, Observer
from mcugen.quant.placement import place
from mcugen.quant.quantizer import Quantizer
from mcugen.quant.weights import quantized_weights, search_weights_

TRACED_SAMPLES = 2
Upstream = Literal["float", "weights", "everything"]


@torch.no_grad()
def calibrate(
    model: nn.Module,
    batches: Iterable[Tensor],
    *,
    percentile: float = 100.0,
    search: bool = False,
    upstream: Upstream = "weights",
) -> None:
    """Sets the activation quantizers of a model that `quantize_` prepared, by running `batches`.

    Ranges are the extremes seen, or the quantiles 100 − p and p for a `percentile` p < 100.
    `search` takes, for weights too, the part of the range with the least squared error. Values
    that never differ from zero get the scale 1. Planes get the basis of least squared error.

    `upstream` says what runs in front of a quantizer that looks at its values: the `float` network,
    the one with quantized `weights`, or the one where `everything` before it is quantized, which
    takes a pass over all batches for each quantizer. The first run of a model places its quantizers
    (`placement.py`): from then on it must make the calls that it made in it.

    Raises McugenError for values NaN or infinite and (all together) for layers that no batch
    reached.
    """
    if not 50.0 < percentile <= 100.0:
        raise fail("calibrate", "percentile out of range", got=str(percentile), want="50 … 100")
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        raise fail("calibrate", "no data to calibrate with")
    holder = holder_of(model)
    training = model.training
    model.eval()
    try:
        if holder.plan is None:
            place(model, first[:TRACED_SAMPLES])
        unfitted = {name: q for name, q in holder.named().items() if not q.fitted}
        if upstream == "float":
            _blindfold(quantizer for quantizer, _ in quantized_weights(model))
        if upstream == "everything":
            parts = [first, *iterator]
            for name, quantizer in unfitted.items():
                _blindfold(q for q in unfitted.values() if not q.fitted)
                _fit(model, {name: quantizer}, parts, percentile, search)
        else:
            _fit(model, unfitted, chain([first], iterator), percentile, search)
    finally:
        for module in model.modules():
            if isinstance(module, Quantizer):
                module.observer = None
        model.train(training)
    if search:
        search_weights_(model)


def _blindfold(quantizers: Iterable[Quantizer]) -> None:
    for quantizer in quantizers:
        quantizer.observer = Blindfold()


def _fit(
    model: nn.Module,
    quantizers: Mapping[str, Quantizer],
    batches: Iterable[Tensor],
    percentile: float,
    search: bool,
) -> None:
    observers = {name: Observer(name) for name in quantizers}
    for name, quantizer in quantizers.items():
        quantizer.observer = observers[name]
    for batch in batches:
        model(batch)
    for name, quantizer in quantizers.items():
        quantizer.observer = None
        quantizer.fit(observers[name], percentile, search)
