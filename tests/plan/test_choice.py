"""Kernels are chosen by cycles or by size, and every candidate can be forced."""

import numpy as np
import pytest

from mcugen.errors import McugenError
from mcugen.ir import Int, TensorType, ops
from mcugen.plan.choice import (
    FLASH_SPARE,
    Candidate,
    Optimize,
    Wishes,
    candidates,
    options,
    rounds,
    taken,
)
from mcugen.plan.steps import fuse
from mcugen.target.cores import Core, core_named
from scripts import bench_bytes
from tests.builder import Builder
from tests.programs import random_program

M4 = core_named("cortex-m4")
I8 = Int(8, True, -128, 127)


def choose(steps: tuple, core: Core, wishes: Wishes) -> list[Candidate]:
    return taken(options(steps, core, wishes), wishes)


def _two_layers() -> tuple:
    b = Builder(TensorType((1, 6, 6, 8), I8))
    x = b.op(ops.Conv2d(b.x, b.const(np.ones((8, 3, 3, 8)), I8)))
    return fuse(b.done(b.op(ops.MaxPool(x, window=(2, 2))))).steps


def test_the_fastest_or_the_smallest_comes_first() -> None:
    steps = [s for seed in range(40) for s in fuse(random_program(seed)).steps]
    several = 0
    for step in steps:
        fast = candidates(step, M4, Wishes())
        small = candidates(step, M4, Wishes(Optimize.SIZE))
        assert fast[0].cycles == min(item.cycles for item in fast)
        assert small[0].flash_bytes == min(item.flash_bytes for item in small)
        assert {i.kernel.name for i in fast} == {i.kernel.name for i in small}
        several += len(fast) > 1
    assert several > 10


def test_measured_cycles_take_the_place_of_predicted_ones() -> None:
    conv = _two_layers()[0]
    fast = candidates(conv, M4, Wishes())
    slowest = fast[-1].kernel.name
    measured = {(conv.output.name, slowest): 1}
    assert candidates(conv, M4, Wishes(cycles=measured))[0].kernel.name == slowest


def test_speed_takes_little_flash_unless_all_of_it_may_go() -> None:
    """Winograd's sums of weights for 64 channels take 95 KB more than weights as they are."""
    steps = fuse(bench_bytes.LAYERS["int8 3x3 64 to 64, 8x8"]()).steps
    (thrifty,) = choose(steps, M4, Wishes())
    (lavish,) = choose(steps, M4, Wishes(flash_spare=None))
    (limited,) = choose(steps, M4, Wishes(flash_limit=100_000, flash_spare=None))
    least = min(item.flash_bytes for item in candidates(steps[0], M4, Wishes()))
    assert lavish.cycles < thrifty.cycles
    assert thrifty.flash_bytes <= least + FLASH_SPARE < lavish.flash_bytes
    assert limited.kernel is thrifty.kernel


def test_rounds_take_every_candidate_of_every_step() -> None:
    steps = _two_layers()
    taken = {
        (item.step.output.name, item.kernel.name)
        for wish in rounds(steps, M4)
        for item in choose(steps, M4, wish)
    }
    every = {(s.output.name, c.kernel.name) for s in steps for c in candidates(s, M4, Wishes())}
    assert taken == every


def test_a_kernel_that_cannot_compute_the_step_is_refused() -> None:
    steps = _two_layers()
    wish = Wishes(kernels={steps[0].output.name: "argmax"})
    with pytest.raises(McugenError, match="kernel argmax cannot compute the step"):
        choose(steps, M4, wish)


def _wide_layers() -> tuple:
    """Bit planes that integer levels compute faster and in more flash."""
    b = Builder(TensorType((1, 300), I8))
    table, rising = b.const(np.arange(-40, 40, 12)[None], I8), b.const([1], Int(1, False, 0, 1))
    x = b.op(ops.Threshold(b.x, table, rising, basis=(1, 2, 5)))
    return fuse(b.done(b.op(ops.Linear(x, b.codes((3, 64, 300)))))).steps


def test_a_flash_limit_gives_up_the_fewest_cycles() -> None:
    steps = _wide_layers()
    free = choose(steps, M4, Wishes())
    used = sum(item.flash_bytes for item in free)
    smallest = sum(
        min(item.flash_bytes for item in candidates(step, M4, Wishes())) for step in steps
    )
    assert smallest < used
    for limit in (used, used - 1, smallest, 1):
        kept = choose(steps, M4, Wishes(flash_limit=limit))
        assert sum(item.flash_bytes for item in kept) <= max(limit, smallest)
        same = [item.kernel.name for item in kept] == [item.kernel.name for item in free]
        assert same == (limit == used)
