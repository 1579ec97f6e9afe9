"""Bit-sliced counters: 32 counts in the lanes of a few words, word L holding bit L of each.

Words that count 2^L each are added by full adders: five gates turn three words of one level into
one of that level and one of the next. A *double* full adder takes two pairs (x, x ⊕ y) besides the
counter's own word and leaves a pair of the next level, in eight gates rather than ten:

    z + x₁ + y₁ + x₂ + y₂ = z′ + 2·(a + b),  returned as (a, a ⊕ b)
"""

from mcugen.kernels.straight.gates import Network


class Counter:
    """Adds words to the counter of `planes` words at root `name`.

    Carries out of the last plane are lost: the caller sees to it that there are none.
    """

    def __init__(self, network: Network, planes: int, name: str = "counter") -> None:
        self._network, self._planes, self._name = network, planes, name
        self._sums: dict[int, int] = {}
        self._single: dict[int, int] = {}
        self._pair: dict[int, tuple[int, int]] = {}

    def word(self, level: int, value: int) -> None:
        """Add 2^level in every lane where `value` has a one."""
        if level in self._single:
            first = self._single.pop(level)
            self.pair(level, first, self._network.xor(first, value))
        else:
            self._single[level] = value

    def pair(self, level: int, first: int, odd: int) -> None:
        """Add two words of `level`, given as the first and the exclusive or of both."""
        if level not in self._pair:
            self._pair[level] = (first, odd)
            return
        net, (x1, odd1) = self._network, self._pair.pop(level)
        z = self.sum(level)
        differs1, middle = net.xor(z, x1), net.xor(z, odd1)
        carry_odd = net.either(odd1, differs1)
        differs2 = net.without(net.xor(middle, first), odd)
        self._sums[level] = net.xor(middle, odd)
        self.pair(level + 1, net.xor(middle, differs2), net.xor(carry_odd, differs2))

    def sum(self, level: int) -> int:
        """The counter's word of `level`."""
        if level not in self._sums:
            self._sums[level] = self._network.load(self._name, level)
        return self._sums[level]

    def replace(self, level: int, value: int) -> None:
        """Make `value` the counter's word of `level`."""
        self._sums[level] = value

    def close(self) -> None:
        """Add what is left and store the words that changed."""
        for level in range(self._planes):
            if level in self._pair:
                self._close_pair(level)
            if level in self._single:
                self._close_single(level)
            if level in self._sums:
                self._network.store(self._sums[level], self._name, level)

    def _close_pair(self, level: int) -> None:
        net, (first, odd), z = self._network, self._pair.pop(level), self.sum(level)
        if level + 1 < self._planes:
            self.word(level + 1, net.xor(z, net.without(net.xor(z, first), odd)))
        self._sums[level] = net.xor(z, odd)

    def _close_single(self, level: int) -> None:
        net, value, z = self._network, self._single.pop(level), self.sum(level)
        if level + 1 < self._planes:
            self.word(level + 1, net.both(z, value))
        self._sums[level] = net.xor(z, value)
