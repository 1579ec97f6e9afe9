"""Allocations compute what their network does: run on a machine of registers and slots."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.kernels.straight.allocate import Allocation, Copy, Reload, Spill, allocate
from mcugen.kernels.straight.gates import Gate, Kind, Network, needed
from mcugen.kernels.straight.networks import prefixed, tabulated
from tests.kernels.straight.evaluate import ALL, Memory, apply, run

WORD = st.integers(0, ALL)
LOGIC = (Kind.XOR, Kind.AND, Kind.OR, Kind.ANDNOT)


def _execute(allocation: Allocation, memory: Memory, *, destructive: bool) -> None:
    held: dict[str, Any] = {}
    slots: dict[int, Any] = {}
    for item in allocation.instructions:
        if isinstance(item, Spill):
            assert item.slot < allocation.slots
            slots[item.slot] = held[item.register]
        elif isinstance(item, Reload):
            held[item.register] = slots[item.slot]
        elif isinstance(item, Copy):
            held[item.target] = held[item.source]
        else:
            if destructive and item.gate.kind in LOGIC:
                assert item.results[0] == item.operands[0]
            if item.gate.kind is Kind.LOOKUP:
                # It is several instructions: results are written while operands are still read.
                assert set(item.results).isdisjoint(item.operands)
            made = apply(item.gate, [held[name] for name in item.operands], memory)
            held.update(zip(item.results, made, strict=True))


def _check(
    gates: Sequence[Gate], memory: Memory, registers: int, *, destructive: bool
) -> Allocation:
    want = {name: list(words) for name, words in memory.items()}
    run(gates, want)
    names = [f"r{number}" for number in range(registers)]
    allocation = allocate(gates, names, destructive=destructive)
    _execute(allocation, memory, destructive=destructive)
    assert memory == want
    return allocation


@pytest.mark.parametrize("destructive", [False, True])
@given(data=st.data(), registers=st.integers(4, 9), length=st.integers(1, 40))
def test_random_networks(
    destructive: bool, data: st.DataObject, registers: int, length: int
) -> None:
    net = Network()
    values = [net.load("x", index) for index in range(4)]
    for _ in range(length):
        first, second = (data.draw(st.sampled_from(values)) for _ in range(2))
        makers = (net.xor, net.both, net.either, net.without)
        values.append(data.draw(st.sampled_from(makers))(first, second))
    for index in range(4):
        net.store(data.draw(st.sampled_from(values)), "y", index)
    memory = {"x": data.draw(st.lists(WORD, min_size=4, max_size=4)), "y": [0] * 4}
    _check(needed(net.gates), memory, registers, destructive=destructive)


@settings(deadline=None, max_examples=20)
@given(st.randoms(use_true_random=False), st.booleans())
def test_networks_of_layers(random: Any, destructive: bool) -> None:
    memory = {
        name: [random.getrandbits(32) for _ in range(length)]
        for name, length in (("counter", 11), ("x", 2), ("table", 22 * 16), ("weights", 64))
    }
    _check(needed(tabulated(64, 11).gates), memory, 8, destructive=destructive)
    _check(needed(prefixed(64, 11).gates), memory, 8, destructive=destructive)


def test_enough_registers_spill_nothing() -> None:
    memory = {"counter": [7] * 4, "x": [5], "table": list(range(64))}
    allocation = _check(needed(tabulated(8, 4).gates), memory, 14, destructive=False)
    assert allocation.slots == 0


def test_pinned_roots_keep_their_register() -> None:
    gates = needed(tabulated(8, 4).gates)
    names = [f"r{number}" for number in range(8)]
    allocation = allocate(gates, names, pinned={"table": "r11"}, destructive=True)
    for item in allocation.instructions:
        assert "r11" not in getattr(item, "results", ())
        if getattr(item, "gate", None) and item.gate.kind is Kind.LOOKUP:  # type: ignore[union-attr]
            assert item.operands[1] == "r11"  # type: ignore[union-attr]
