"""Depthwise convolutions of bytes, channel by channel: what the interpreter computes.

A failure names its program: `depthwise_layer(seed)`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mcugen.ir import Program, TensorType, ops
from mcugen.kernels import depthwise_planar
from mcugen.plan.steps import fuse
from mcugen.target.cores import Core, core_named
from scripts.bench_bytes import LAYERS
from tests.builder import Builder
from tests.kernels.byte_layers import INT8, depthwise_layer, requantized
from tests.kernels.comparing import (
    compare,
    compare_on_host,
    compile_quietly,
    kernel_names,
    layer_cycles,
)

KERNEL = "depthwise_planar"
M3, M4 = core_named("cortex-m3"), core_named("cortex-m4")
BUILDS = [
    ("cortex-m4", ()),
    ("cortex-m4", ("-DMODEL_PORTABLE",)),
    ("cortex-m7", ("-O0",)),
    ("cortex-m33", ("-Os",)),
    ("cortex-m3", ()),
    ("cortex-m3", ("-DMODEL_PORTABLE",)),
    ("cortex-m0plus", ()),
]
DEPTHWISE = [name for name in LAYERS if "depthwise" in name]


def _taken(seeds: Iterable[int], core: Core) -> list[Program]:
    programs = [depthwise_layer(seed) for seed in seeds]
    return [item for item in programs if KERNEL in kernel_names(item, core)]


@pytest.mark.parametrize("core", [M3, M4], ids=lambda core: core.name)
def test_host_equals_the_interpreter(core: Core, tmp_path: Path) -> None:
    programs = _taken(range(70), core)
    assert len(programs) > 25
    compare_on_host(programs, KERNEL, core, tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang", "cortex-m4", "cortex-m3", "cortex-m0plus"])
def test_compilers_have_nothing_to_say(compiler: str, tmp_path: Path) -> None:
    core = M3 if compiler == "cortex-m3" else M4
    layers = [(item, KERNEL) for item in _taken(range(30), core)]
    compile_quietly(layers, core, compiler, tmp_path)


@pytest.mark.parametrize(("core", "flags"), BUILDS)
def test_cores_equal_the_interpreter_in_constant_time(
    core: str, flags: Sequence[str], tmp_path: Path
) -> None:
    for program in _taken(range(300, 320), core_named(core)):
        compare(program, KERNEL, core_named(core), flags, tmp_path)


def test_weights_that_leave_16_bits_are_declined() -> None:
    """-128 * -128 twice is 2^15, where products are crossed."""
    for beside, taken in ((-128, {M4}), (-127, {M3, M4})):
        b = Builder(TensorType((1, 4, 4, 4), INT8))
        weights = np.tile(np.array([-128, 0, beside]), (4, 1)).reshape(4, 1, 3, 1)
        conv = ops.Conv2d(b.x, b.const(weights, INT8), groups=4)
        program = b.done(requantized(b, b.op(conv), INT8, np.random.default_rng(0)))
        assert {core for core in (M3, M4) if KERNEL in kernel_names(program, core)} == taken


@pytest.mark.parametrize("core", [M3, M4], ids=lambda core: core.name)
@pytest.mark.parametrize("layer", DEPTHWISE)
def test_cost_is_near_what_the_cycle_model_counts(layer: str, core: Core, tmp_path: Path) -> None:
    pytest.importorskip("unicorn")
    program = LAYERS[layer]()
    (step,) = fuse(program).steps
    counted = layer_cycles(program, KERNEL, core, tmp_path)
    assert depthwise_planar.cost(step, core) == pytest.approx(counted, rel=0.1)


def test_two_cycles_per_product_with_requantization(tmp_path: Path) -> None:
    pytest.importorskip("unicorn")
    layer = LAYERS["int8 depthwise 3x3, 16x16x64"]()
    assert layer_cycles(layer, KERNEL, M4, tmp_path) <= 1.9 * 16 * 16 * 64 * 9
