"""Calibration: which quantizers are needed, and the range of what each one sees."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode

from mcugen.errors import Fault, McugenError, fail
from mcugen.quant.apply import refit_weight
from mcugen.quant.observer import Observer
from mcugen.quant.quantizer import Quantizer

TRACED_SAMPLES = 2
_ATEN = torch.ops.aten
# Ops whose output values are among the input's values, so that the grid stays the same.
_KEEPS_GRID = {
    _ATEN.max_pool2d_with_indices,
    _ATEN.view,
    _ATEN._unsafe_view,
    _ATEN.reshape,
    _ATEN.alias,
    _ATEN.detach,
    _ATEN.clone,
    _ATEN.permute,
    _ATEN.transpose,
    _ATEN.t,
    _ATEN.squeeze,
    _ATEN.unsqueeze,
    _ATEN.slice,
    _ATEN.select,
    _ATEN.expand,
}


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
    `search` takes, for weights too, the part of the range with the least squared error. A
    quantizer whose input is already on a grid with no more levels is dropped; two that see the
    same tensor with the same grid become one. Values that never differ from zero get the scale 1.

    Raises McugenError (all faults together) for values NaN or infinite and for layers that no
    batch reached.
    """
    if not 50.0 < percentile <= 100.0:
        raise fail("calibrate", "percentile out of range", got=str(percentile), want="50 … 100")
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        raise fail("calibrate", "no data to calibrate with")
    training = model.training
    model.eval()
    try:
        _merge(model, first[:TRACED_SAMPLES])
        # A shared quantizer is named after its first place, hence the order.
        pending = {q: name for name, q in reversed(_activations(model)) if not q.fitted}
        _observe(model, pending, chain([first], iterator))
        _fit(pending, percentile, search)
    finally:
        for _, quantizer in _activations(model):
            quantizer.observer = None
        model.train(training)
    if search:
        for module in model.modules():
            if parametrize.is_parametrized(module, "weight"):
                weight: Any = module.parametrizations["weight"]  # type: ignore[index]
                refit_weight(weight[0], weight.original, search=True)


def _holders(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """(layer's name, module that holds it, attribute) of each activation quantizer."""
    for name, module in model.named_modules():
        if isinstance(getattr(module, "input_quantizer", None), Quantizer):
            yield name or "input", module, "input_quantizer"
        quantizers = getattr(module, "operand_quantizers", None)
        if isinstance(quantizers, nn.ModuleList):
            for index, child in quantizers.named_children():
                if isinstance(child, Quantizer):
                    yield name, quantizers, index


def _activations(model: nn.Module) -> list[tuple[str, Quantizer]]:
    return [(name, getattr(holder, key)) for name, holder, key in _holders(model)]


def _observe(model: nn.Module, pending: Iterable[Quantizer], batches: Iterable[Tensor]) -> None:
    for quantizer in pending:
        quantizer.observer = Observer()
    for batch in batches:
        model(batch)


def _fit(pending: dict[Quantizer, str], percentile: float, search: bool) -> None:
    faults = []
    for quantizer, name in pending.items():
        observer = quantizer.observer
        assert observer is not None
        quantizer.observer = None
        if observer.low is None:
            faults.append(Fault("no data reached this layer", at=name, help="skip it"))
        else:
            quantizer.fit(observer, percentile, search)
    if faults:
        raise McugenError("calibrate", faults)


class _Provenance(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows which tensors are on which quantizer's grid through one run of the model."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.owners: dict[int, Quantizer] = {}
        self._alive: list[Tensor] = []  # an id is unique only while its tensor lives

    def mark(self, tensor: Tensor, owner: Quantizer) -> None:
        self.owners[id(tensor)] = owner
        self._alive.append(tensor)

    def __torch_dispatch__(  # type: ignore[no-untyped-def]
        self, func, types, args=(), kwargs=None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        output = result[0] if isinstance(result, tuple | list) and result else result
        if isinstance(output, Tensor):
            self.owners.pop(id(output), None)  # an op in place leaves the grid
            source = args[0] if args else None
            if func.overloadpacket in _KEEPS_GRID and id(source) in self.owners:
                self.mark(output, self.owners[id(source)])
        return result


class _Verdicts:
    """What each call of each quantizer would have it become: itself, nothing, or a twin."""

    def __init__(self, provenance: _Provenance) -> None:
        self.of: dict[Quantizer, set[Quantizer | None]] = {}
        self._provenance = provenance
        self._first: dict[tuple[int, int, object], Quantizer] = {}
        self._alive: list[Tensor] = []

    def hook(self, quantizer: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        assert isinstance(quantizer, Quantizer)
        x = args[0]
        owner = self._provenance.owners.get(id(x))
        if owner is not None and owner.grid.count <= quantizer.grid.count:
            verdict, grid_of = None, owner
        else:
            key = (id(x), x._version, quantizer.grid)
            verdict = grid_of = self._first.setdefault(key, quantizer)
        self.of.setdefault(quantizer, set()).add(verdict)
        self._alive.append(x)
        with torch.utils._python_dispatch._disable_current_modes():
            result = x.clone()  # another tensor than x, which itself stays off the grid
        self._provenance.mark(result, grid_of)
        return result


def _merge(model: nn.Module, batch: Tensor) -> None:
    """Drops quantizers of tensors that are on a grid already, and joins equal ones."""
    provenance = _Provenance()
    verdicts = _Verdicts(provenance)
    handles = []
    unfitted = []
    for _, quantizer in _activations(model):
        handles.append(quantizer.register_forward_hook(verdicts.hook))
        if not quantizer.fitted:
            unfitted.append(quantizer)
            quantizer.observer = Observer()
    try:
        with provenance:
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
        for quantizer in unfitted:
            quantizer.observer = None
    for _, holder, key in list(_holders(model)):
        quantizer = getattr(holder, key)
        decided = verdicts.of.get(quantizer, {quantizer})
        if decided == {None}:
            setattr(holder, key, nn.Identity())
        elif len(decided) == 1:
            setattr(holder, key, decided.pop())
