"""RAM: the least, at a stated price in cycles, and the fastest plan within a limit."""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from mcugen.errors import McugenError
from mcugen.ir import Int, Program, TensorType, ops
from mcugen.plan.arrange import Arranged, Arranger, arrange
from mcugen.plan.choice import DEFAULT, Optimize, Wishes
from mcugen.plan.memory import plan_arena
from mcugen.plan.plan import build_plan
from mcugen.plan.steps import fuse
from mcugen.target.cores import core_named
from tests.builder import Builder
from tests.networks import dscnn, mobilenet, resnet8
from tests.programs import random_program

M4 = core_named("cortex-m4")
I8 = Int(8, True, -128, 127)
LEAST = Wishes(Optimize.RAM)


def _arranged(program: Program, wishes: Wishes = DEFAULT) -> Arranged:
    return arrange(program, fuse(program), M4, wishes)


@pytest.mark.parametrize(
    ("network", "most"), [(resnet8, 37_000), (dscnn, 10_000), (mobilenet, 48_384)]
)
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_known_networks_keep_to_their_goals(
    network: Callable[[], Program], most: int, core: str
) -> None:
    """The fastest kernels, input and output included: not above 0.75 of a greedy planner's."""
    plan = build_plan(network(), core_named(core), "p")
    assert plan.arena_bytes == plan.lower_bound <= most
    assert plan.exact_order


def _planes() -> Program:
    """A convolution that is fast with tables in RAM, between two that keep its operands alive."""
    b = Builder(TensorType((1, 12, 12, 40), I8))
    table, rising = b.const(np.arange(-40, 40, 12)[None], I8), b.const([1], Int(1, False, 0, 1))
    x = b.op(ops.Threshold(b.x, table, rising, basis=(1, 2, 5)))
    x = b.op(ops.Conv2d(x, b.codes((3, 64, 3, 3, 40)), padding=(1, 1, 1, 1)))
    return b.done(b.op(ops.MaxPool(x, window=(12, 12))))


def test_less_ram_costs_what_it_says() -> None:
    fast, small = _arranged(_planes()), _arranged(_planes(), LEAST)
    assert (fast.saved_bytes, fast.added_cycles) == (0, 0)
    assert small.saved_bytes == fast.taken.arena.bytes - small.taken.arena.bytes > 0
    assert small.added_cycles == small.taken.cycles - fast.taken.cycles > 0


@pytest.mark.parametrize("seed", range(25))
def test_the_least_is_never_more(seed: int) -> None:
    program = random_program(seed)
    fast, small = _arranged(program).taken, _arranged(program, LEAST).taken
    assert small.arena.bytes <= fast.arena.bytes
    assert small.arena.bytes < fast.arena.bytes or small.cycles <= fast.cycles


@pytest.mark.parametrize("network", [resnet8, dscnn])
def test_nothing_is_paid_for_nothing(network: Callable[[], Program]) -> None:
    small = _arranged(network(), LEAST)
    assert (small.saved_bytes > 0) == (small.added_cycles > 0)


@pytest.mark.parametrize("make", [_planes, lambda: random_program(3), lambda: random_program(17)])
def test_a_limit_is_kept_by_the_fastest_plan_that_keeps_it(make: object) -> None:
    assert callable(make)
    program = make()
    fast, small = _arranged(program).taken, _arranged(program, LEAST).taken
    most, least = fast.arena.bytes, small.arena.bytes
    assert _arranged(program, Wishes(ram_limit=most)).taken.cycles == fast.cycles
    before = fast.cycles
    for limit in sorted({most - 1, (most + least) // 2, least}, reverse=True):
        if limit >= least:
            found = _arranged(program, Wishes(ram_limit=limit)).taken
            assert found.arena.bytes <= limit
            assert before <= found.cycles <= max(small.cycles, before)
            before = found.cycles
    assert _arranged(program, Wishes(ram_limit=1)).taken.arena.bytes == least


def test_the_solver_agrees_with_the_proofs() -> None:
    for seed in range(40):
        taken = _arranged(random_program(seed)).taken
        again = plan_arena(taken.buffers)
        solved = plan_arena(taken.buffers, exact=True)
        assert solved.bytes == solved.lower_bound <= again.bytes
        if again.bytes == again.lower_bound:
            assert solved == again


def test_a_missing_solver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcugen.plan.memory.WORK", 0)
    programs = map(random_program, range(200))
    arenas = ((program, _arranged(program, LEAST).taken.arena) for program in programs)
    missed = next(program for program, arena in arenas if arena.bytes < _greedy(program))
    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)
    with pytest.raises(McugenError) as caught:
        _arranged(missed, LEAST)
    assert "mcugen[plan]" in str(caught.value)
    _arranged(missed)


def _greedy(program: Program) -> int:
    """Bytes that the kernels with the least RAM take before a solver looks at them."""
    return Arranger(program, fuse(program), M4, LEAST).least().arena.bytes
