"""Bit-sliced kernels compute what the interpreter computes, on the host and on cores.

A failure names its program: `conv2d_layer(seed)` and the like.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mcugen import tools
from mcugen.build import gcc
from mcugen.build.elf import disassemble, read_elf
from mcugen.build.stack import add_library, read_callgraph, worst_case
from mcugen.emit import emit, write
from mcugen.emit.encoding import decode_output, encode_input
from mcugen.emit.manifest import Manifest
from mcugen.ir import Program, interp
from mcugen.kernels import able, conv2d_sliced
from mcugen.plan.choice import Wishes
from mcugen.plan.steps import fuse
from mcugen.profile.model import ModelEmulator
from mcugen.profile.trace import Tracer
from mcugen.run.host import run_several_sanitized
from mcugen.target.cores import Core, core_named
from tests.kernels.plane_layers import (
    conv2d_layer,
    depthwise_layer,
    linear_layer,
    pattern_layer,
    whole_layer,
)
from tests.programs import random_inputs

SLICED = {
    conv2d_layer: "conv2d_sliced",
    depthwise_layer: "depthwise_sliced",
    linear_layer: "linear_sliced",
    whole_layer: "linear_sliced",
    pattern_layer: "conv2d_patterns",
}


def _manifest(program: Program, kernel: str, core: Core, folder: Path) -> Manifest | None:
    """Emit `program` with `kernel` into `folder`; None where the kernel declines."""
    (step,) = fuse(program).steps
    if kernel not in [item.name for item in able(step, core)]:
        return None
    wishes = Wishes(kernels={step.output.name: kernel})
    emitted = emit(program, core, program.name, wishes=wishes)
    write(folder / program.name, emitted)
    return emitted.manifest


@pytest.mark.parametrize("patch_bytes", [conv2d_sliced.PATCH_BYTES, 300])
@pytest.mark.parametrize("make", SLICED)
def test_host_equals_the_interpreter(
    make: Callable[[int], Program],
    patch_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if patch_bytes != conv2d_sliced.PATCH_BYTES:
        if make is not conv2d_layer:
            pytest.skip("has no patches")
        monkeypatch.setattr(conv2d_sliced, "PATCH_BYTES", patch_bytes)
    programs = [make(seed) for seed in range(30)]
    core = core_named("cortex-m4")
    taken = [item for item in programs if _manifest(item, SLICED[make], core, tmp_path)]
    assert len(taken) > 20
    inputs = [random_inputs(program, 5, seed=0) for program in taken]
    outputs = run_several_sanitized([tmp_path / item.name for item in taken], inputs)
    for program, samples, got in zip(taken, inputs, outputs, strict=True):
        np.testing.assert_array_equal(got, interp.run(program, samples), program.name)


@pytest.mark.parametrize(
    ("core", "flags"),
    [
        ("cortex-m0plus", ()),
        ("cortex-m0plus", ("-DMODEL_PORTABLE",)),
        ("cortex-m0plus", ("-O0",)),
        ("cortex-m3", ()),
        ("cortex-m4", ()),
        ("cortex-m4", ("-DMODEL_PORTABLE",)),
        ("cortex-m4", ("-O0",)),
        ("cortex-m33", ("-Os",)),
    ],
)
@pytest.mark.parametrize("make", SLICED)
def test_cores_equal_the_interpreter_in_constant_time(
    make: Callable[[int], Program], core: str, flags: Sequence[str], tmp_path: Path
) -> None:
    pytest.importorskip("unicorn")
    for seed in range(100, 104):
        program = make(seed)
        manifest = _manifest(program, SLICED[make], core_named(core), tmp_path)
        if manifest is None:
            continue
        model = ModelEmulator(tmp_path / program.name, manifest, core_named(core), flags=flags)
        tracer, inputs = Tracer(model.emulator), random_inputs(program, 4, seed)
        counts, outputs = set(), []
        for memory in encode_input(manifest.input, inputs):
            model.set_input(memory.view(manifest.input.numpy_dtype))
            counts.add(tracer.call(model.run_symbol, model.context).total.instructions)
            model.set_input(memory.view(manifest.input.numpy_dtype))
            outputs.append(model.run().view(np.uint8))
        got = decode_output(manifest.output, np.stack(outputs))
        np.testing.assert_array_equal(got, interp.run(program, inputs), program.name)
        assert len(counts) == 1, f"{program.name}: {sorted(counts)}"


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize("make", SLICED)
def test_stack_bound_counts_what_assembly_pushes(
    make: Callable[[int], Program], core: str, tmp_path: Path
) -> None:
    pytest.importorskip("unicorn")
    known, program = core_named(core), make(0)
    manifest = _manifest(program, SLICED[make], known, tmp_path)
    assert manifest is not None
    folder = tmp_path / program.name
    tools.run_checked(gcc.compile_object(known, folder / "model.c", tmp_path / "model.o"))
    model = ModelEmulator(folder, manifest, known)
    graph = read_callgraph([(tmp_path / "model.ci").read_text()])
    graph = add_library(graph, disassemble(next(folder.glob("build/profile/*.elf"))))
    bound = worst_case(graph, model.run_symbol).bytes
    model.set_input(
        encode_input(manifest.input, random_inputs(program, 1, 0))[0].view(
            manifest.input.numpy_dtype
        )
    )
    model.run()
    used = model.emulator.stack_peak_bytes()
    assert used <= bound <= used + 64


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize("make", SLICED)
def test_fast_code_takes_all_code_of_a_layer(
    make: Callable[[int], Program], core: str, tmp_path: Path
) -> None:
    known, program = core_named(core), make(0)
    assert _manifest(program, SLICED[make], known, tmp_path)
    section = ".fast"
    options = [
        f'-DMODEL_FAST_CODE=__attribute__((section("{section}")))',
        f'-DMODEL_FAST_CODE_SECTION="{section}"',
    ]
    source, built = tmp_path / program.name / "model.c", tmp_path / "model.o"
    tools.run_checked(gcc.compile_object(known, source, built, options=options))
    left = [item for item in read_elf(built).sections if item.name.startswith(".text.")]
    api = ("_init", "_reset", "_input", "_output", "_run", "_layer_name")
    assert [item.name for item in left if not item.name.endswith(api)] == []
