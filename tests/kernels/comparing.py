"""Single layers by a kernel of one's choice, compared with the interpreter and measured."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mcugen import tools
from mcugen.build import gcc
from mcugen.emit import emit, write
from mcugen.emit.encoding import decode_output, encode_input
from mcugen.emit.manifest import Manifest
from mcugen.ir import Program, interp
from mcugen.kernels import able
from mcugen.plan.choice import Wishes
from mcugen.plan.steps import fuse
from mcugen.profile.model import ModelEmulator
from mcugen.profile.profile import profile
from mcugen.profile.trace import Tracer
from mcugen.run.host import run_several_sanitized
from mcugen.target.cores import Core, core_named
from tests.programs import random_inputs


def kernel_names(program: Program, core: Core) -> list[str]:
    """Kernels that compute the only step of `program`."""
    (step,) = fuse(program).steps
    return [item.name for item in able(step, core)]


def written(program: Program, kernel: str, core: Core, folder: Path) -> Manifest:
    """`program` by `kernel`, in a folder of its name."""
    (step,) = fuse(program).steps
    wishes = Wishes(kernels={step.output.name: kernel})
    emitted = emit(program, core, program.name, wishes=wishes)
    write(folder / program.name, emitted)
    return emitted.manifest


def compare_on_host(programs: Sequence[Program], kernel: str, core: Core, folder: Path) -> None:
    """Outputs against the interpreter's, with sanitizers."""
    for program in programs:
        written(program, kernel, core, folder)
    inputs = [random_inputs(program, 5, seed=0) for program in programs]
    outputs = run_several_sanitized([folder / item.name for item in programs], inputs)
    for program, samples, got in zip(programs, inputs, outputs, strict=True):
        np.testing.assert_array_equal(got, interp.run(program, samples), program.name)


def compare(program: Program, kernel: str, core: Core, flags: Sequence[str], folder: Path) -> None:
    """Outputs on a core against the interpreter's, and instructions against each other."""
    pytest.importorskip("unicorn")
    manifest = written(program, kernel, core, folder)
    model = ModelEmulator(folder / program.name, manifest, core, flags=flags)
    tracer, inputs = Tracer(model.emulator), random_inputs(program, 4, seed=1)
    counts, outputs = set(), []
    for memory in encode_input(manifest.input, inputs):
        model.set_input(memory.view(manifest.input.numpy_dtype))
        counts.add(tracer.call(model.run_symbol, model.context).total.instructions)
        # A run may overwrite its input.
        model.set_input(memory.view(manifest.input.numpy_dtype))
        outputs.append(model.run().view(np.uint8))
    got = decode_output(manifest.output, np.stack(outputs))
    np.testing.assert_array_equal(got, interp.run(program, inputs), program.name)
    assert len(counts) == 1, f"{program.name}: {sorted(counts)}"


def compile_quietly(
    layers: Sequence[tuple[Program, str]], core: Core, compiler: str, folder: Path
) -> None:
    """`layers`, programs and kernels for `core`, as one unit; `compiler` warns of nothing.

    `compiler`: that of the host, or a core that is compiled for.
    """
    lines = []
    for program, kernel in layers:
        written(program, kernel, core, folder)
        lines.append(f'#include "{program.name}/model.c"\n')
    unit, built = folder / "all.c", folder / "all.o"
    unit.write_text("".join(lines))
    argv = [compiler, *gcc.WARNINGS, "-pedantic", "-O2", "-c", str(unit), "-o", str(built)]
    if compiler.startswith("cortex"):
        argv = gcc.compile_object(core_named(compiler), unit, built, options=["-pedantic"])
    tools.run_checked(argv)


def layer_cycles(program: Program, kernel: str, core: Core, folder: Path) -> int:
    """Cycles of the only layer of `program` by `kernel`."""
    written(program, kernel, core, folder)
    return profile(folder / program.name, core).layers[0].cycles
