"""Packed multiplies: what the interpreter computes, on the host and on cores, and their proofs.

A failure names its program: `conv2d_layer(seed)`, `linear_layer(seed)` or `extreme_layer(...)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.errors import McugenError
from mcugen.ir import Program
from mcugen.kernels import able
from mcugen.kernels.packed import sums
from mcugen.kernels.packed.packing import (
    PAIRED,
    Multiply,
    Packing,
    unpacked,
    weight_words,
    widest,
    widest_forms,
)
from mcugen.kernels.packed.schedule import Schedule, prove, schedules
from mcugen.kernels.packed.spread import turns
from mcugen.plan.steps import fuse
from mcugen.target.cores import Core, core_named
from scripts.bench_layers import LAYERS
from tests.kernels.comparing import (
    compare,
    compare_on_host,
    compile_quietly,
    kernel_names,
    layer_cycles,
)
from tests.kernels.narrow_layers import PAIRS, conv2d_layer, extreme_layer, linear_layer

M4 = core_named("cortex-m4")
PACKED = {conv2d_layer: "conv2d_packed", linear_layer: "linear_packed"}
#: Cortex-M3 has SMLAL, Cortex-M0+ MULS only; neither has SMLAD, which linear layers take.
BUILDS = [
    (conv2d_layer, "cortex-m0plus", ()),
    (conv2d_layer, "cortex-m0plus", ("-DMODEL_PORTABLE",)),
    (conv2d_layer, "cortex-m3", ()),
    *(
        (make, core, flags)
        for make in PACKED
        for core, flags in (
            ("cortex-m4", ()),
            ("cortex-m4", ("-DMODEL_PORTABLE",)),
            ("cortex-m4", ("-O0",)),
            ("cortex-m7", ()),
            ("cortex-m33", ("-Os",)),
        )
    ),
]


def _made(
    make: Callable[[int], Program], seeds: range, count: int, core: Core = M4
) -> list[Program]:
    """The first programs that the kernel accepts."""
    programs = (make(seed) for seed in seeds)
    found = [item for item in programs if PACKED[make] in kernel_names(item, core)][:count]
    assert len(found) == count
    return found


@pytest.mark.parametrize("make", PACKED)
def test_host_equals_the_interpreter(make: Callable[[int], Program], tmp_path: Path) -> None:
    programs = _made(make, range(80), 32)
    compare_on_host(programs, PACKED[make], M4, tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang", "cortex-m4"])
def test_compilers_have_nothing_to_say(compiler: str, tmp_path: Path) -> None:
    layers = [
        (program, kernel)
        for make, kernel in PACKED.items()
        for program in _made(make, range(200, 240), 12)
    ]
    compile_quietly(layers, M4, compiler, tmp_path)


@pytest.mark.parametrize(("make", "core", "flags"), BUILDS)
def test_cores_equal_the_interpreter_in_constant_time(
    make: Callable[[int], Program], core: str, flags: Sequence[str], tmp_path: Path
) -> None:
    for program in _made(make, range(300, 330), 5, core_named(core)):
        compare(program, PACKED[make], core_named(core), flags, tmp_path)


@pytest.mark.parametrize("pair", PAIRS)
def test_ends_of_grids(pair: tuple[int, int], tmp_path: Path) -> None:
    """Sums as large as limbs may become, between inputs and weights at the ends of their grids."""
    for seed, core in enumerate(("cortex-m4", "cortex-m4", "cortex-m3", "cortex-m0plus")):
        # Two numbers of 7 bits and what is between them do not fit half a word.
        dense = seed == 0 and max(pair) < 40
        program = extreme_layer(pair, seed, dense=dense)
        kernel = PACKED[linear_layer if dense else conv2d_layer]
        compare(program, kernel, core_named(core), (), tmp_path)


def test_there_are_19_pairs() -> None:
    grids = sorted((2 * h_x + 1, 2 * h_w + 1) for h_x, h_w in PAIRS)
    assert len(grids) == 19
    assert grids[0] == (5, 127)
    assert (23, 23) in grids
    assert grids[-1] == (127, 5)


FORMS = [
    PAIRED,
    *(
        form
        for by in (Multiply.SMLAL, Multiply.SINGLE)
        for pixels, taps, outputs in product((1, 2, 3, 4), (1, 3, 5), (1, 2))
        for form in widest_forms(pixels, taps, outputs, by)
    ),
]


@given(form=st.sampled_from(FORMS), reach=st.integers(1, 60), seed=st.integers(0, 2**32 - 1))
def test_words_hold_their_numbers(form: Packing, reach: int, seed: int) -> None:
    packing = widest(form, u=(-3, 3), v=(-reach, reach))
    if packing is None:
        return
    rng = np.random.default_rng(seed)
    shape = (9, packing.outputs, packing.halves, packing.taps)
    v = rng.choice([-reach, 0, 1, reach], shape)
    words = weight_words(packing, v)
    assert words.min() >= 0
    assert words.max() < 2**32
    np.testing.assert_array_equal(unpacked(packing, words), v)


@given(form=st.sampled_from(FORMS))
def test_biases_that_meet_add_up(form: Packing) -> None:
    for first in range(min(form.pixels, len(form.useful))):
        meeting = [item.bias for item in form.useful if item.output == 0]
        assert sum(meeting[first :: form.pixels]) == form.bias


@given(
    bits=st.integers(1, 32),
    places=st.sampled_from([(0, 13, 16, 29), (0, 9, 16, 25), (0, 16), (0, 10, 20)]),
)
def test_turns_take_each_bit_once(bits: int, places: tuple[int, ...]) -> None:
    taken = [bit for turn in turns(bits, places) for bit in turn.taken if bit is not None]
    assert sorted(taken) == list(range(bits))
    for turn in turns(bits, places):
        for place, bit in zip(places, turn.taken, strict=True):
            assert (turn.mask >> place & 1) == (bit is not None)
            assert bit in (None, (turn.shift + place) % 32)


U = (-11, 11)


def _weights(packing: Packing, steps: int) -> np.ndarray:
    shape = (4 * packing.outputs, 1, steps, packing.halves, packing.taps)
    return np.random.default_rng(3).choice([-11, 11], shape)


def _words(packing: Packing, v: np.ndarray) -> np.ndarray:
    split = v.reshape(-1, packing.outputs, *v.shape[2:])
    return weight_words(packing, np.moveaxis(split, 1, -3))


def _longer(made: Schedule) -> Schedule:
    """The first segment takes a piece of the second."""
    ends, first = list(made.ends), made.ends.index(True)
    ends[first], ends[first + 1] = False, True
    return replace(made, ends=tuple(ends))


@pytest.mark.parametrize(
    "form",
    [
        PAIRED,
        *widest_forms(3, 3, 1, Multiply.SMLAL),
        *widest_forms(2, 1, 2, Multiply.SMLAL),
        widest_forms(2, 2, 1, Multiply.SINGLE)[0],
    ],
)
def test_a_segment_that_is_one_piece_too_long_is_caught(form: Packing) -> None:
    packing = widest(form, u=U, v=U)
    assert packing is not None
    v = _weights(packing, 420)
    made = schedules(packing, v, U)[-1]
    assert made.segments > 2
    prove(packing, made, _words(packing, v), U)
    with pytest.raises(McugenError, match="could overflow"):
        prove(packing, _longer(made), _words(packing, v), U)


def test_products_that_a_schedule_leaves_out_are_caught() -> None:
    packing = widest(PAIRED, u=U, v=U)
    assert packing is not None
    v = _weights(packing, 40)
    made = schedules(packing, v, U)[0]
    with pytest.raises(McugenError, match="does not take in all"):
        prove(packing, replace(made, ends=made.ends[1:]), _words(packing, v), U)


@pytest.mark.parametrize("dense", [False, True])
def test_kernels_are_built_on_proved_schedules_only(
    dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (step,) = fuse(extreme_layer((11, 11), 7, dense=dense)).steps

    def planted(packing: Packing, v: np.ndarray, u: tuple[int, int]) -> list[Schedule]:
        return [_longer(item) for item in schedules(packing, v, u) if item.segments > 1]

    monkeypatch.setattr(sums, "schedules", planted)
    (kernel,) = (item for item in able(step, M4) if item.name.endswith("_packed"))
    with pytest.raises(McugenError, match="could overflow"):
        kernel.build(step, M4)


FIGURES = {
    ("linear 1024 to 64, x 1,2, w 1,2", "cortex-m4"): ("linear_packed", 0.75),
    ("conv 3x3 64 to 64, x 1,2, w 1,2", "cortex-m4"): ("conv2d_packed", 0.60),
    ("conv 3x3 16 to 16, 23 levels by 23", "cortex-m4"): ("conv2d_packed", 0.60),
    ("conv 3x3 32 to 32, 23 levels by 23", "cortex-m4"): ("conv2d_packed", 0.48),
    ("conv 3x3 32 to 32, 23 levels by 23", "cortex-m3"): ("conv2d_packed", 1.15),
    ("conv 3x3 64 to 64, 23 levels by 23", "cortex-m4"): ("conv2d_packed", 0.48),
    ("conv 3x3 32 to 32, 23 levels by 23", "cortex-m0plus"): ("conv2d_packed", 2.5),
    ("conv 1x1 64 to 64, 23 levels by 23", "cortex-m3"): ("conv2d_packed", 2.0),
}


@pytest.mark.parametrize(("layer", "core"), FIGURES)
def test_cycles(layer: str, core: str, tmp_path: Path) -> None:
    pytest.importorskip("unicorn")
    program, (kernel, most) = LAYERS[layer](), FIGURES[layer, core]
    (step,) = fuse(program).steps
    counted = layer_cycles(program, kernel, core_named(core), tmp_path)
    assert counted <= most * step.macs
    (item,) = (item for item in able(step, core_named(core)) if item.name == kernel)
    assert item.cost(step, core_named(core)) == pytest.approx(counted, rel=0.15)
