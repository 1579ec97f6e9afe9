"""A routine as assembly for Armv7-M and later (Thumb-2, GNU syntax)."""

from mcugen.kernels.straight.allocate import (
    Allocation,
    Apply,
    Copy,
    Instruction,
    Reload,
    Spill,
    allocate,
)
from mcugen.kernels.straight.gates import GROUP_WORDS, Gate, Kind
from mcugen.kernels.straight.routine import Routine

#: Low registers are preferred: their instructions are shorter.
_REGISTERS = ("lr", "r12", "r11", "r10", "r9", "r8", "r7", "r6", "r5", "r4", "r3", "r2", "r1", "r0")
_SAVED = 9
_OPCODES = {Kind.XOR: "eor", Kind.AND: "and", Kind.OR: "orr", Kind.ANDNOT: "bic"}
_PAIR_SHIFT = 3


def lines(routine: Routine) -> list[str]:
    """The function's body, labels and directives of its section excluded.

    The stack holds the spilled values, then the parameters, those that the caller passed there
    included. The network frees all registers at its end.
    """
    allocation = allocate(routine.gates, _REGISTERS)
    return _Function(routine, allocation).lines()


class _Function:
    def __init__(self, routine: Routine, allocation: Allocation) -> None:
        self._routine, self._allocation = routine, allocation
        # The first four parameters are stored below the saved registers, the rest lies above.
        self._frame = 4 * (allocation.slots + 4)
        self._home = {
            name: 4 * (allocation.slots + index + (_SAVED if index >= 4 else 0))
            for index, name in enumerate(routine.parameters)
        }

    def lines(self) -> list[str]:
        stored = list(self._routine.parameters[:4])
        return [
            "push {r4-r11, lr}",
            f"sub sp, #{self._frame}",
            "cmp r3, #0",
            "beq.w 2f",
            *(f"str r{index}, {self._place(name)}" for index, name in enumerate(stored)),
            "1:",
            *(line for item in self._allocation.instructions for line in self._line(item)),
            *self._advance(),
            "bne.w 1b",
            "2:",
            f"add sp, #{self._frame}",
            "pop {r4-r11, pc}",
        ]

    def _place(self, name: str) -> str:
        return f"[sp, #{self._home[name]}]"

    def _advance(self) -> list[str]:
        """Loads first and together: one behind another takes one cycle."""
        loads, sums, stores = ["ldr r0, " + self._place("count")], ["subs r0, #1"], []
        for index, item in enumerate(self._routine.advances):
            register, step = f"r{2 * index + 1}", f"r{2 * index + 2}"
            loads.append(f"ldr {register}, {self._place(item.root)}")
            if isinstance(item.words, str):
                loads.append(f"ldr {step}, {self._place(item.words)}")
                sums.insert(0, f"add {register}, {register}, {step}, lsl #2")
            else:
                sums.insert(0, f"add {register}, {register}, #{4 * item.words}")
            stores.append(f"str {register}, {self._place(item.root)}")
        return [*loads, *sums, "str r0, " + self._place("count"), *stores]

    def _line(self, item: Instruction) -> list[str]:
        if isinstance(item, Spill):
            return [f"str {item.register}, [sp, #{4 * item.slot}]"]
        if isinstance(item, Reload):
            return [f"ldr {item.register}, [sp, #{4 * item.slot}]"]
        assert isinstance(item, Apply)
        assert not isinstance(item, Copy)
        if item.gate.kind is Kind.ROOT:
            return [f"ldr {item.results[0]}, {self._place(item.gate.name)}"]
        return _gate(item.gate, item.results, item.operands)


def _gate(gate: Gate, results: tuple[str, ...], operands: tuple[str, ...]) -> list[str]:
    if gate.kind in _OPCODES:
        return [_logic(gate.kind, results[0], *operands)]
    if gate.kind is Kind.LOAD:
        return [f"ldr {results[0]}, [{operands[0]}, #{4 * gate.index}]"]
    if gate.kind is Kind.STORE:
        return [f"str {operands[0]}, [{operands[1]}, #{4 * gate.index}]"]
    if gate.kind is Kind.BIT:
        return [f"sbfx {results[0]}, {operands[0]}, #{gate.index}, #1"]
    assert gate.kind is Kind.LOOKUP
    total, carry = results
    place = 4 * GROUP_WORDS * gate.group
    return [
        f"ubfx {carry}, {operands[0]}, #{gate.index}, #{gate.width}",
        f"add {carry}, {operands[1]}, {carry}, lsl #{_PAIR_SHIFT}",
        f"ldr {total}, [{carry}, #{place}]",
        f"ldr {carry}, [{carry}, #{place + 4}]",
    ]


def _logic(kind: Kind, result: str, first: str, second: str) -> str:
    """In the short form where result and first operand are the same low register."""
    if result == second and kind is not Kind.ANDNOT:
        first, second = second, first
    short = result == first and all(register in _LOW for register in (result, second))
    return f"{_OPCODES[kind]}{'s' if short else ''} {result}, {first}, {second}"


_LOW = {f"r{number}" for number in range(8)}
