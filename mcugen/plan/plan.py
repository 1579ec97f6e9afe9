"""From a program to an EmitPlan: kernels selected, constants packed, memory laid out, C named.

Everything a template prints is a ready value here; templates loop and test booleans.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from mcugen.ir.program import Program, Value
from mcugen.kernels.constants import literal
from mcugen.kernels.straight.printed import Printed, architecture_macro, printed
from mcugen.plan.arrange import Arrangement, arrange, scratch_of
from mcugen.plan.buffers import aligned
from mcugen.plan.choice import DEFAULT, Wishes
from mcugen.plan.layer import Layer, Location, Places, layer, locate
from mcugen.plan.memory import Arena
from mcugen.plan.names import Names, checked_name, comment
from mcugen.plan.steps import Fused, fuse
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Endpoint:
    """The input or output of a model."""

    value: Value
    location: Location


@dataclass(frozen=True)
class Kept:
    """A state: what lies in memory from run to run."""

    name: str
    """For a comment."""
    location: Location
    initial: str
    """What each element holds after a reset, as C; empty for 0."""


@dataclass(frozen=True)
class Helper:
    """A template in templates/helpers/, and what its functions are made for."""

    template: str
    arguments: tuple[str, ...]


_Role = Literal["input", "output", "scratch", "kept"]


@dataclass(frozen=True)
class Live:
    """A buffer that is in use while some layer runs."""

    role: _Role
    """What the running layer does with it; `kept` is for a later layer."""
    layer: str
    """The layer that stores it; "input" for the model's input."""
    bytes: int


@dataclass(frozen=True)
class EmitPlan:
    """A model, ready to be laid out as C."""

    program: Program
    name: str
    """Prefix of all symbols; `macro` is that of all macros."""
    macro: str
    core: Core
    input: Endpoint
    output: Endpoint
    layers: tuple[Layer, ...]
    helpers: tuple[Helper, ...]
    """Shared functions that kernels call."""
    routines: tuple[Printed, ...]
    """Straight-line routines that kernels call."""
    assembly_macro: str
    """Defined by compilers that can take the routines' assembly."""
    states: tuple[Kept, ...]
    arena_bytes: int
    """Without the states, which lie behind."""
    lower_bound: int
    """No arrangement of these buffers takes less, in this order of layers."""
    exact_order: bool
    """No other order has a lower peak."""
    saved_bytes: int
    """RAM less than without the wish for less takes, for so many cycles more, as predicted."""
    added_cycles: int
    peak_bytes: int
    """What is live at once where it is the most."""
    peak_layer: str | None
    """The layer that needs the most RAM at once; None for a model without layers."""
    peak: tuple[Live, ...]
    """What is in use while it runs."""

    @property
    def state_bytes(self) -> int:
        return sum(aligned(item.location.bytes) for item in self.states)

    @property
    def context_bytes(self) -> int:
        return self.arena_bytes + self.state_bytes

    @property
    def macs(self) -> int:
        return sum(item.macs for item in self.layers)

    @property
    def weight_bytes(self) -> int:
        return sum(item.weight_bytes for item in self.layers)

    @property
    def table_bytes(self) -> int:
        return sum(item.table_bytes for item in self.layers)


def build_plan(program: Program, core: Core, name: str, wishes: Wishes = DEFAULT) -> EmitPlan:
    """The plan of a verified `program` for `core`; `name` prefixes every C symbol.

    Raises:
        McugenError: `name` is no prefix, steps that no kernel computes (all of them), or a solver
            that is wished for and not installed.
    """
    checked_name(name)
    fused = fuse(program)
    arranged = arrange(program, fused, core, wishes)
    found, arena = arranged.taken, arranged.taken.arena
    routines = _routines(found, core)
    states = _states(program, arena.bytes)
    layers = _layers(name, Names(item.name for item in routines), fused, found, states)
    at_peak = 0 <= arena.peak_step < len(layers)
    return EmitPlan(
        program=program,
        name=name,
        macro=name.upper(),
        core=core,
        input=_endpoint(program, fused, arena, program.inputs[0].name),
        output=_endpoint(program, fused, arena, program.output),
        layers=layers,
        helpers=_helpers(found),
        routines=routines,
        assembly_macro=architecture_macro(core),
        states=states,
        arena_bytes=arena.bytes,
        lower_bound=arena.lower_bound,
        exact_order=found.exact_order,
        saved_bytes=arranged.saved_bytes,
        added_cycles=arranged.added_cycles,
        peak_bytes=arena.peak_bytes,
        peak_layer=layers[arena.peak_step].name if at_peak else None,
        peak=_live(found, fused, layers) if at_peak else (),
    )


#: Helpers that call others, which must stand before them.
_CALLERS = ("crossed_sums",)


def _helpers(found: Arrangement) -> tuple[Helper, ...]:
    wanted = sorted({name for item in found.chosen for name in item.recipe.all_helpers})
    parts = sorted((name.split(" ") for name in wanted), key=lambda item: item[0] in _CALLERS)
    return tuple(Helper(f"helpers/{item[0]}.c.j2", tuple(item[1:])) for item in parts)


def _states(program: Program, behind: int) -> tuple[Kept, ...]:
    """One after the other, from byte `behind` on."""
    states = []
    for state in program.states:
        place = locate(state.value.type, behind)
        initial = literal(state.initial) if state.initial else ""
        states.append(Kept(comment(state.value.name[1:]), place, initial))
        behind += aligned(place.bytes)
    return tuple(states)


def _layers(
    name: str, names: Names, fused: Fused, found: Arrangement, states: Sequence[Kept]
) -> tuple[Layer, ...]:
    kept = tuple((state.location.offset, state.location.bytes) for state in states)
    offsets = dict(found.arena.offsets)
    offsets |= {name: at for name, (at, _) in zip(fused.states, kept, strict=True)}
    values = {value: offsets[root] for value, root in fused.roots.items()}
    return tuple(
        layer(
            name=name,
            names=names,
            index=index,
            step=item.step,
            kernel=item.kernel.name,
            recipe=item.recipe,
            places=Places(
                values=values,
                scratch=offsets.get(scratch_of(index)),
                held=kept
                + tuple(
                    (offsets[buffer.name], buffer.bytes)
                    for buffer in found.buffers
                    if buffer.first < index <= buffer.last
                ),
            ),
        )
        for index, item in enumerate(found.chosen)
    )


def _routines(found: Arrangement, core: Core) -> tuple[Printed, ...]:
    wanted = {routine.name: routine for item in found.chosen for routine in item.recipe.routines}
    return tuple(printed(wanted[name], core) for name in sorted(wanted))


def _endpoint(program: Program, fused: Fused, arena: Arena, name: str) -> Endpoint:
    value = program.values[name]
    return Endpoint(value, locate(value.type, arena.offsets[fused.roots[name]]))


def _live(found: Arrangement, fused: Fused, layers: Sequence[Layer]) -> tuple[Live, ...]:
    """What is in use while the layer with the peak runs."""
    index = found.arena.peak_step
    step, scratch = found.chosen[index].step, scratch_of(index)
    titles = {item.value: item.name for item in layers} | {scratch: layers[index].name}
    roles = dict.fromkeys((fused.roots[item.name] for item in step.inputs), "input")
    roles |= {step.output.name: "output", scratch: "scratch"}
    return tuple(
        Live(cast(_Role, roles.get(item.name, "kept")), titles.get(item.name, "input"), item.bytes)
        for item in found.buffers
        if item.first <= index <= item.last
    )
