"""8-bit integers by one product for two: what the interpreter computes, on the host and on cores.

A failure names its program: `conv2d_layer(seed)` or `linear_layer(seed)`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mcugen.ir import Int, Program, TensorType, ops
from mcugen.kernels import able
from mcugen.plan.steps import fuse
from mcugen.target.cores import core_named
from scripts.bench_bytes import LAYERS
from tests.builder import Builder
from tests.kernels.byte_layers import INT8, UINT8, conv2d_layer, linear_layer
from tests.kernels.comparing import (
    compare,
    compare_on_host,
    compile_quietly,
    kernel_names,
    layer_cycles,
)

M3 = core_named("cortex-m3")
KERNELS = {conv2d_layer: "conv2d_crossed", linear_layer: "linear_crossed"}
BUILDS = [
    ("cortex-m0plus", ()),
    ("cortex-m0plus", ("-DMODEL_PORTABLE",)),
    ("cortex-m3", ()),
    ("cortex-m3", ("-O0",)),
]


@pytest.mark.parametrize("make", KERNELS)
def test_host_equals_the_interpreter(make: Callable[[int], Program], tmp_path: Path) -> None:
    compare_on_host([make(seed) for seed in range(400, 440)], KERNELS[make], M3, tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang", "cortex-m3", "cortex-m0plus"])
def test_compilers_have_nothing_to_say(compiler: str, tmp_path: Path) -> None:
    layers = [(make(seed), kernel) for make, kernel in KERNELS.items() for seed in range(20)]
    core = core_named(compiler) if compiler.startswith("cortex") else M3
    compile_quietly(layers, core, compiler, tmp_path)


@pytest.mark.parametrize(("core", "flags"), BUILDS)
@pytest.mark.parametrize("make", KERNELS)
def test_cores_equal_the_interpreter_in_constant_time(
    make: Callable[[int], Program], core: str, flags: Sequence[str], tmp_path: Path
) -> None:
    for seed in range(500, 508):
        compare(make(seed), KERNELS[make], core_named(core), flags, tmp_path)


def _linear(weights: np.ndarray, kind: Int, zero: int) -> Program:
    b = Builder(TensorType((1, weights.shape[1]), kind))
    return b.done(b.op(ops.Linear(b.x, b.const(weights, INT8), x_zero=zero)))


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3"])
def test_widest_products(core: str, tmp_path: Path) -> None:
    """Both halves of a product at the ends of 16 bits, with all signs."""
    ends = np.array(np.meshgrid(*[[-127, 127]] * 4)).reshape(4, -1).T
    for kind, zero in ((UINT8, 0), (UINT8, 255), (INT8, -128), (INT8, 127)):
        compare(_linear(ends, kind, zero), "linear_crossed", core_named(core), (), tmp_path)
    one = np.array([[-128, -128, 127, 127]])
    compare(_linear(one, INT8, 0), "linear_crossed", core_named(core), (), tmp_path)


def test_weights_that_leave_16_bits_are_declined() -> None:
    """-128 * -128 twice is 2^15."""
    beyond = _linear(np.array([[-128, 0, -128, 0]]), INT8, 0)
    assert "linear_crossed" not in kernel_names(beyond, M3)
    fits = _linear(np.array([[-128, 0, -127, 0]]), INT8, 0)
    assert "linear_crossed" in kernel_names(fits, M3)
    assert "linear_crossed" not in kernel_names(fits, core_named("cortex-m4"))


@pytest.mark.parametrize(
    ("layer", "kernel", "core", "most"),
    [
        ("int8 3x3 64 to 64, 8x8", "conv2d_crossed", "cortex-m3", 2.2),
        ("int8 3x3 32 to 32, 16x16", "conv2d_crossed", "cortex-m3", 2.25),
        ("int8 linear 784 to 128", "linear_crossed", "cortex-m3", 3.0),
        ("int8 3x3 64 to 64, 8x8", "conv2d_crossed", "cortex-m0plus", 2.95),
        ("int8 linear 784 to 128", "linear_crossed", "cortex-m0plus", 4.0),
    ],
)
def test_speed_and_cost(layer: str, kernel: str, core: str, most: float, tmp_path: Path) -> None:
    pytest.importorskip("unicorn")
    program = LAYERS[layer]()
    (step,) = fuse(program).steps
    (found,) = (item for item in able(step, core_named(core)) if item.name == kernel)
    counted = layer_cycles(program, kernel, core_named(core), tmp_path)
    assert counted <= most * step.macs
    assert found.cost(step, core_named(core)) == pytest.approx(counted, rel=0.15)
