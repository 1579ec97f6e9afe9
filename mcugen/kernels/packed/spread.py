"""Bits of a word as numbers at given places: which rotations and masks take each bit once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from mcugen.kernels.storage import WORD_BITS


@dataclass(frozen=True)
class Turn:
    """Number p of the word (bits rotated right by `shift`) & `mask` is bit `taken[p]`, or 0."""

    shift: int
    mask: int
    taken: tuple[int | None, ...]


@cache
def turns(bits: int, places: tuple[int, ...]) -> tuple[Turn, ...]:
    """Few turns that together take each of the `bits` lowest bits of a word once.

    Args:
        bits: 1 to 32.
        places: the lowest bit of each number of a word.
    """
    free = frozenset(range(bits))
    shifts = _exact(free, places) or tuple(_greedy(free, places))
    made = []
    for shift in shifts:
        taken = [bit if bit in free else None for bit in _bits(shift, places)]
        free -= set(taken)
        mask = sum(1 << place for place, bit in zip(places, taken, strict=True) if bit is not None)
        made.append(Turn(shift, mask, tuple(taken)))
    return tuple(made)


def _bits(shift: int, places: tuple[int, ...]) -> list[int]:
    return [(shift + place) % WORD_BITS for place in places]


def _exact(free: frozenset[int], places: tuple[int, ...]) -> tuple[int, ...]:
    """Shifts that take all bits without a gap; none where there are no such."""
    if not free or len(free) % len(places):
        return ()
    first = min(free)
    for place in places:
        shift = (first - place) % WORD_BITS
        taken = frozenset(_bits(shift, places))
        if len(taken) == len(places) and taken <= free:
            rest = _exact(free - taken, places)
            if rest or taken == free:
                return (shift, *rest)
    return ()


def _greedy(free: frozenset[int], places: tuple[int, ...]) -> Iterator[int]:
    while free:
        taken = [free & set(_bits(shift, places)) for shift in range(WORD_BITS)]
        shift = int(np.argmax([len(bits) for bits in taken]))
        free -= taken[shift]
        yield shift
