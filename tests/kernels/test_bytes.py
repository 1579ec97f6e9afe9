"""8-bit integers by pairs and by Winograd: what the interpreter computes, on host and cores.

A failure names its program: `conv2d_layer(seed)` and so on.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mcugen.ir import Int, Program, TensorType, ops
from mcugen.kernels import able
from mcugen.plan.steps import fuse
from mcugen.target.cores import core_named
from tests.builder import Builder
from tests.kernels.byte_layers import (
    INT8,
    UINT8,
    conv2d_layer,
    linear_layer,
    requantized,
    rescaled,
    winograd_layer,
)
from tests.kernels.comparing import (
    compare,
    compare_on_host,
    compile_quietly,
    kernel_names,
    layer_cycles,
)

M4 = core_named("cortex-m4")
CASES: list[tuple[Callable[[int], Program], str]] = [
    (conv2d_layer, "conv2d_paired"),
    (linear_layer, "linear_paired"),
    (winograd_layer, "conv2d_winograd"),
    (winograd_layer, "conv2d_winograd_bytes"),
]
BUILDS = [
    ("cortex-m4", ()),
    ("cortex-m4", ("-DMODEL_PORTABLE",)),
    ("cortex-m4", ("-O0",)),
    ("cortex-m7", ()),
    ("cortex-m33", ("-Os",)),
]


def _layers(make: Callable[[int], Program], kernel: str, seeds: range) -> list[Program]:
    """Programs that the kernel takes: nearly all."""
    programs = [program for program in map(make, seeds) if kernel in kernel_names(program, M4)]
    assert len(programs) > 0.9 * len(seeds)
    return programs


@pytest.mark.parametrize(("make", "kernel"), CASES)
def test_host_equals_the_interpreter(
    make: Callable[[int], Program], kernel: str, tmp_path: Path
) -> None:
    compare_on_host(_layers(make, kernel, range(200, 250)), kernel, M4, tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang", "cortex-m4", "cortex-m0plus"])
def test_compilers_have_nothing_to_say(compiler: str, tmp_path: Path) -> None:
    layers = [
        (item, kernel) for make, kernel in CASES[:3] for item in _layers(make, kernel, range(25))
    ]
    layers += [(item, CASES[3][1]) for item in _layers(*CASES[3], range(50, 65))]
    compile_quietly(layers, M4, compiler, tmp_path)


@pytest.mark.parametrize(("core", "flags"), BUILDS)
@pytest.mark.parametrize(("make", "kernel"), CASES)
def test_cores_equal_the_interpreter_in_constant_time(
    make: Callable[[int], Program], kernel: str, core: str, flags: Sequence[str], tmp_path: Path
) -> None:
    for program in _layers(make, kernel, range(300, 312)):
        compare(program, kernel, core_named(core), flags, tmp_path)


def _linear(weights: np.ndarray, kind: Int, zero: int) -> Program:
    b = Builder(TensorType((1, weights.shape[1]), kind))
    w = b.const(weights, Int(8, True, -128, 127))
    acc = b.op(ops.Linear(b.x, w, x_zero=zero))
    return b.done(requantized(b, acc, INT8, np.random.default_rng(0)))


def test_widest_sums(tmp_path: Path) -> None:
    """All weights and inputs at their ends; one input more, and 24 bits do not hold the sum."""
    for sign in (1, -1):
        widest = np.full((4, 259), 127 * sign)
        for kind, zero in ((UINT8, 0), (UINT8, 255), (INT8, -128), (INT8, 127)):
            compare(_linear(widest, kind, zero), "linear_paired", M4, (), tmp_path)
            wider = _linear(np.full((4, 260), 127 * sign), kind, zero)
            assert "linear_paired" not in kernel_names(wider, M4)


def test_weights_that_do_not_pair_are_declined(tmp_path: Path) -> None:
    """256 * -128 - 1 is no int16."""
    fits, beyond = (_linear(np.array([[low, -128]] * 4), INT8, 0) for low in (0, -1))
    compare(fits, "linear_paired", M4, (), tmp_path)
    assert "linear_paired" not in kernel_names(beyond, M4)
    assert "linear_paired" not in kernel_names(_linear(np.ones((4, 2), int), INT8, 128), M4)
    assert "linear_paired" not in kernel_names(fits, core_named("cortex-m3"))


def _convolution(edge: int, channels: int, outputs: int, size: int, stride: int = 1) -> Program:
    rng, b = np.random.default_rng(0), Builder(TensorType((1, edge, edge, channels), INT8))
    data = np.rint(rng.normal(0, 30, (outputs, size, size, channels))).clip(-127, 127)
    weights = b.const(data.astype(np.int64), Int(8, True, -127, 127))
    padding = (size // 2,) * 4
    op = ops.Conv2d(b.x, weights, stride=(stride, stride), padding=padding, x_zero=-128)
    return b.done(requantized(b, b.op(op), INT8, rng))


def test_winograd_sums_at_their_ends(tmp_path: Path) -> None:
    """Inputs and weights whose transforms reach the ends of their int16."""
    for make, kind, value in ((requantized, UINT8, -128), (rescaled, INT8, 127)):
        b = Builder(TensorType((1, 4, 8, 128), kind))
        checked = np.where(np.arange(9).reshape(3, 3) % 2, 1, -1)
        data = np.stack([np.full((3, 3), value), value * checked, -checked * 127, checked * 0])
        data = np.clip(data, -128, 127)[..., None] * np.ones(128, int)
        acc = b.op(ops.Conv2d(b.x, b.const(data, Int(8, True, -128, 127)), x_zero=kind.lo))
        program = b.done(make(b, acc, INT8, np.random.default_rng(1)))
        for kernel in ("conv2d_winograd", "conv2d_winograd_bytes"):
            compare(program, kernel, M4, (), tmp_path)


#: Cycles for a product, of whole layers.
MOST = {
    "pointwise of 64": (_convolution(8, 64, 64, 1), "conv2d_paired", 1.25),
    "3x3 of 16": (_convolution(16, 16, 16, 3), "conv2d_paired", 1.35),
    "3x3 of 64": (_convolution(8, 64, 64, 3), "conv2d_paired", 1.1),
    "3x3 of 16 by Winograd": (_convolution(16, 16, 16, 3), "conv2d_winograd", 0.75),
    "3x3 of 32 by Winograd": (_convolution(16, 32, 32, 3), "conv2d_winograd", 0.62),
    "3x3 of 64 by Winograd": (_convolution(8, 64, 64, 3), "conv2d_winograd", 0.55),
    "3x3 of 64 by Winograd of bytes": (_convolution(8, 64, 64, 3), "conv2d_winograd_bytes", 0.81),
    "3x3 of 32 in steps of 2": (_convolution(16, 32, 64, 3, 2), "conv2d_paired", 1.15),
    "3x3 of 3": (_convolution(16, 3, 16, 3), "conv2d_paired", 1.9),
    "linear": (_linear(np.full((64, 200), 30), INT8, 3), "linear_paired", 1.35),
}


@pytest.mark.parametrize("layer", MOST)
def test_speed_and_cost(layer: str, tmp_path: Path) -> None:
    """The cycle model counts what the kernel promises, and about what `cost` predicts."""
    pytest.importorskip("unicorn")
    program, name, most = MOST[layer]
    (step,) = fuse(program).steps
    (kernel,) = (item for item in able(step, M4) if item.name == name)
    counted = layer_cycles(program, name, M4, tmp_path)
    assert counted <= most * step.macs
    assert kernel.cost(step, M4) == pytest.approx(counted, rel=0.1)
