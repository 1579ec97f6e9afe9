"""Loads directly behind other accesses, where Armv7-M takes one cycle rather than two for them."""

from collections.abc import Sequence

from mcugen.kernels.straight.allocate import Apply, Copy, Instruction, Reload, Spill
from mcugen.kernels.straight.gates import Kind

_LOADS = (Kind.LOAD, Kind.PARAMETER, Kind.BYTES, Kind.NUMBER)
_STORES = (Kind.STORE, Kind.PUT)


def joined(instructions: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """The same instructions, loads moved up to the access before them where registers allow.

    No access passes another.
    """
    result: list[Instruction] = []
    for item in instructions:
        place = len(result)
        if _loads(item):
            registers = _registers(item)
            at = place - 1
            while at >= 0 and not _accesses(result[at]) and not registers & _registers(result[at]):
                at -= 1
            if at >= 0 and _accesses(result[at]):
                place = at + 1
        result.insert(place, item)
    return tuple(result)


def _loads(item: Instruction) -> bool:
    return isinstance(item, Reload) or (isinstance(item, Apply) and item.gate.kind in _LOADS)


def _accesses(item: Instruction) -> bool:
    stores = isinstance(item, Apply) and item.gate.kind in _STORES
    return stores or isinstance(item, Spill) or _loads(item)


def _registers(item: Instruction) -> set[str]:
    """All that `item` reads or writes."""
    if isinstance(item, Apply):
        return {*item.results, *item.operands}
    if isinstance(item, Copy):
        return {item.target, item.source}
    return {item.register}
