"""What lies in the arena, and how two buffers may lie to each other."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

ALIGNMENT = 4


@dataclass(frozen=True)
class Buffer:
    """`bytes` bytes that live from step `first` to step `last`, both included."""

    name: str
    bytes: int
    first: int
    last: int

    @property
    def room(self) -> int:
        return aligned(self.bytes)


@dataclass(frozen=True)
class Overlap:
    """`output` may lie on `input` if `input` begins at least `distance` bytes above it.

    `exact`: only if both begin at the same byte; `distance` is 0 then.
    """

    output: str
    input: str
    distance: int
    exact: bool = False


@dataclass(frozen=True)
class Rules:
    """How buffers that live together may lie to each other.

    `above`: for each pair, both ways: if the first begins below the second, the second begins at
    least that many bytes above it. `same`: pairs, both ways, that may begin at the same byte too.
    """

    above: Mapping[tuple[str, str], int]
    same: frozenset[tuple[str, str]]

    @cached_property
    def partners(self) -> Mapping[str, Sequence[tuple[str, int, int, bool]]]:
        """Who lives with each buffer, how far above it at least, how far below, and `same`."""
        found: dict[str, list[tuple[str, int, int, bool]]] = {}
        for (one, other), above in self.above.items():
            pair = (other, above, self.above[other, one], (one, other) in self.same)
            found.setdefault(one, []).append(pair)
        return found


def aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT


def rules(buffers: Sequence[Buffer], overlaps: Iterable[Overlap]) -> Rules:
    """The rules of all pairs that live together."""
    allowed = {(item.output, item.input): item for item in overlaps}
    above: dict[tuple[str, str], int] = {}
    for one, other in itertools.combinations(buffers, 2):
        if one.first <= other.last and other.first <= one.last:
            for low, high in ((one, other), (other, one)):
                overlap = allowed.get((low.name, high.name))
                distance = low.room if overlap is None or overlap.exact else overlap.distance
                above[low.name, high.name] = min(aligned(distance), low.room)
    exact = {names for names, overlap in allowed.items() if overlap.exact}
    return Rules(above, frozenset(exact | {(source, output) for output, source in exact}))


def saved(room: int, victims: Iterable[tuple[int, int]]) -> int:
    """Bytes that an output of `room` bytes may save by running over inputs that die.

    `victims` are their rooms and least distances. No output can hide more than itself.
    """
    hidden = sum(max(0, min(victim, room - distance)) for victim, distance in victims)
    return min(room, hidden)
