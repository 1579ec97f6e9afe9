"""Bit planes multiplied as integers: what the interpreter computes, on the host and on cores.

A failure names its program: `conv2d_layer(seed)` or `linear_layer(seed)`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mcugen.ir import Planes, Program, TensorType, ops
from mcugen.kernels import able
from mcugen.plan.steps import fuse
from mcugen.target.cores import Core, core_named
from tests.builder import Builder
from tests.kernels.comparing import (
    compare,
    compare_on_host,
    compile_quietly,
    kernel_names,
    layer_cycles,
)
from tests.kernels.plane_layers import conv2d_layer, linear_layer

M4 = core_named("cortex-m4")
LEVELS = {conv2d_layer: "conv2d_levels", linear_layer: "linear_levels"}
#: All cores and ways to compile that the sums are written for.
BUILDS = [
    ("cortex-m0plus", ()),
    ("cortex-m3", ()),
    ("cortex-m4", ()),
    ("cortex-m4", ("-DMODEL_PORTABLE",)),
    ("cortex-m4", ("-O0",)),
    ("cortex-m33", ("-Os",)),
]


@pytest.mark.parametrize("make", LEVELS)
def test_host_equals_the_interpreter(make: Callable[[int], Program], tmp_path: Path) -> None:
    programs = [make(seed) for seed in range(200, 240)]
    compare_on_host(programs, LEVELS[make], M4, tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang", "cortex-m4", "cortex-m0plus"])
def test_compilers_have_nothing_to_say(compiler: str, tmp_path: Path) -> None:
    layers = [(make(seed), LEVELS[make]) for make in LEVELS for seed in range(20)]
    compile_quietly(layers, M4, compiler, tmp_path)


@pytest.mark.parametrize(("core", "flags"), BUILDS)
@pytest.mark.parametrize("make", LEVELS)
def test_cores_equal_the_interpreter_in_constant_time(
    make: Callable[[int], Program], core: str, flags: Sequence[str], tmp_path: Path
) -> None:
    for seed in range(300, 306):
        _compare(make(seed), core_named(core), flags, tmp_path)


def _compare(program: Program, core: Core, flags: Sequence[str], folder: Path) -> None:
    compare(program, _levels_kernel(program, core), core, flags, folder)


def _levels_kernel(program: Program, core: Core) -> str:
    (name,) = (name for name in kernel_names(program, core) if name.endswith("_levels"))
    return name


def _linear(basis: tuple[int, ...], weight: int, zero: int = 0, inputs: int = 1) -> Program:
    b = Builder(TensorType((1, inputs), Planes(basis)))
    signs = np.where(np.arange(3 * inputs) % 3, 1, -1).reshape(1, 3, inputs)
    weights = b.const(signs * weight, Planes((abs(weight),)))
    return b.done(b.op(ops.Linear(b.x, weights, x_zero=zero)))


@pytest.mark.parametrize(("core", "flags"), BUILDS)
def test_widest_numbers(core: str, flags: Sequence[str], tmp_path: Path) -> None:
    """Inputs and weights at the ends of 16 bits; sums whose parts wrap around 32 bits."""
    for program in (
        _linear((16383,), 32767),
        _linear((16383,), 32767, zero=16384),
        _linear((1, 16382), 32767, zero=-32768 - 16383),
        _linear((16383,), 32767, zero=-16383, inputs=2),
        _linear((8000, 8383), 1023, inputs=127),
    ):
        _compare(program, core_named(core), flags, tmp_path)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4"])
def test_sizes_beyond_what_instructions_hold(core: str, tmp_path: Path) -> None:
    """A run of 80 KB, and more runs than an immediate counts."""
    _compare(_linear((1, 2), 3, inputs=40_000), core_named(core), (), tmp_path)
    b = Builder(TensorType((1, 1, 2200, 1), Planes((1, 2))))
    weights = b.codes((2, 2, 1, 1100, 1))
    _compare(
        b.done(b.op(ops.Conv2d(b.x, weights, dilation=(1, 2)))), core_named(core), (), tmp_path
    )


def test_wider_numbers_are_declined() -> None:
    assert "linear_levels" not in kernel_names(_linear((16384,), 1), M4)
    assert "linear_levels" not in kernel_names(_linear((16383,), 1, zero=16385), M4)
    assert "linear_levels" not in kernel_names(_linear((1,), 32768), M4)


def _wide_convolution(planes: int, edge: int, channels: int, outputs: int) -> Program:
    b = Builder(TensorType((1, edge, edge, channels), Planes(tuple(2 ** np.arange(planes)))))
    weights = b.codes((planes, outputs, 3, 3, channels))
    return b.done(b.op(ops.Conv2d(b.x, weights, padding=(1, 1, 1, 1))))


def _wide_linear(inputs: int, outputs: int) -> Program:
    b = Builder(TensorType((1, inputs), Planes((1, 2, 4))))
    return b.done(b.op(ops.Linear(b.x, b.codes((3, outputs, inputs)))))


def test_sums_take_little_more_than_a_cycle_per_product(tmp_path: Path) -> None:
    pytest.importorskip("unicorn")
    convolution = _wide_convolution(3, 8, 64, 64)
    taken = layer_cycles(convolution, "conv2d_levels", M4, tmp_path / "conv")
    assert taken <= 1.15 * fuse(convolution).steps[0].macs
    linear = _wide_linear(1024, 64)
    assert layer_cycles(linear, "linear_levels", M4, tmp_path / "fc") <= 1.5 * 1024 * 64


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4"])
@pytest.mark.parametrize(
    "program",
    [
        _wide_convolution(3, 8, 64, 16),
        _wide_convolution(2, 9, 16, 10),
        _wide_convolution(1, 7, 24, 64),
        _wide_linear(1024, 64),
        _wide_linear(300, 10),
    ],
    ids=["3x64to16", "2x16to10", "1x24to64", "1024to64", "300to10"],
)
def test_cost_is_near_what_the_cycle_model_counts(
    core: str, program: Program, tmp_path: Path
) -> None:
    pytest.importorskip("unicorn")
    (step,) = fuse(program).steps
    name = _levels_kernel(program, core_named(core))
    (kernel,) = (item for item in able(step, core_named(core)) if item.name == name)
    counted = layer_cycles(program, name, core_named(core), tmp_path)
    assert kernel.cost(step, core_named(core)) == pytest.approx(counted, rel=0.15)
