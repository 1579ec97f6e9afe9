"""A routine as assembly for Armv6-M (Thumb, GNU unified syntax).

Only r0 to r7 compute. The high registers hold the roots and, moved in one cycle where the stack
takes four, the first spilled values.
"""

from dataclasses import replace

from mcugen.kernels.straight.allocate import (
    Allocation,
    Apply,
    Copy,
    Instruction,
    Reload,
    Spill,
    allocate,
)
from mcugen.kernels.straight.gates import GROUP_INPUTS, GROUP_WORDS, Gate, Kind
from mcugen.kernels.straight.routine import Routine

_REGISTERS = ("r7", "r6", "r5", "r4", "r3", "r2", "r1", "r0")
_ROOTS = ("r8", "r9", "r11")
_GROUP_STEP = "r12"
_HIGH_SLOTS = ("r10", "lr")
_SAVED = 9
_OPCODES = {Kind.XOR: "eors", Kind.AND: "ands", Kind.OR: "orrs", Kind.ANDNOT: "bics"}
#: A pair takes 2^3 bytes: a pattern of three bits at bit 3 of a word is its offset.
_PAIR_SHIFT = 3
_PATTERN = (2**GROUP_INPUTS - 1) << _PAIR_SHIFT


def lines(routine: Routine) -> list[str]:
    """The function's body, as `thumb2.lines`."""
    gates = _with_masks(routine.gates)
    pinned = {"table": _ROOTS[2]} if "table" in routine.roots else {}
    allocation = allocate(gates, _REGISTERS, pinned=pinned, destructive=True)
    return _Function(routine, allocation).lines()


def _with_masks(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """Look-ups get the mask that cuts out their pattern as an operand."""
    mask = 1 + max(value for gate in gates for value in gate.results)
    masked = [
        replace(gate, operands=(*gate.operands, mask)) if gate.kind is Kind.LOOKUP else gate
        for gate in gates
    ]
    return (Gate(Kind.CONSTANT, (mask,), (), index=_PATTERN), *masked)


class _Function:
    def __init__(self, routine: Routine, allocation: Allocation) -> None:
        self._routine, self._allocation = routine, allocation
        stacked = max(0, allocation.slots - len(_HIGH_SLOTS))
        self._frame = 4 * (stacked + 4)
        self._home = {
            name: 4 * (stacked + index + (_SAVED if index >= 4 else 0))
            for index, name in enumerate(routine.parameters)
        }
        self._root = dict(zip(routine.roots, _ROOTS, strict=True))

    def lines(self) -> list[str]:
        return [
            "push {r4-r7, lr}",
            *(f"mov r{low}, r{low + 4}" for low in range(4, 8)),
            "push {r4-r7}",
            f"sub sp, #{self._frame}",
            "cmp r3, #0",
            "bne 3f",
            "b 2f",
            "3:",
            *(f"str r{at}, {self._place(self._routine.parameters[at])}" for at in (2, 3)),
            *(f"mov {self._root[name]}, r{at}" for at, name in enumerate(self._routine.roots)),
            f"movs r0, #{4 * GROUP_WORDS}",
            f"mov {_GROUP_STEP}, r0",
            "1:",
            *self._rewind(),
            *(line for item in self._allocation.instructions for line in self._line(item)),
            *self._advance(),
            "beq 2f",
            "b 1b",
            "2:",
            f"add sp, #{self._frame}",
            "pop {r4-r7}",
            *(f"mov r{low + 4}, r{low}" for low in range(4, 8)),
            "pop {r4-r7, pc}",
        ]

    def _rewind(self) -> list[str]:
        """Look-ups move the table's address on."""
        if "table" not in self._root:
            return []
        return [f"ldr r0, {self._place('table')}", f"mov {self._root['table']}, r0"]

    def _place(self, name: str) -> str:
        return f"[sp, #{self._home[name]}]"

    def _advance(self) -> list[str]:
        made = []
        for item in self._routine.advances:
            if isinstance(item.words, str):
                made += [f"ldr r0, {self._place(item.words)}", "lsls r0, r0, #2"]
            else:
                made += [f"movs r0, #{4 * item.words}"]
            made += [f"add {self._root[item.root]}, r0"]
        count = self._place("count")
        return [*made, f"ldr r0, {count}", "subs r0, #1", f"str r0, {count}"]

    def _line(self, item: Instruction) -> list[str]:
        if isinstance(item, Copy):
            return [f"mov {item.target}, {item.source}"]
        if isinstance(item, Spill):
            high, place = self._slot(item.slot)
            return [f"mov {high}, {item.register}" if high else f"str {item.register}, {place}"]
        if isinstance(item, Reload):
            high, place = self._slot(item.slot)
            return [f"mov {item.register}, {high}" if high else f"ldr {item.register}, {place}"]
        if item.gate.kind is Kind.ROOT:
            return [f"mov {item.results[0]}, {self._root[item.gate.name]}"]
        return _gate(item)

    def _slot(self, slot: int) -> tuple[str, str]:
        """A slot's high register, or else its place on the stack."""
        if slot < len(_HIGH_SLOTS):
            return _HIGH_SLOTS[slot], ""
        return "", f"[sp, #{4 * (slot - len(_HIGH_SLOTS))}]"


def _gate(item: Apply) -> list[str]:
    gate, results, operands = item.gate, item.results, item.operands
    if gate.kind in _OPCODES:
        return [f"{_OPCODES[gate.kind]} {results[0]}, {operands[1]}"]
    if gate.kind is Kind.CONSTANT:
        return [f"movs {results[0]}, #{gate.index}"]
    if gate.kind is Kind.LOAD:
        return [f"ldr {results[0]}, [{operands[0]}, #{4 * gate.index}]"]
    if gate.kind is Kind.STORE:
        return [f"str {operands[0]}, [{operands[1]}, #{4 * gate.index}]"]
    if gate.kind is Kind.BIT:
        left = f"lsls {results[0]}, {operands[0]}, #{31 - gate.index}"
        return [left, f"asrs {results[0]}, {results[0]}, #31"]
    assert gate.kind is Kind.LOOKUP
    return _lookup(gate, results, operands)


def _lookup(gate: Gate, results: tuple[str, ...], operands: tuple[str, ...]) -> list[str]:
    """Groups come one after another: the table's address moves on with each."""
    word, table, mask = operands
    total, carry = results
    shift = gate.index - _PAIR_SHIFT
    pattern = f"lsrs {carry}, {word}, #{shift}" if shift > 0 else f"lsls {carry}, {word}, #{-shift}"
    return [
        pattern,
        f"ands {carry}, {mask}",
        f"add {carry}, {table}",
        f"ldm {carry}, {{{total}, {carry}}}",
        f"add {table}, {_GROUP_STEP}",
    ]
