"""Gates on 32-bit words. Every value is assigned once, in the order in which gates are listed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """What a gate does; `index`, `width` and `name` are those of the gate."""

    XOR = auto()
    AND = auto()
    OR = auto()
    ANDNOT = auto()
    """The first operand where the second is zero."""
    ROOT = auto()
    """The address that the function's parameter `name` holds."""
    CONSTANT = auto()
    """The number `index`."""
    LOAD = auto()
    """Word `index` behind an address."""
    STORE = auto()
    """Put the first operand into word `index` behind the second."""
    BIT = auto()
    """All lanes as bit `index` of the operand."""
    LOOKUP = auto()
    """Two words from a table of pairs: pair (x >> index) mod 2^width of group `group`."""


@dataclass(frozen=True)
class Gate:
    """One operation; values are numbered from zero."""

    kind: Kind
    results: tuple[int, ...]
    operands: tuple[int, ...]
    index: int = 0
    width: int = 0
    group: int = 0
    name: str = ""


#: What is cheaper to make again than to keep on the stack.
REMADE = (Kind.ROOT, Kind.CONSTANT)
#: Pairs in one group of a table, and the most inputs that choose among them.
GROUP_INPUTS = 3
GROUP_WORDS = 2 * 2**GROUP_INPUTS


@dataclass
class Network:
    """A list of gates that grows."""

    gates: list[Gate] = field(default_factory=list)
    _count: int = 0
    _roots: dict[str, int] = field(default_factory=dict)

    def xor(self, a: int, b: int) -> int:
        return self._add(Kind.XOR, a, b)

    def both(self, a: int, b: int) -> int:
        return self._add(Kind.AND, a, b)

    def either(self, a: int, b: int) -> int:
        return self._add(Kind.OR, a, b)

    def without(self, a: int, b: int) -> int:
        return self._add(Kind.ANDNOT, a, b)

    def root(self, name: str) -> int:
        """The address in parameter `name`."""
        if name not in self._roots:
            self._roots[name] = self._add(Kind.ROOT, name=name)
        return self._roots[name]

    def load(self, name: str, index: int) -> int:
        return self._add(Kind.LOAD, self.root(name), index=index)

    def store(self, value: int, name: str, index: int) -> None:
        self.gates.append(Gate(Kind.STORE, (), (value, self.root(name)), index))

    def bit(self, word: int, index: int) -> int:
        return self._add(Kind.BIT, word, index=index)

    def lookup(self, word: int, first: int, width: int, name: str, group: int) -> tuple[int, int]:
        """The pair that bits `first` … of `word` choose in `group` of the table at `name`."""
        results = (self._count, self._count + 1)
        self._count += 2
        operands = (word, self.root(name))
        self.gates.append(Gate(Kind.LOOKUP, results, operands, first, width, group))
        return results

    def _add(self, kind: Kind, *operands: int, index: int = 0, name: str = "") -> int:
        result = self._count
        self._count += 1
        self.gates.append(Gate(kind, (result,), operands, index, name=name))
        return result


def needed(gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """Those of `gates` that a store depends on."""
    wanted: set[int] = set()
    kept = []
    for gate in reversed(gates):
        if gate.kind is Kind.STORE or not wanted.isdisjoint(gate.results):
            wanted.update(gate.operands)
            kept.append(gate)
    return tuple(reversed(kept))
