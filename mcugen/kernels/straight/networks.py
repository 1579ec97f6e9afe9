"""The networks that binary layers are made of: add the ones among x ⊕ w to bit-sliced counters.

32 output channels lie in the lanes of a word of weights; the input's bits come one after another
and are the same for all lanes.
"""

from mcugen.kernels.straight.adders import Counter
from mcugen.kernels.straight.gates import GROUP_INPUTS, Network

WORD_BITS = 32


def tabulated(inputs: int, planes: int) -> Network:
    """Adds `inputs` bits of `x` by tables of three bits: level 0 of the adders is looked up.

    Group g of `table` (see `groups`) holds for each of eight patterns the sum and the carry of the
    three words x_i ⊕ w_i. Roots: counter, x, table.
    """
    net = Network()
    counter = Counter(net, planes)
    word = -1  # Bit 0 comes first and loads it.
    for group, (first, width) in enumerate(groups(inputs)):
        if first % WORD_BITS == 0:
            word = net.load("x", first // WORD_BITS)
        total, carry = net.lookup(word, first % WORD_BITS, width, "table", group)
        counter.word(0, total)
        counter.word(1, carry)
    counter.close()
    return net


def groups(inputs: int) -> list[tuple[int, int]]:
    """First bit and width of every group: threes that do not cross words, the rest in the last."""
    found = []
    for begin in range(0, inputs, WORD_BITS):
        end = min(begin + WORD_BITS, inputs)
        found += [(first, min(GROUP_INPUTS, end - first)) for first in range(begin, end, 3)]
    return found


def prefixed(inputs: int, planes: int) -> Network:
    """Adds `inputs` bits, a multiple of 32, where `x` and `weights` are prefix exclusive ors.

    With p_k = d_1 ⊕ … ⊕ d_k ⊕ z (z: plane 0 before), the pairs that a double full adder of level 0
    takes are there for nothing, and four words cost six gates. Roots: counter, x, weights.
    """
    net = Network()
    counter = Counter(net, planes)
    before, word = counter.sum(0), -1
    for first in range(0, inputs, 4):
        if first % WORD_BITS == 0:
            word = net.load("x", first // WORD_BITS)
        weights = [net.load("weights", first + i) for i in range(4)]
        p1, p2, p3, p4 = (
            net.xor(weight, net.bit(word, first % WORD_BITS + i))
            for i, weight in enumerate(weights)
        )
        carry_odd = net.either(net.xor(before, p2), p1)
        differs = net.without(p3, net.xor(p2, p4))
        before = p4
        counter.replace(0, before)
        counter.pair(1, net.xor(p2, differs), net.xor(carry_odd, differs))
    counter.close()
    return net


def lanewise(inputs: int, planes: int) -> Network:
    """Adds words of `x`, each exclusive or one of `weights`: every lane has an input of its own.

    Roots: counter, x, weights.
    """
    net = Network()
    counter = Counter(net, planes)
    for index in range(inputs):
        counter.word(0, net.xor(net.load("x", index), net.load("weights", index)))
    counter.close()
    return net
