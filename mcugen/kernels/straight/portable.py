"""A network as portable C: one constant per value."""

from mcugen.kernels.straight.gates import GROUP_WORDS, Gate, Kind
from mcugen.kernels.straight.routine import Routine

_OPERATORS = {Kind.XOR: "^", Kind.AND: "&", Kind.OR: "|", Kind.ANDNOT: "& ~"}


def statements(routine: Routine) -> list[str]:
    """The network of `routine`, a statement a line; roots are variables of their names."""
    used = {value for gate in routine.gates for value in gate.operands}
    names = {gate.results[0]: gate.name for gate in routine.gates if gate.kind is Kind.ROOT}
    lines = []
    for gate in routine.gates:
        if gate.kind is not Kind.ROOT:
            operands = [names.get(value, f"v{value}") for value in gate.operands]
            lines += _statements(gate, operands, used)
    return lines


def _statements(gate: Gate, operands: list[str], used: set[int]) -> list[str]:
    if gate.kind is Kind.STORE:
        return [f"{operands[1]}[{gate.index}] = {operands[0]};"]
    if gate.kind is Kind.LOOKUP:
        first, second = gate.results
        word, table = operands
        pattern = f"({word} >> {gate.index}) & {2**gate.width - 1}u"
        base = f"{table} + {GROUP_WORDS * gate.group}" if gate.group else table
        pair = [f"const uint32_t *const p{first} = {base} + 2u * ({pattern});"]
        words = [(first, 0), (second, 1)]
        return pair + [
            f"const uint32_t v{value} = p{first}[{word}];" for value, word in words if value in used
        ]
    return [f"const uint32_t v{gate.results[0]} = {_expression(gate, operands)};"]


def _expression(gate: Gate, operands: list[str]) -> str:
    if gate.kind in _OPERATORS:
        operator = _OPERATORS[gate.kind]
        return f"{operands[0]} {operator}{'' if gate.kind is Kind.ANDNOT else ' '}{operands[1]}"
    if gate.kind is Kind.LOAD:
        return f"{operands[0]}[{gate.index}]"
    assert gate.kind is Kind.BIT  # the only other one that networks hold
    return f"0u - (({operands[0]} >> {gate.index}) & 1u)"
