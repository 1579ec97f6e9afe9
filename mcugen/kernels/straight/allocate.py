"""Registers for a network, gate by gate in order; what has its next use furthest away is spilled.

L. A. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems
Journal 5 (1966): with all uses known, that choice spills least often.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mcugen.kernels.straight.gates import REMADE, Gate, Kind

_NEVER = 1 << 30
_TWO_OPERANDS = (Kind.XOR, Kind.AND, Kind.OR, Kind.ANDNOT)


@dataclass(frozen=True)
class Apply:
    """Compute a gate."""

    gate: Gate
    results: tuple[str, ...]
    operands: tuple[str, ...]


@dataclass(frozen=True)
class Spill:
    slot: int
    register: str


@dataclass(frozen=True)
class Reload:
    register: str
    slot: int


@dataclass(frozen=True)
class Copy:
    target: str
    source: str


Instruction = Apply | Spill | Reload | Copy


@dataclass(frozen=True)
class Allocation:
    instructions: tuple[Instruction, ...]
    slots: int
    """Places for spilled values, numbered from zero."""


def allocate(
    gates: Sequence[Gate],
    registers: Sequence[str],
    *,
    pinned: Mapping[str, str] | None = None,
    destructive: bool = False,
) -> Allocation:
    """Give every value of `gates` a register.

    Args:
        gates: the network.
        registers: those to use, the preferred ones last.
        pinned: registers of their own, not among `registers`, that hold roots throughout.
        destructive: gates of two operands overwrite the first.
    """
    allocator = _Allocator(gates, registers, pinned or {}, destructive)
    for at, gate in enumerate(gates):
        if gate.kind not in REMADE:
            allocator.place(at, gate)
    return Allocation(tuple(allocator.instructions), allocator.slots)


class _Allocator:
    def __init__(
        self,
        gates: Sequence[Gate],
        registers: Sequence[str],
        pinned: Mapping[str, str],
        destructive: bool,
    ) -> None:
        self.instructions: list[Instruction] = []
        self.slots = 0
        self._destructive = destructive
        self._free = list(registers)
        self._register: dict[int, str] = {}
        self._pinned = {
            gate.results[0]: pinned[gate.name]
            for gate in gates
            if gate.kind is Kind.ROOT and gate.name in pinned
        }
        self._slot: dict[int, int] = {}
        self._free_slots: list[int] = []
        self._remade = {gate.results[0]: gate for gate in gates if gate.kind in REMADE}
        self._uses: dict[int, list[int]] = {}
        for at in reversed(range(len(gates))):
            for value in gates[at].operands:
                self._uses.setdefault(value, []).append(at)

    def place(self, at: int, gate: Gate) -> None:
        """Registers for the gate at place `at` of the list."""
        for value in gate.operands:
            self._fetch(value, at, gate.operands)
        operands = tuple(self._at(value) for value in gate.operands)
        if gate.kind is Kind.LOOKUP:
            # Its results are written before its operands are read for the last time.
            results = self._define_pair(at, gate)
            self._release(at, gate)
        elif self._destructive and gate.kind in _TWO_OPERANDS:
            gate, operands = self._ordered(at, gate, operands)
            results = (self._overwrite(at, gate, operands),)
            operands = (results[0], operands[1])
        else:
            self._release(at, gate)
            results = tuple(self._define(value, at, ()) for value in gate.results)
        self.instructions.append(Apply(gate, results, operands))

    def _at(self, value: int) -> str:
        return self._pinned.get(value) or self._register[value]

    def _next(self, value: int, at: int) -> int:
        """Where `value` is used next, at `at` or later."""
        uses = self._uses.get(value, [])
        while uses and uses[-1] < at:
            uses.pop()
        return uses[-1] if uses else _NEVER

    def _fetch(self, value: int, at: int, kept: tuple[int, ...]) -> None:
        if value in self._register or value in self._pinned:
            return
        register = self._define(value, at, kept)
        if value in self._remade:
            self.instructions.append(Apply(self._remade[value], (register,), ()))
        else:
            self.instructions.append(Reload(register, self._slot[value]))

    def _define(self, value: int, at: int, kept: tuple[int, ...]) -> str:
        """A register for `value`, taken from none of `kept`."""
        register = self._free.pop() if self._free else self._evict(at, kept)
        self._register[value] = register
        return register

    def _define_pair(self, at: int, gate: Gate) -> tuple[str, ...]:
        """Registers for two results, in the order in which a load of several fills them."""
        for value in gate.results:
            self._define(value, at, (*gate.operands, *gate.results))
        registers = tuple(sorted(self._register[value] for value in gate.results))
        self._register.update(zip(gate.results, registers, strict=True))
        return registers

    def _evict(self, at: int, kept: tuple[int, ...]) -> str:
        held = [value for value in self._register if value not in kept]
        victim = max(held, key=lambda value: self._next(value, at))
        register = self._register.pop(victim)
        if victim not in self._remade and victim not in self._slot:
            if not self._free_slots:
                self._free_slots.append(self.slots)
                self.slots += 1
            self._slot[victim] = self._free_slots.pop()
            self.instructions.append(Spill(self._slot[victim], register))
        return register

    def _release(self, at: int, gate: Gate) -> None:
        """Free what the gate at `at` used for the last time, and results nobody reads."""
        for value in dict.fromkeys(gate.operands):
            if self._next(value, at + 1) == _NEVER and value in self._register:
                self._free.append(self._register.pop(value))
                if value in self._slot:
                    self._free_slots.append(self._slot.pop(value))

    def _ordered(
        self, at: int, gate: Gate, operands: tuple[str, ...]
    ) -> tuple[Gate, tuple[str, ...]]:
        """The gate with an operand first that it uses for the last time, where it may."""
        first, second = gate.operands
        swap = self._next(first, at + 1) != _NEVER and self._next(second, at + 1) == _NEVER
        if swap and gate.kind is not Kind.ANDNOT:
            return replace(gate, operands=(second, first)), operands[::-1]
        return gate, operands

    def _overwrite(self, at: int, gate: Gate, operands: tuple[str, ...]) -> str:
        """The first operand's register, or a copy of it where the operand is needed later."""
        (result,) = gate.results
        first = gate.operands[0]
        if self._next(first, at + 1) == _NEVER:
            self._release(at, gate)
            self._free.remove(operands[0])
            self._register[result] = operands[0]
            return operands[0]
        register = self._define(result, at, gate.operands)
        self.instructions.append(Copy(register, operands[0]))
        self._release(at, gate)
        return register
