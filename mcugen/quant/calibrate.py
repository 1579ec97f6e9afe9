"""Calibration: where quantizers are needed, and the range of what each one sees."""

from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor, nn

from mcugen.errors import fail
from mcugen.quant.intercept import ActivationQuantizers, holder_of
from mcugen.quant.observer import Observer
from mcugen.quant.placement import place
from mcugen.quant.weights import search_weights_

TRACED_SAMPLES = 2


@torch.no_grad()
def calibrate(
    model: nn.Module,
    batches: Iterable[Tensor],
    *,
    percentile: float = 100.0,
    search: bool = False,
) -> None:
    """Sets the activation quantizers of a model that `quantize_` prepared, by running `batches`.

    Ranges are the extremes seen, or the quantiles 100 − p and p for a `percentile` p < 100.
    `search` takes, for weights too, the part of the range with the least squared error. Values
    that never differ from zero get the scale 1. The first run of a model places its quantizers
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
        _fit(model, holder, chain([first], iterator), percentile, search)
    finally:
        for quantizer in holder.named().values():
            quantizer.observer = None
        model.train(training)
    if search:
        search_weights_(model)


def _fit(
    model: nn.Module,
    holder: ActivationQuantizers,
    batches: Iterable[Tensor],
    percentile: float,
    search: bool,
) -> None:
    observers = {q: Observer() for q in holder.named().values() if not q.fitted}
    for quantizer, observer in observers.items():
        quantizer.observer = observer
    for batch in batches:
        model(batch)
    for quantizer, observer in observers.items():
        quantizer.observer = None
        quantizer.fit(observer, percentile, search)
