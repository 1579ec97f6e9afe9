"""What no offsets can undercut: sizes of the arena refuted by what they would force.

Of two buffers that live together one begins above the other, by a known distance at least. In an
arena of a given size each buffer has a first and a last offset that it may begin at. Where these
exclude one of the two ways, the other way holds, and moves the first or last offset of both: until
nothing moves, or a pair has no way left and the size is refuted. (Edge finding, as in job shop
scheduling.) So chains of layers that work in place are bounded by the sum of their distances.
"""

from collections.abc import Sequence

from mcugen.plan.buffers import ALIGNMENT, Buffer, Rules


def raised_bound(buffers: Sequence[Buffer], pairs: Rules, bound: int, reached: int) -> int:
    """The least size from `bound` to `reached` that is not refuted; all below are."""
    low, high = bound // ALIGNMENT, reached // ALIGNMENT
    while low < high:
        middle = (low + high) // 2
        if _refuted(buffers, pairs, middle * ALIGNMENT):
            low = middle + 1
        else:
            high = middle
    return low * ALIGNMENT


def _refuted(buffers: Sequence[Buffer], pairs: Rules, size: int) -> bool:
    first = {item.name: 0 for item in buffers}
    last = {item.name: size - item.room for item in buffers}
    moved = True
    while moved:
        moved = False
        for (one, other), above in pairs.above.items():
            if (one, other) in pairs.same:
                continue  # three ways: too many to force one
            below = pairs.above[other, one]
            if first[one] + above <= last[other]:
                continue  # `one` may begin below `other`
            if first[other] + below > last[one]:
                return True
            if first[one] < first[other] + below:
                first[one], moved = first[other] + below, True
            if last[other] > last[one] - below:
                last[other], moved = last[one] - below, True
    return any(first[item.name] > last[item.name] for item in buffers)
