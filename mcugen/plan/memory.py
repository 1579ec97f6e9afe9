"""Arena planner: an offset for every buffer, from exact lifetimes.

Buffers that live at the same time must not overlap, with one exception: a step may say that its
output may run over an input that it reads for the last time, provided that the input begins far
enough above the output for every byte to be read before it is written.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 4
#: Orders tried at random, beside the usual ones, where those miss the lower bound.
SHUFFLES = 40


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


@dataclass(frozen=True)
class Arena:
    """Offsets by buffer name, in bytes."""

    offsets: Mapping[str, int]
    bytes: int
    lower_bound: int
    """Bytes live at the worst step, overlaps granted: no plan for these buffers takes less."""
    peak_step: int
    """That step, the first of them."""


def aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT


def plan_arena(buffers: Sequence[Buffer], overlaps: Iterable[Overlap] = ()) -> Arena:
    """The smallest arena found; the same for the same arguments.

    Each overlap's input must die in the step in which its output is born.
    """
    allowed = {(item.output, item.input): aligned(item.distance) for item in overlaps}
    bound, peak_step = _lower_bound(buffers, allowed)
    best: dict[str, int] | None = None
    best_bytes = 0
    for order in _orders(buffers):
        offsets = _place(order, allowed)
        total = max((offsets[item.name] + item.room for item in order), default=0)
        if best is None or total < best_bytes:
            best, best_bytes = offsets, total
        if best_bytes <= bound:
            break
    return Arena(best or {}, best_bytes, bound, peak_step)


def _orders(buffers: Sequence[Buffer]) -> Iterable[list[Buffer]]:
    keys: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
        lambda b: (-b.room, b.first),
        lambda b: (-b.room * (b.last - b.first + 1), b.first),
        lambda b: (b.first - b.last, -b.room),
        lambda b: (b.first, -b.room),
        lambda b: (-b.last, -b.room),
    )
    for key in keys:
        yield sorted(buffers, key=lambda b: (*key(b), b.name))
    shuffler = random.Random(0)
    for _ in range(SHUFFLES):
        order = sorted(buffers, key=lambda b: b.name)
        shuffler.shuffle(order)
        yield order


def _place(order: Sequence[Buffer], allowed: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Offsets by best fit: the tightest gap that holds a buffer, the lowest of equals."""
    offsets: dict[str, int] = {}
    placed: list[Buffer] = []
    for buffer in order:
        forbidden = sorted(
            _forbidden(buffer, other, offsets[other.name], allowed)
            for other in placed
            if buffer.first <= other.last and other.first <= buffer.last
        )
        offsets[buffer.name] = _tightest(forbidden)
        placed.append(buffer)
    return offsets


def _forbidden(
    buffer: Buffer, other: Buffer, at: int, allowed: Mapping[tuple[str, str], int]
) -> tuple[int, int]:
    """The open interval of offsets that `buffer` may not take because `other` lies at `at`."""
    low, high = at - buffer.room, at + other.room
    if (distance := allowed.get((buffer.name, other.name))) is not None:
        low = at - min(distance, buffer.room)
    elif (distance := allowed.get((other.name, buffer.name))) is not None:
        high = at + min(distance, other.room)
    return low, high


def _tightest(forbidden: Sequence[tuple[int, int]]) -> int:
    """The offset with the least free room behind it that no interval forbids.

    `forbidden` is sorted. Free offsets form closed ranges between the intervals; the room of a
    range is its length, and the one without an end is taken last.
    """
    best: tuple[int, int] | None = None
    free_from = 0
    for low, high in forbidden:
        if low >= free_from and (best is None or low - free_from < best[0]):
            best = (low - free_from, free_from)
        free_from = max(free_from, high)
    return best[1] if best is not None else free_from


def _lower_bound(
    buffers: Sequence[Buffer], allowed: Mapping[tuple[str, str], int]
) -> tuple[int, int]:
    """The most bytes that live at once, and the first step at which they do."""
    by_name = {buffer.name: buffer for buffer in buffers}
    peak, peak_step = 0, 0
    for step in sorted({step for buffer in buffers for step in (buffer.first, buffer.last)}):
        live = sum(item.room for item in buffers if item.first <= step <= item.last)
        live -= _savings(step, by_name, allowed)
        # Before the first step nothing but the input lives: that is no step to name.
        if live > peak or (live == peak and peak_step < 0):
            peak, peak_step = live, step
    return peak, peak_step


def _savings(
    step: int, by_name: Mapping[str, Buffer], allowed: Mapping[tuple[str, str], int]
) -> int:
    """Bytes that overlaps may save at `step`: no output can hide more than itself."""
    saved: dict[str, int] = {}
    for (output, source), distance in allowed.items():
        target, victim = by_name[output], by_name[source]
        if target.first == step:
            room = max(0, min(victim.room, target.room - distance))
            saved[output] = min(target.room, saved.get(output, 0) + room)
    return sum(saved.values())
