"""The order of steps that needs the least RAM at once.

What lies in memory after some steps depends on which steps these were, not on their order: so of
all ways to a set of steps done only the best is followed, set by set, from none to all (dynamic
programming over the ideals of the graph). Branches make many sets; where there are more than can
be followed the best stay, and the order found need not be the best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcugen.plan.buffers import saved

#: Sets of steps that are followed at a time, and how many steps may be tried in all.
WIDTH = 2000
TRIALS = 1_000_000


@dataclass(frozen=True)
class Option:
    """What one kernel needs for a step."""

    scratch: int
    """Bytes of its own memory; these and distances are multiples of the arena's alignment."""
    distances: tuple[int | None, ...]
    """For each of the step's inputs: see `Recipe.overlaps`."""


@dataclass(frozen=True)
class Job:
    """A step: values that it reads, the value that it stores, and the kernels that might do it."""

    reads: tuple[str, ...]
    stores: str
    options: tuple[Option, ...]
    after: tuple[str, ...] = ()
    """Values besides that must be stored before."""


@dataclass(frozen=True)
class Order:
    jobs: tuple[int, ...]
    peak: int
    """Bytes that live at its worst step."""
    exact: bool
    """No order has a lower peak."""


@dataclass(frozen=True)
class _State:
    peak: int
    jobs: tuple[int, ...]


class Orders:
    """Orders of `jobs` over values of `rooms` bytes, whose last result is `output`."""

    def __init__(self, jobs: Sequence[Job], rooms: Mapping[str, int], output: str) -> None:
        self._jobs, self._rooms, self._output = jobs, rooms, output
        makers = {job.stores: 1 << index for index, job in enumerate(jobs)}
        self._made = {name: makers.get(name, 0) for name in rooms}
        self._readers = {
            name: sum(1 << i for i, job in enumerate(jobs) if name in job.reads) for name in rooms
        }
        self._before = [
            sum({self._made[name] for name in (*job.reads, *job.after)}) for job in jobs
        ]

    def peak(self, order: Sequence[int]) -> int:
        """Bytes that live at the worst step of `order`."""
        done, peak = 0, 0
        for index in order:
            peak = max(peak, self._held(done) + self._least_added(done, index))
            done |= 1 << index
        return peak

    def need(self, done: int, index: int, option: Option) -> int:
        """Bytes that live while job `index` runs after the jobs `done` (a bit each)."""
        return self._held(done) + self._added(done, index, option)

    def least(self) -> Order:
        """The order with the lowest peak found; of equals one that is near to the given order."""
        width = max(1, min(WIDTH, TRIALS // max(1, len(self._jobs)) ** 2))
        states, exact = {0: _State(0, ())}, True
        for _ in self._jobs:
            states = self._further(states)
            if len(states) > width:
                exact = False
                kept = sorted(states, key=lambda done: (states[done].peak, states[done].jobs))
                states = {done: states[done] for done in kept[:width]}
        (best,) = states.values()
        given = tuple(range(len(self._jobs)))
        if self.peak(given) <= best.peak:
            return Order(given, self.peak(given), exact)
        return Order(best.jobs, best.peak, exact)

    def _further(self, states: Mapping[int, _State]) -> dict[int, _State]:
        """All sets that are one job further, each with the best way there."""
        found: dict[int, _State] = {}
        for done, state in states.items():
            held = self._held(done)
            for index, before in enumerate(self._before):
                if done >> index & 1 or before & ~done:
                    continue
                peak = max(state.peak, held + self._least_added(done, index))
                after, known = done | 1 << index, found.get(done | 1 << index)
                jobs = (*state.jobs, index)
                if known is None or (peak, jobs) < (known.peak, known.jobs):
                    found[after] = _State(peak, jobs)
        return found

    def _held(self, done: int) -> int:
        """Bytes of the values that are in memory after the jobs `done` and still to be read."""
        return sum(
            self._rooms[name]
            for name, made in self._made.items()
            if made & done == made and (self._readers[name] & ~done or name == self._output)
        )

    def _least_added(self, done: int, index: int) -> int:
        return min(self._added(done, index, option) for option in self._jobs[index].options)

    def _added(self, done: int, index: int, option: Option) -> int:
        """Bytes that job `index` needs beside what is held after the jobs `done`."""
        room = self._rooms[self._jobs[index].stores]
        return room + option.scratch - self._saved(done, index, option)

    def _saved(self, done: int, index: int, option: Option) -> int:
        """Bytes of the output that lie on inputs which no later job reads."""
        job = self._jobs[index]
        victims: dict[str, int] = {}
        for name, distance in zip(job.reads, option.distances, strict=True):
            dies = not self._readers[name] & ~(done | 1 << index) and name != self._output
            if distance is not None and dies:
                victims[name] = max(victims.get(name, 0), distance)
        rooms = [(self._rooms[name], distance) for name, distance in victims.items()]
        return saved(self._rooms[job.stores], rooms)
