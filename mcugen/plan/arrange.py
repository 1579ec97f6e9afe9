"""Kernels, order and offsets of a program's steps, which RAM ties together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mcugen.ir.program import Program
from mcugen.kernels.storage import storage_of
from mcugen.plan.buffers import Buffer, Overlap, aligned
from mcugen.plan.choice import Candidate, Optimize, Wishes, options, taken
from mcugen.plan.memory import MOVES, Arena, plan_arena
from mcugen.plan.order import Job, Option, Orders
from mcugen.plan.steps import Fused
from mcugen.target.cores import Core

#: Other kernels that are tried for single steps with --optimize ram, and changes of offsets then.
TRIALS, FEW_MOVES = 100, 100


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Steps with their kernels in the order in which they run, and where everything lies."""

    chosen: tuple[Candidate, ...]
    buffers: tuple[Buffer, ...]
    arena: Arena
    exact_order: bool
    """No order of these steps has a lower peak."""

    @cached_property
    def cycles(self) -> int:
        return sum(item.cycles for item in self.chosen)

    @cached_property
    def kernels(self) -> dict[str, str]:
        """By the value that a step stores."""
        return {item.step.output.name: item.kernel.name for item in self.chosen}


def scratch_of(index: int) -> str:
    """The name of the buffer that is the scratch memory of step `index`."""
    # Values begin with %, so no value has this name.
    return f"scratch {index}"


class Arranger:
    """Arranges the steps of one program."""

    def __init__(self, program: Program, fused: Fused, core: Core, wishes: Wishes) -> None:
        self._fused, self._wishes = fused, wishes
        self._source = fused.roots[program.inputs[0].name]
        self._output = fused.roots[program.output]
        self._bytes = {self._source: storage_of(program.inputs[0].type).bytes}
        self._bytes |= {
            step.output.name: 0 if fused.writes(step) else step.output.storage.bytes
            for step in fused.steps
        }
        self._options = options(fused.steps, core, wishes)

    def fastest(self) -> Arrangement:
        """Whatever RAM it takes; or the smallest, where flash is what is wanted least."""
        return self._arranged(taken(self._options, self._wishes))

    def least(self) -> Arrangement:
        """As little RAM as was found; of plans that take as much, as few cycles.

        Kernels are taken that keep to the least peak that any kernels reach, the fastest of
        these, or the fastest of all where that takes no more; then single kernels are
        exchanged where that saves RAM, or cycles at no RAM.
        """
        needs = self._needs()
        lowest = self._within(max(map(min, needs), default=0), needs)
        found = min(self.fastest(), lowest, key=_cost)
        trials = TRIALS
        for index, candidates in enumerate(self._options):
            for other in candidates:
                if trials == 0 or other.kernel.name == found.kernels[other.step.output.name]:
                    continue
                trials, current = trials - 1, self._by_step(found)
                exchanged = [*current[:index], other, *current[index + 1 :]]
                tried = self._arranged(exchanged, FEW_MOVES)
                if _cost(tried) < _cost(found):
                    found = tried
        return min(found, self._arranged(self._by_step(found)), key=_cost)

    def fitting(self, limit: int) -> Arrangement:
        """The fastest plan found that takes `limit` bytes of RAM at most, else the least."""
        needs = self._needs()
        peaks = sorted({need for step in needs for need in step if need <= limit}, reverse=True)
        lowest = max(map(min, needs), default=0)
        for peak in peaks:
            if peak < lowest:
                break
            found = self._within(peak, needs)
            if found.arena.bytes <= limit:
                return found
        return self.least()

    def solved(self, found: Arrangement) -> Arrangement:
        """The same kernels and order, with offsets that a solver looked for.

        Raises:
            McugenError: the solver is needed and not installed.
        """
        return self._placed(found.chosen, found.exact_order, MOVES, exact=True)

    def _needs(self) -> list[list[int]]:
        """Bytes in RAM while a step runs, by step and candidate, in the order best for all."""
        orders = self._orders(self._options)
        needs: list[list[int]] = [[] for _ in self._options]
        done = 0
        for index in orders.least().jobs:
            found = self._job(self._options[index]).options
            needs[index] = [orders.need(done, index, option) for option in found]
            done |= 1 << index
        return needs

    def _within(self, peak: int, needs: list[list[int]]) -> Arrangement:
        """The fastest kernels of those that need no more than `peak` bytes."""
        kept = [
            tuple(item for item, need in zip(*pair, strict=True) if need <= peak)
            for pair in zip(self._options, needs, strict=True)
        ]
        return self._arranged(taken(kept, self._wishes))

    def _by_step(self, found: Arrangement) -> list[Candidate]:
        """Kernels in the order of the program."""
        by_value = {item.step.output.name: item for item in found.chosen}
        return [by_value[step.output.name] for step in self._fused.steps]

    def _arranged(self, chosen: Sequence[Candidate], moves: int = MOVES) -> Arrangement:
        """In the order with the lowest peak, where that saves RAM; else in the program's."""
        order = self._orders([(item,) for item in chosen]).least()
        given = self._placed(chosen, order.exact, moves)
        if order.jobs == tuple(range(len(chosen))) or order.peak >= given.arena.bytes:
            return given
        other = self._placed([chosen[index] for index in order.jobs], order.exact, moves)
        return min(given, other, key=lambda item: item.arena.bytes)

    def _orders(self, candidates: Sequence[Sequence[Candidate]]) -> Orders:
        rooms = {name: aligned(size) for name, size in self._bytes.items()}
        return Orders([self._job(items) for items in candidates], rooms, self._output)

    def _job(self, candidates: Sequence[Candidate]) -> Job:
        step = candidates[0].step
        state = self._fused.writes(step)
        return Job(
            reads=tuple(self._distances(candidates[0])),
            stores=step.output.name,
            options=tuple(
                Option(
                    scratch=aligned(item.recipe.scratch_bytes),
                    distances=tuple(
                        None if distance is None else aligned(distance)
                        for distance in self._distances(item).values()
                    ),
                )
                for item in candidates
            ),
            after=tuple(
                other.output.name
                for other in self._fused.steps
                if state in {self._fused.roots[item.name] for item in other.inputs}
            ),
        )

    def _distances(self, item: Candidate) -> dict[str, int | None]:
        """How far each operand in the arena must begin above the output (see `Recipe`)."""
        found: dict[str, int | None] = {}
        for operand, asked in zip(item.step.inputs, item.recipe.overlaps, strict=True):
            root = self._fused.roots[operand.name]
            if root not in self._fused.states:
                distance, known = 0 if item.recipe.in_place else asked, found.get(root, 0)
                found[root] = None if distance is None or known is None else max(distance, known)
        return found

    def _placed(
        self, chosen: Sequence[Candidate], exact_order: bool, moves: int, exact: bool = False
    ) -> Arrangement:
        buffers, overlaps = self._buffers(chosen)
        arena = plan_arena(buffers, overlaps, moves=moves, exact=exact)
        return Arrangement(tuple(chosen), tuple(buffers), arena, exact_order)

    def _buffers(self, chosen: Sequence[Candidate]) -> tuple[list[Buffer], list[Overlap]]:
        """What lies in the arena when, and which outputs may run over which inputs.

        The input is there before the first step, the output after the last.
        """
        born = {self._source: -1} | {
            item.step.output.name: index
            for index, item in enumerate(chosen)
            if not self._fused.writes(item.step)
        }
        dies = dict(born)
        for index, item in enumerate(chosen):
            for root in self._distances(item):
                dies[root] = index
        dies[self._output] = len(chosen)
        buffers = [Buffer(name, self._bytes[name], born[name], dies[name]) for name in born]
        buffers += [
            Buffer(scratch_of(index), item.recipe.scratch_bytes, index, index)
            for index, item in enumerate(chosen)
            if item.recipe.scratch_bytes
        ]
        overlaps = [
            Overlap(item.step.output.name, root, distance, item.recipe.in_place)
            for index, item in enumerate(chosen)
            for root, distance in self._distances(item).items()
            if distance is not None and dies[root] == index and item.step.output.name in born
        ]
        return buffers, overlaps


def _cost(found: Arrangement) -> tuple[int, int]:
    return found.arena.bytes, found.cycles


@dataclass(frozen=True, eq=False)
class Arranged:
    """The plan that was wished for, beside the one that heeds cycles (or flash) only."""

    taken: Arrangement
    saved_bytes: int
    """RAM less than the other plan takes, for so many cycles more, as predicted."""
    added_cycles: int


def arrange(program: Program, fused: Fused, core: Core, wishes: Wishes) -> Arranged:
    """Kernels, order and offsets as `wishes` ask; over its RAM limit only where nothing fits.

    Raises:
        McugenError: steps that no kernel computes (all of them); a solver that is not installed.
    """
    arranger = Arranger(program, fused, core, wishes)
    usual = found = arranger.fastest()
    if wishes.optimize is Optimize.RAM:
        found = arranger.solved(arranger.least())
    elif wishes.ram_limit is not None and usual.arena.bytes > wishes.ram_limit:
        found = arranger.fitting(wishes.ram_limit)
    saved, added = usual.arena.bytes - found.arena.bytes, found.cycles - usual.cycles
    return Arranged(found, saved, added)
