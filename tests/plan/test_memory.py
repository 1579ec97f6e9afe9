"""The arena planner: buffers that live together do not touch, except as a step allows."""

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.plan.buffers import Buffer, Overlap
from mcugen.plan.memory import plan_arena


@pytest.fixture(autouse=True, scope="module")
def few_moves() -> object:
    """What must hold does so however long offsets are searched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mcugen.plan.memory.WORK", 1000)
        yield


@st.composite
def _buffers(draw: st.DrawFn) -> tuple[list[Buffer], list[Overlap]]:
    buffers = []
    for index in range(draw(st.integers(1, 9))):
        first = draw(st.integers(0, 8))
        last = first + draw(st.integers(0, 4))
        buffers.append(Buffer(f"b{index}", draw(st.integers(1, 90)), first, last))
    overlaps = [
        draw(
            st.one_of(
                st.builds(Overlap, st.just(output.name), st.just(source.name), st.integers(0, 60)),
                st.just(Overlap(output.name, source.name, 0, exact=True)),
            )
        )
        for output, source in itertools.permutations(buffers, 2)
        if output.first == source.last and source.first < output.first and draw(st.booleans())
    ]
    return buffers, overlaps


def _clash(one: Buffer, other: Buffer, offsets: Mapping[str, int]) -> bool:
    a, b = offsets[one.name], offsets[other.name]
    together = one.first <= other.last and other.first <= one.last
    return together and a < b + other.bytes and b < a + one.bytes


@given(_buffers())
def test_invariants(case: tuple[list[Buffer], list[Overlap]]) -> None:
    buffers, overlaps = case
    arena = plan_arena(buffers, overlaps)
    allowed = {(item.output, item.input): item for item in overlaps}
    for one, other in itertools.combinations(buffers, 2):
        if not _clash(one, other, arena.offsets):
            continue
        pair = (one, other) if (one.name, other.name) in allowed else (other, one)
        names = (pair[0].name, pair[1].name)
        assert names in allowed
        above = arena.offsets[names[1]] - arena.offsets[names[0]]
        assert above >= allowed[names].distance
        assert above == 0 or not allowed[names].exact
    assert all(offset % 4 == 0 for offset in arena.offsets.values())
    assert arena.bytes == max(arena.offsets[b.name] + b.room for b in buffers)
    assert arena.lower_bound <= arena.bytes
    assert arena.lower_bound >= max(b.bytes for b in buffers)
    assert arena == plan_arena(list(reversed(buffers)), overlaps)


@given(_buffers())
def test_without_overlaps_the_bound_is_the_peak(case: tuple[list[Buffer], list[Overlap]]) -> None:
    buffers, _ = case
    steps = range(14)
    peak = max(sum(b.room for b in buffers if b.first <= s <= b.last) for s in steps)
    assert plan_arena(buffers).lower_bound == peak


def test_small_plans_are_as_small_as_any() -> None:
    """Against every offset that an exhaustive search tries."""
    lives = {"a": (8, 0, 1), "b": (4, 1, 2), "c": (8, 2, 3), "d": (4, 0, 3)}
    buffers = [Buffer(name, *life) for name, life in lives.items()]
    best = min(
        max(o + b.room for o, b in zip(offsets, buffers, strict=True))
        for offsets in itertools.product(range(0, 24, 4), repeat=4)
        if not any(
            _clash(p, q, dict(zip("abcd", offsets, strict=True)))
            for p, q in itertools.combinations(buffers, 2)
        )
    )
    assert plan_arena(buffers).bytes == best


def test_an_output_may_run_over_its_input() -> None:
    buffers = [Buffer("in", 100, -1, 0), Buffer("out", 40, 0, 1)]
    assert plan_arena(buffers).bytes == 140
    assert plan_arena(buffers, [Overlap("out", "in", 0)]).bytes == 100
    arena = plan_arena(buffers, [Overlap("out", "in", 12)])
    assert (arena.bytes, arena.lower_bound) == (112, 112)
    assert arena.offsets["in"] - arena.offsets["out"] == 12


def test_an_output_may_lie_where_its_input_lies_and_nowhere_else() -> None:
    buffers = [Buffer("in", 100, -1, 0), Buffer("out", 40, 0, 1), Buffer("kept", 8, -1, 1)]
    for exact in (False, True):
        arena = plan_arena(buffers, [Overlap("out", "in", 0, exact=True)], exact=exact)
        assert (arena.bytes, arena.lower_bound) == (108, 108)
        assert arena.offsets["in"] == arena.offsets["out"]


def test_nothing_to_place() -> None:
    arena = plan_arena([])
    assert (arena.offsets, arena.bytes, arena.lower_bound) == ({}, 0, 0)
