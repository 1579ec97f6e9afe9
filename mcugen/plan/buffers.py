"""What lies in the arena, and how two buffers may lie to each other."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 4

#: For every pair of buffers that live together, both ways: if the first begins below the second,
#: the second begins at least that many bytes above it.
Disjoint = Mapping[tuple[str, str], int]


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
    """`output` may lie on `input` if `input` begins at least `distance` bytes above it."""

    output: str
    input: str
    distance: int


def aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT


def disjoint(buffers: Sequence[Buffer], allowed: Mapping[tuple[str, str], int]) -> Disjoint:
    """The distances of all pairs; `allowed` are overlaps: by output and input, aligned."""
    pairs: dict[tuple[str, str], int] = {}
    for one, other in itertools.combinations(buffers, 2):
        if one.first <= other.last and other.first <= one.last:
            for low, high in ((one, other), (other, one)):
                distance = allowed.get((low.name, high.name), low.room)
                pairs[low.name, high.name] = min(distance, low.room)
    return pairs


def saved(room: int, victims: Iterable[tuple[int, int]]) -> int:
    """Bytes that an output of `room` bytes may save by running over inputs that die.

    `victims` are their rooms and least distances. No output can hide more than itself.
    """
    hidden = sum(max(0, min(victim, room - distance)) for victim, distance in victims)
    return min(room, hidden)
