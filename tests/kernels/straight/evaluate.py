"""A network evaluated gate by gate on Python integers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mcugen.kernels.straight.gates import GROUP_WORDS, Gate, Kind

ALL = 0xFFFF_FFFF
Memory = Mapping[str, list[int]]
"""Words by root; stores change them."""

_LOGIC: dict[Kind, Callable[[int, int], int]] = {
    Kind.XOR: lambda a, b: a ^ b,
    Kind.AND: lambda a, b: a & b,
    Kind.OR: lambda a, b: a | b,
    Kind.ANDNOT: lambda a, b: a & ~b & ALL,
}


def run(gates: Sequence[Gate], memory: Memory) -> None:
    """Run `gates` on `memory`."""
    values: dict[int, Any] = {}
    for gate in gates:
        operands = [values[value] for value in gate.operands]
        values.update(zip(gate.results, apply(gate, operands, memory), strict=True))


def apply(gate: Gate, operands: list[Any], memory: Memory) -> list[Any]:
    """The results of one gate; those of roots are lists of words."""
    if gate.kind in _LOGIC:
        return [_LOGIC[gate.kind](*operands)]
    if gate.kind is Kind.ROOT:
        return [memory[gate.name]]
    if gate.kind is Kind.LOAD:
        return [operands[0][gate.index]]
    if gate.kind is Kind.BIT:
        return [ALL if operands[0] >> gate.index & 1 else 0]
    if gate.kind is Kind.LOOKUP:
        word, table = operands
        pair = GROUP_WORDS * gate.group + 2 * (word >> gate.index & (2**gate.width - 1))
        return list(table[pair : pair + 2])
    assert gate.kind is Kind.STORE
    operands[1][gate.index] = operands[0]
    return []


def count(counter: Sequence[int], lane: int) -> int:
    """The number in one lane of a bit-sliced counter."""
    return sum((word >> lane & 1) << level for level, word in enumerate(counter))
