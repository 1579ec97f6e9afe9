"""Arena planner: an offset for every buffer, from exact lifetimes.

Buffers that live at the same time must not overlap, with one exception: a step may say that its
output may run over an input that it reads for the last time, provided that the input begins far
enough above the output for every byte to be read before it is written.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mcugen.plan.bound import raised_bound
from mcugen.plan.buffers import Buffer, Overlap, Rules, aligned, rules, saved
from mcugen.plan.solver import solved

#: Changes that are tried to the best of the usual orders, and how many pairs of buffers they may
#: look at.
MOVES = 5000
WORK = 4_000_000


@dataclass(frozen=True)
class Arena:
    """Offsets by buffer name, in bytes."""

    offsets: Mapping[str, int]
    bytes: int
    lower_bound: int
    """No offsets for these buffers take less: where it is `bytes`, the plan is proven optimal."""
    peak_step: int
    """The step at which the most bytes live, overlaps granted; the first of them."""
    peak_bytes: int


def plan_arena(
    buffers: Sequence[Buffer],
    overlaps: Iterable[Overlap] = (),
    *,
    moves: int = MOVES,
    exact: bool = False,
) -> Arena:
    """The smallest arena found; the same for the same arguments.

    Args:
        buffers: what needs memory.
        overlaps: which outputs may run over which inputs, each of which must die in the step in
            which the output is born.
        moves: how many changes are tried where the bound is missed.
        exact: let a solver look for less where the bound is missed.

    Raises:
        McugenError: the solver is needed and not installed.
    """
    overlaps = tuple(overlaps)
    peak, peak_step = _peak(buffers, overlaps)
    pairs = rules(buffers, overlaps)
    order = _usual(buffers, pairs)
    bound = raised_bound(buffers, pairs, peak, _total(buffers, _place(order, pairs)))
    best = _place(_improved(order, pairs, bound, moves), pairs)
    if exact and bound < _total(buffers, best):
        best, bound = solved(buffers, pairs, best, bound)
    return Arena(best, _total(buffers, best), bound, peak_step, peak)


def _total(buffers: Sequence[Buffer], offsets: Mapping[str, int]) -> int:
    return max((offsets[item.name] + item.room for item in buffers), default=0)


def _usual(buffers: Sequence[Buffer], pairs: Rules) -> list[Buffer]:
    """The best of the usual orders to place buffers in."""
    orders = [sorted(buffers, key=lambda b: (*key(b), b.name)) for key in _ORDERS]
    return min(orders, key=lambda order: _total(order, _place(order, pairs)))


def _improved(order: list[Buffer], pairs: Rules, enough: int, moves: int) -> list[Buffer]:
    """`order` with buffers moved at random, one at a time, where that costs no byte.

    Half of them end where the arena does, and move ahead.
    """
    offsets, chance = _place(order, pairs), random.Random(0)
    best, least = order, _total(order, offsets)
    for _ in range(min(moves, WORK // (len(pairs.above) or 1))):
        if least <= enough:
            break
        order = best.copy()
        place, to = chance.randrange(len(order)), chance.randrange(len(order))
        if chance.random() < 0.5:
            highest = [i for i, b in enumerate(order) if offsets[b.name] + b.room == least]
            place = chance.choice(highest)
            to = chance.randrange(place + 1)
        order.insert(to, order.pop(place))
        tried = _place(order, pairs)
        if (total := _total(order, tried)) <= least:
            best, least, offsets = order, total, tried
    return best


_ORDERS: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
    lambda b: (-b.room, b.first),
    lambda b: (-b.room * (b.last - b.first + 1), b.first),
    lambda b: (b.first - b.last, -b.room),
    lambda b: (b.first, -b.room),
    lambda b: (-b.last, -b.room),
)


def _place(order: Sequence[Buffer], pairs: Rules) -> dict[str, int]:
    """Offsets by best fit: the tightest gap that holds a buffer, the lowest of equals."""
    offsets: dict[str, int] = {}
    for buffer in order:
        # Open intervals of offsets that are taken by buffers already placed.
        forbidden: list[tuple[int, int]] = []
        for other, above, below, same in pairs.partners.get(buffer.name, ()):
            if (at := offsets.get(other)) is not None:
                low, high = at - above, at + below
                forbidden += [(low, at), (at, high)] if same else [(low, high)]
        offsets[buffer.name] = _tightest(sorted(forbidden))
    return offsets


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


def _peak(buffers: Sequence[Buffer], overlaps: Sequence[Overlap]) -> tuple[int, int]:
    """The most bytes that live at once, and the first step at which they do."""
    by_name = {buffer.name: buffer for buffer in buffers}
    peak, peak_step = 0, 0
    for step in sorted({step for buffer in buffers for step in (buffer.first, buffer.last)}):
        live = sum(item.room for item in buffers if item.first <= step <= item.last)
        live -= _savings(step, by_name, overlaps)
        # Before the first step nothing but the input lives: that is no step to name.
        if live > peak or (live == peak and peak_step < 0):
            peak, peak_step = live, step
    return peak, peak_step


def _savings(step: int, by_name: Mapping[str, Buffer], overlaps: Sequence[Overlap]) -> int:
    """Bytes that overlaps may save at `step`."""
    victims: dict[str, list[tuple[int, int]]] = {}
    for item in overlaps:
        if by_name[item.output].first == step:
            victim = by_name[item.input].room, aligned(item.distance)
            victims.setdefault(item.output, []).append(victim)
    return sum(saved(by_name[output].room, inputs) for output, inputs in victims.items())
