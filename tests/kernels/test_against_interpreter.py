"""Every kernel and epilogue computes what the interpreter computes, bit for bit.

Many programs are compiled into one library. A failure names its seed: `random_program(seed)`.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import emit, write
from mcugen.errors import McugenError
from mcugen.ir import Program, interp, ops
from mcugen.kernels import KERNELS, able
from mcugen.kernels.step import Step, port
from mcugen.plan.steps import fuse
from mcugen.run.host import HostModel, run_several_sanitized
from mcugen.target.cores import core_named
from tests.kernels.plane_layers import pattern_layer
from tests.op_programs import MAKERS
from tests.programs import random_inputs, random_program
from tests.stateful import recurrent

CORE = core_named("cortex-m4")
SAMPLES = 12
#: Kernels from bytes to bytes alone, those of other cores, and those from one plane to one.
FOR_BYTES = {"conv2d_winograd", "conv2d_winograd_bytes", "depthwise_planar"}
ELSEWHERE = {"conv2d_crossed", "linear_crossed"}
FOR_BITS = {"conv2d_patterns"}


def _written(programs: list[Program], root: Path) -> list[Path]:
    folders = [root / program.name for program in programs]
    for program, folder in zip(programs, folders, strict=True):
        write(folder, emit(program, CORE, program.name))
    return folders


@pytest.mark.parametrize("first", [0, 60, 120])
def test_every_layer_equals_the_interpreter(first: int, tmp_path: Path) -> None:
    programs = [random_program(seed) for seed in range(first, first + 60)]
    models = HostModel.several(_written(programs, tmp_path))
    for program, model in zip(programs, models, strict=True):
        inputs = random_inputs(program, SAMPLES, seed=first)
        want = interp.trace(program, inputs)
        for name, got in model.trace(inputs).items():
            np.testing.assert_array_equal(got, want[name], f"{program.name}, {name}")
        np.testing.assert_array_equal(model.run_batch(inputs), want[program.output], program.name)


def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    programs = [random_program(seed) for seed in range(300, 350)]
    inputs = [random_inputs(program, SAMPLES, seed=0) for program in programs]
    outputs = run_several_sanitized(_written(programs, tmp_path), inputs)
    for program, samples, got in zip(programs, inputs, outputs, strict=True):
        np.testing.assert_array_equal(got, interp.run(program, samples), program.name)


def test_random_programs_reach_every_kernel_with_every_epilogue() -> None:
    """The generator is only as good as what it reaches; the commit's seeds are among these."""
    reached: Counter[tuple[str, str]] = Counter()
    programs = [random_program(seed) for seed in range(700)]
    programs += [make(seed) for make in (*MAKERS, recurrent, pattern_layer) for seed in range(20)]
    for program in programs:
        for step in fuse(program).steps:
            epilogue = step.epilogue.op.mnemonic if step.epilogue else "none"
            planes = " to planes" if not step.output.is_integer else ""
            for kernel in able(step, CORE):
                reached[kernel.name, epilogue + planes] += 1
    fusing = ["conv2d", "depthwise_conv2d", "conv2d_planes", "conv2d_planes_grouped", "linear"]
    fusing += ["linear_planes", "sum_pool", "add", "mul"]
    epilogues = ["none", "requantize", "threshold", "threshold to planes"]
    wanted = {(kernel, epilogue) for kernel in fusing for epilogue in epilogues}
    wanted |= {("convert", e) for e in (*epilogues[1:], "lookup")} | {("add", "lookup")}
    named = {*fusing, *FOR_BYTES, *ELSEWHERE, *FOR_BITS, "convert", "max_pool_planes"}
    wanted |= {(kernel.name, "none") for kernel in KERNELS if kernel.name not in named}
    wanted |= {(kernel, "requantize") for kernel in FOR_BYTES}
    wanted |= {(kernel, "threshold to planes") for kernel in FOR_BITS}
    wanted |= {("max_pool_planes", "none to planes")}
    assert wanted - set(reached) == set()


def test_a_step_that_no_kernel_computes_says_what_is_supported() -> None:
    program = random_program(next(s for s in range(999) if _has_reshape(random_program(s))))
    node = next(node for node in program.nodes if isinstance(node.op, ops.Reshape))
    kind = program.env.type(node.op.operands[0])
    step = Step(node, None, (port("%x", kind),), kind, port("%y", node.result.type), program.env)
    with pytest.raises(McugenError) as caught:
        able(step, CORE)
    (fault,) = caught.value.faults
    assert fault.what == "no kernel computes reshape on cortex-m4"
    assert fault.at is not None
    assert node.result.name in fault.at
    assert "conv2d of integers by integers" in (fault.help or "")


def _has_reshape(program: Program) -> bool:
    return any(isinstance(node.op, ops.Reshape) for node in program.nodes)
