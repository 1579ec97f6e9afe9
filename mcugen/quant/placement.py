"""Which operands get a quantizer, decided from one run of the model: the plan of `intercept.py`.

A tensor is quantized once, by one quantizer for all that read it, with the widest grid that one of
them wishes; a layer with fewer levels of its own has a second one behind. Nothing is put on
constants, nor on tensors that are on a fitting grid already.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from mcugen.errors import Fault, McugenError
from mcugen.quant.functions import Call, Function, Role
from mcugen.quant.grid import Grid
from mcugen.quant.intercept import (
    ActivationQuantizers,
    Chain,
    Interceptor,
    Site,
    holder_of,
)
from mcugen.quant.observer import Observer
from mcugen.quant.provenance import Known, OnGrid, Provenance
from mcugen.quant.quantizer import make_quantizer
from mcugen.quant.weights import WEIGHTED, quantize_weight, weight_places
from mcugen.quant.wishes import Wish, Wishes

CHANNEL_AXIS = 1


@dataclass(eq=False)
class _Group:
    """The quantizers of one tensor."""

    base: str
    wishes: list[Wish] = field(default_factory=list)
    names: dict[Grid, str] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """The widest wish: what the tensor is put on first."""
        return max((wish.grid for wish in self.wishes), key=lambda grid: grid.count)


@dataclass(eq=False)
class _Use:
    """A tensor as one call reads it (or makes it, for a concatenation)."""

    group: _Group
    wish: Wish
    before: OnGrid | None = None

    @property
    def inherited(self) -> OnGrid | None:
        """The grid that the tensor has from one that it was taken from."""
        return None if self.before is self.group else self.before

    def settle_wish(self) -> None:
        """Tells the group what is wished of it."""
        if self.inherited is None:
            self.group.wishes.append(self.wish)

    def settle_inherited(self) -> None:
        """The same where there is a grid, now that it is decided, and it has too many levels."""
        inherited = self.inherited
        if inherited is not None and not self.wish.met_by(inherited.grid):
            self.group.wishes.append(self.wish)
            self.before = None

    def chain(self, holder: ActivationQuantizers) -> Chain:
        """Names of the quantizers for this use; the group's are made when first used."""
        if self.inherited is not None:
            return ()
        wide, own = self.group.grid, self.wish.grid
        grids = [] if self.before is self.group else [wide]
        if not self.wish.met_by(wide):
            grids.append(own)
        return tuple(self._name(grid, holder) for grid in grids)

    def _name(self, grid: Grid, holder: ActivationQuantizers) -> str:
        if grid not in self.group.names:
            taken, name, number = holder.named(), self.group.base, 2
            while name in taken:
                name, number = f"{self.group.base}_{number}", number + 1
            holder.add_module(name, make_quantizer(grid, CHANNEL_AXIS))
            self.group.names[grid] = name
        return self.group.names[grid]


@dataclass
class _Seen:
    """One call that was seen."""

    site: Site
    operands: list[_Use | None]
    result: _Use | None = None


class _Tracer(Interceptor):
    """Notes every call that needs grids while the model runs in float."""

    def __init__(self, wishes: Wishes, provenance: Provenance) -> None:
        super().__init__()
        self.calls: list[_Seen] = []
        self.bare_weights: dict[Tensor, str] = {}
        self.owners = [""]
        self._wishes = wishes
        self._provenance = provenance
        self._groups: dict[int, _Group] = {}

    def perform(self, call: Call) -> Tensor | None:
        owner, function = self.owners[-1], call.function
        seen = _Seen(Site(owner, function.name), [None for _ in call.operands])
        self.calls.append(seen)
        live = [self._provenance.live(x) for x in call.operands]
        skipped = owner in self._wishes.skip
        if function.role is Role.LAYER and live[0] and not live[1] and not skipped:
            seen.operands[0] = self._use(call.operands[0], owner, function)
            if self._provenance.grid(call.operands[1]) is None:
                self.bare_weights[call.operands[1]] = owner
        elif function.role in (Role.POOL, Role.PAIR) and all(live) and not skipped:
            seen.operands = [self._use(x, owner, function) for x in call.operands]
        elif function.role is not Role.JOIN:
            return None
        result = call.run(call.operands)
        if function.role is Role.JOIN and not skipped:
            seen.result = self._joined(result, owner, function)
        return result

    def leave(self) -> None:
        """The innermost module's code is over."""
        self.owners.pop()

    def _use(self, x: Tensor, owner: str, function: Function) -> _Use:
        value = self._provenance.value(x)
        base = f"{owner.replace('.', '_')}_{function.name}".lstrip("_")
        group = self._groups.setdefault(value, _Group(base))
        wish = self._wishes.operand_of(owner, function.role)
        use = _Use(group, wish, self._provenance.grid(x))
        use.settle_wish()
        return use

    def _joined(self, result: Tensor, owner: str, function: Function) -> _Use | None:
        """A concatenation is one tensor in memory: without a grid from its parts it gets one."""
        live = self._provenance.live(result) and result.is_floating_point()
        if not live or self._provenance.grid(result) is not None:
            return None
        use = self._use(result, owner, function)
        self._provenance.add(result, True, use.group)
        self._groups[self._provenance.value(result)] = use.group
        return use


def place(model: nn.Module, batch: Tensor) -> None:
    """Runs `model` once on `batch` and puts the quantizers in.

    Raises McugenError for layers that the run did not reach, overrides that hold for nothing, and
    weights NaN or infinite.
    """
    holder = holder_of(model)
    provenance = Provenance()
    tracer = _Tracer(holder.wishes, provenance)
    provenance.add(batch, True, Known(holder.named()["input"].grid))
    with _tracing(model, holder, tracer), provenance:
        model(batch)
    _check_reached(model, holder.wishes, {seen.site.owner for seen in tracer.calls})
    _quantize_bare_weights(model, holder.wishes, tracer.bare_weights)
    holder.plan = _plan(holder, tracer.calls)


@contextmanager
def _tracing(model: nn.Module, holder: ActivationQuantizers, tracer: _Tracer) -> Iterator[None]:
    """Has the model run under the tracer, which is told whose code runs."""
    handles = []
    for name, module in model.named_modules():
        handles += [
            module.register_forward_pre_hook(lambda *_, name=name: tracer.owners.append(name)),
            module.register_forward_hook(lambda *_: tracer.leave()),
        ]
    quantizer = holder.named()["input"]
    if not quantizer.fitted:
        quantizer.observer = Observer("input")  # else it refuses to run
    holder.tracer = tracer
    try:
        yield
    finally:
        holder.tracer = quantizer.observer = None
        for handle in handles:
            handle.remove()


def _check_reached(model: nn.Module, wishes: Wishes, reached: set[str]) -> None:
    faults = []
    for name, module in model.named_modules():
        if isinstance(module, WEIGHTED) and name not in reached and name not in wishes.skip:
            faults.append(Fault("no data reached this layer", at=name, help="skip it"))
    for name in wishes.overrides:
        if name not in reached and not any(fault.at == name for fault in faults):
            want = ", ".join(sorted(reached - {""}))
            faults.append(Fault("nothing here has an operand to quantize", at=name, want=want))
    if faults:
        raise McugenError("calibrate", faults)


def _quantize_bare_weights(model: nn.Module, wishes: Wishes, weights: dict[Tensor, str]) -> None:
    """Quantizes the parameters that `F.conv2d` or `F.linear` was given as a weight."""
    faults = []
    for weight, owner in weights.items():
        for module, name in weight_places(model, weight):
            try:
                quantize_weight(module, name, wishes.weight_of(owner))
            except McugenError as error:
                faults += [replace(fault, at=f"{owner}.{name}") for fault in error.faults]
    if faults:
        raise McugenError("quant", faults)


def _plan(holder: ActivationQuantizers, calls: Sequence[_Seen]) -> tuple[Site, ...]:
    uses = [use for seen in calls for use in (*seen.operands, seen.result) if use is not None]
    for use in uses:
        use.settle_inherited()
    return tuple(
        replace(
            seen.site,
            operands=tuple(use.chain(holder) if use else () for use in seen.operands),
            result=seen.result.chain(holder) if seen.result else (),
        )
        for seen in calls
    )
