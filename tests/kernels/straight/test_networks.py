"""Adder networks count: against plain sums of bits, lane by lane."""

from functools import reduce
from itertools import accumulate
from operator import xor

from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.kernels.straight.adders import Counter
from mcugen.kernels.straight.gates import GROUP_INPUTS, Kind, Network, needed
from mcugen.kernels.straight.networks import groups, prefixed, tabulated
from tests.kernels.straight.evaluate import ALL, count, run

WORD = st.integers(0, ALL)
LANES = range(0, 32, 5)


def words(length: int) -> st.SearchStrategy[list[int]]:
    return st.lists(WORD, min_size=length, max_size=length)


@given(st.data(), st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 9))
def test_counter_adds_words_of_any_level(
    data: st.DataObject, levels: list[int], planes: int
) -> None:
    added = data.draw(words(len(levels)))
    before = data.draw(words(planes))
    net = Network()
    counter = Counter(net, planes)
    for index, level in enumerate(levels):
        counter.word(level, net.load("added", index))
    counter.close()
    after = list(before)
    run(needed(net.gates), {"counter": after, "added": added})
    for lane in LANES:
        want = count(before, lane) + sum(
            (word >> lane & 1) << level for word, level in zip(added, levels, strict=True)
        )
        assert count(after, lane) == want % 2**planes


def table(weights: list[int]) -> list[int]:
    """What the emitted helper `tabulate` makes: sum and carry of each pattern of three inputs."""
    made = []
    for first, width in groups(len(weights)):
        for pattern in range(2**GROUP_INPUTS):
            bits = [
                weights[first + i] ^ (ALL if pattern >> i & 1 else 0) if i < width else 0
                for i in range(GROUP_INPUTS)
            ]
            a, b, c = bits
            made += [a ^ b ^ c, a & b | a & c | b & c]
    return made


def _bit(x: list[int], k: int) -> int:
    return x[k // 32] >> k % 32 & 1


@settings(deadline=None)
@given(st.data(), st.integers(1, 100), st.integers(1, 12))
def test_tabulated_counts_differing_bits(data: st.DataObject, inputs: int, planes: int) -> None:
    weights, x = data.draw(words(inputs)), data.draw(words(-(-inputs // 32)))
    before = data.draw(words(planes))
    after = list(before)
    gates = needed(tabulated(inputs, planes).gates)
    run(gates, {"counter": after, "x": x, "table": table(weights)})
    for lane in LANES:
        differing = sum((word >> lane & 1) != _bit(x, k) for k, word in enumerate(weights))
        assert count(after, lane) == (count(before, lane) + differing) % 2**planes


@settings(deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 12))
def test_prefixed_counts_differing_bits(data: st.DataObject, size: int, planes: int) -> None:
    inputs = 32 * size
    weights, x = data.draw(words(inputs)), data.draw(words(size))
    before = data.draw(words(planes))
    parities = list(accumulate((_bit(x, k) for k in range(inputs)), xor))
    memory = {
        "counter": list(before),
        "x": [
            reduce(xor, (parities[32 * word + bit] << bit for bit in range(32)))
            for word in range(size)
        ],
        "weights": [word ^ before[0] for word in accumulate(weights, xor)],
    }
    run(needed(prefixed(inputs, planes).gates), memory)
    for lane in LANES:
        differing = sum((word >> lane & 1) != _bit(x, k) for k, word in enumerate(weights))
        want = (count(before, lane) + differing) % 2**planes
        assert count(memory["counter"], lane) == want


def test_no_gate_is_idle() -> None:
    for planes in (1, 3, 7, 12):
        gates = needed(tabulated(64, planes).gates)
        used = {value for gate in gates for value in gate.operands}
        assert all(gate.kind is Kind.STORE or not used.isdisjoint(gate.results) for gate in gates)
