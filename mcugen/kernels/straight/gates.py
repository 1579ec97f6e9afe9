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
    PARAMETER = auto()
    """Word `index` of the parameters, whose address no gate computes with."""
    BYTES = auto()
    """The word at byte `index` behind an address."""
    EVEN = auto()
    """Bytes 0 and 2 of a word as two numbers of 16 bits."""
    ODD = auto()
    """Bytes 1 and 3, likewise."""
    PAIR = auto()
    """The products of both halves of the first two operands, added to the third."""
    SINGLE = auto()
    """Half `index` of the first operand times half `width` of the second, plus the third."""
    NUMBER = auto()
    """Byte `index` behind an address as a number."""
    JOINED = auto()
    """A number and 2^16 times another."""
    TIMES = auto()
    """The product of the first two operands, added to the third."""
    SCALE = auto()
    """The high word of the product of the first two operands, plus the third."""
    ROUND = auto()
    """The high word of the product of two operands, rounded."""
    LOWER = auto()
    """The operand, one less where it is negative."""
    PLUS = auto()
    SHIFT = auto()
    """The first operand shifted right by the second."""
    SATURATE = auto()
    """The operand shifted right by `index` and brought into the numbers of a byte."""
    PUT = auto()
    """Put the first operand into byte `index` behind the second."""


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
REMADE = (Kind.ROOT, Kind.CONSTANT, Kind.PARAMETER)
#: Pairs in one group of a table, and the most inputs that choose among them.
GROUP_INPUTS = 3
GROUP_WORDS = 2 * 2**GROUP_INPUTS


@dataclass
class Network:
    """A list of gates that grows."""

    gates: list[Gate] = field(default_factory=list)
    _count: int = 0
    _roots: dict[str, int] = field(default_factory=dict)
    _parameters: dict[int, int] = field(default_factory=dict)
    _numbers: dict[tuple[str, int], int] = field(default_factory=dict)

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

    def parameter(self, index: int) -> int:
        """Word `index` of the parameters."""
        if index not in self._parameters:
            self._parameters[index] = self._add(Kind.PARAMETER, index=index)
        return self._parameters[index]

    def bytes(self, name: str, index: int) -> int:
        return self._add(Kind.BYTES, self.root(name), index=index)

    def even(self, word: int) -> int:
        return self._add(Kind.EVEN, word)

    def odd(self, word: int) -> int:
        return self._add(Kind.ODD, word)

    def pair(self, numbers: int, weights: int, total: int) -> int:
        return self._add(Kind.PAIR, numbers, weights, total)

    def single(self, numbers: int, half: int, weights: int, side: int, total: int) -> int:
        """A half of `numbers` times a side of `weights`, 0 for the lower, added to `total`."""
        return self._add(Kind.SINGLE, numbers, weights, total, index=half, width=side)

    def number(self, name: str, index: int) -> int:
        """Byte `index` behind the address in parameter `name`."""
        if (name, index) not in self._numbers:
            self._numbers[name, index] = self._add(Kind.NUMBER, self.root(name), index=index)
        return self._numbers[name, index]

    def joined(self, low: int, high: int) -> int:
        return self._add(Kind.JOINED, low, high)

    def times(self, number: int, weight: int, total: int) -> int:
        return self._add(Kind.TIMES, number, weight, total)

    def scale(self, total: int, multiplier: int, addend: int) -> int:
        return self._add(Kind.SCALE, total, multiplier, addend)

    def round(self, total: int, multiplier: int) -> int:
        return self._add(Kind.ROUND, total, multiplier)

    def lower(self, value: int) -> int:
        return self._add(Kind.LOWER, value)

    def plus(self, a: int, b: int) -> int:
        return self._add(Kind.PLUS, a, b)

    def shift(self, value: int, by: int) -> int:
        return self._add(Kind.SHIFT, value, by)

    def saturate(self, value: int, shift: int) -> int:
        return self._add(Kind.SATURATE, value, index=shift)

    def put(self, value: int, name: str, index: int) -> None:
        self.gates.append(Gate(Kind.PUT, (), (value, self.root(name)), index))

    def _add(
        self, kind: Kind, *operands: int, index: int = 0, width: int = 0, name: str = ""
    ) -> int:
        result = self._count
        self._count += 1
        self.gates.append(Gate(kind, (result,), operands, index, width, name=name))
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
