"""From a program to an EmitPlan: kernels selected, constants packed, memory laid out, C named.

Everything a template prints is a ready value here; templates loop and test booleans.
"""

from dataclasses import dataclass
from typing import Literal, cast

from mcugen.ir.program import Program, Value
from mcugen.kernels.straight.printed import Printed, architecture_macro, printed
from mcugen.plan.choice import DEFAULT, Candidate, Wishes, choose
from mcugen.plan.layer import Layer, Location, Places, layer, locate
from mcugen.plan.memory import Arena, Buffer, Overlap, plan_arena
from mcugen.plan.names import Names, checked_name
from mcugen.plan.steps import Fused, fuse
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Endpoint:
    """The input or output of a model."""

    value: Value
    location: Location


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
    helpers: tuple[str, ...]
    """Shared functions that kernels call, each a template in templates/helpers/."""
    routines: tuple[Printed, ...]
    """Straight-line routines that kernels call."""
    assembly_macro: str
    """Defined by compilers that can take the routines' assembly."""
    arena_bytes: int
    lower_bound: int
    peak_layer: str | None
    """The layer that needs the most RAM at once; None for a model without layers."""
    peak: tuple[Live, ...]
    """What is in use while it runs."""

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
        McugenError: `name` is no prefix, or steps that no kernel computes (all of them).
    """
    checked_name(name)
    fused = fuse(program)
    chosen = choose(fused.steps, core, wishes)
    buffers, overlaps = _buffers(program, fused, chosen)
    arena = plan_arena(buffers, overlaps)
    places = {name: arena.offsets[root] for name, root in fused.roots.items()}
    routines = _routines(chosen, core)
    names = Names(item.name for item in routines)
    layers = tuple(
        layer(
            name=name,
            names=names,
            index=index,
            step=item.step,
            kernel=item.kernel.name,
            recipe=item.recipe,
            places=Places(
                values=places,
                scratch=arena.offsets.get(_scratch(index)),
                held=tuple(
                    (arena.offsets[item.name], item.bytes)
                    for item in buffers
                    if item.first < index <= item.last
                ),
            ),
        )
        for index, item in enumerate(chosen)
    )
    at_peak = 0 <= arena.peak_step < len(chosen)
    titles = {item.step.output.name: made.name for item, made in zip(chosen, layers, strict=True)}
    return EmitPlan(
        program=program,
        name=name,
        macro=name.upper(),
        core=core,
        input=_endpoint(program, fused, arena, program.inputs[0].name),
        output=_endpoint(program, fused, arena, program.output),
        layers=layers,
        helpers=tuple(sorted(set[str]().union(*(item.recipe.all_helpers for item in chosen)))),
        routines=routines,
        assembly_macro=architecture_macro(core),
        arena_bytes=arena.bytes,
        lower_bound=arena.lower_bound,
        peak_layer=layers[arena.peak_step].name if at_peak else None,
        peak=_live(buffers, fused, chosen, arena.peak_step, titles) if at_peak else (),
    )


def _routines(chosen: list[Candidate], core: Core) -> tuple[Printed, ...]:
    wanted = {routine.name: routine for item in chosen for routine in item.recipe.routines}
    return tuple(printed(wanted[name], core) for name in sorted(wanted))


def _endpoint(program: Program, fused: Fused, arena: Arena, name: str) -> Endpoint:
    value = program.values[name]
    return Endpoint(value, locate(value.type, arena.offsets[fused.roots[name]]))


def _live(
    buffers: list[Buffer],
    fused: Fused,
    chosen: list[Candidate],
    index: int,
    titles: dict[str, str],
) -> tuple[Live, ...]:
    """What is in use while layer `index` runs; `titles` are the layers' by what they store."""
    step = chosen[index].step
    roles = dict.fromkeys((fused.roots[item.name] for item in step.inputs), "input")
    roles |= {step.output.name: "output", _scratch(index): "scratch"}
    return tuple(
        Live(
            cast(_Role, roles.get(item.name, "kept")),
            titles[step.output.name]
            if item.name == _scratch(index)
            else titles.get(item.name, "input"),
            item.bytes,
        )
        for item in buffers
        if item.first <= index <= item.last
    )


def _scratch(index: int) -> str:
    # Values begin with %, so no value has this name.
    return f"scratch {index}"


def _buffers(
    program: Program, fused: Fused, chosen: list[Candidate]
) -> tuple[list[Buffer], list[Overlap]]:
    """What lies in the arena when, and which outputs may run over which inputs.

    The input is there before the first step, the output after the last.
    """
    source = fused.roots[program.inputs[0].name]
    final = len(chosen)
    born = {source: -1} | {item.step.output.name: i for i, item in enumerate(chosen)}
    dies = dict(born)
    for index, item in enumerate(chosen):
        for operand in item.step.inputs:
            dies[fused.roots[operand.name]] = index
    dies[fused.roots[program.output]] = final
    sizes = {source: locate(program.inputs[0].type, 0).bytes}
    sizes |= {item.step.output.name: item.step.output.storage.bytes for item in chosen}
    buffers = [Buffer(name, sizes[name], born[name], dies[name]) for name in born]
    buffers += [
        Buffer(_scratch(index), item.recipe.scratch_bytes, index, index)
        for index, item in enumerate(chosen)
        if item.recipe.scratch_bytes
    ]
    overlaps: dict[tuple[str, str], int] = {}
    for index, item in enumerate(chosen):
        for operand, distance in zip(item.step.inputs, item.recipe.overlaps, strict=True):
            root = fused.roots[operand.name]
            if distance is not None and dies[root] == index:
                key = (item.step.output.name, root)
                overlaps[key] = max(overlaps.get(key, 0), distance)
    return buffers, [Overlap(*key, distance) for key, distance in overlaps.items()]
