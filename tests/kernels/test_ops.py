"""Kernels of the ops in `tests.op_programs`: as the interpreter, on the host and on cores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import emit, write
from mcugen.emit.encoding import decode_output, encode_input
from mcugen.ir import Program, interp
from mcugen.ir.text import parse, to_text
from mcugen.profile.model import ModelEmulator
from mcugen.profile.trace import Tracer
from mcugen.run.host import run_several_sanitized
from mcugen.target.cores import core_named
from tests.op_programs import MAKERS, Maker
from tests.programs import random_inputs

CORES = [("cortex-m0plus", ()), ("cortex-m3", ()), ("cortex-m4", ("-O0",)), ("cortex-m33", ())]


def _programs(make: Maker, seeds: range) -> list[Program]:
    return [replace(make(seed), name=f"{make.__name__}{seed}") for seed in seeds]


def _written(program: Program, core: str, folder: Path) -> Path:
    write(folder / program.name, emit(program, core_named(core), program.name))
    return folder / program.name


@pytest.mark.parametrize("make", MAKERS)
def test_host_equals_the_interpreter(make: Maker, tmp_path: Path) -> None:
    programs = _programs(make, range(60))
    inputs = [random_inputs(program, 8, seed=0) for program in programs]
    folders = [_written(program, "cortex-m4", tmp_path) for program in programs]
    outputs = run_several_sanitized(folders, inputs)
    for program, samples, got in zip(programs, inputs, outputs, strict=True):
        np.testing.assert_array_equal(got, interp.run(program, samples), program.name)


@pytest.mark.parametrize(("core", "flags"), CORES)
@pytest.mark.parametrize("make", MAKERS)
def test_cores_equal_the_interpreter_in_constant_time(
    make: Maker, core: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("unicorn")
    for program in _programs(make, range(100, 104)):
        emitted = emit(program, core_named(core), program.name)
        write(tmp_path / program.name, emitted)
        manifest = emitted.manifest
        model = ModelEmulator(tmp_path / program.name, manifest, core_named(core), flags=flags)
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


@pytest.mark.parametrize("make", MAKERS)
def test_text_form_keeps_everything(make: Maker) -> None:
    for program in _programs(make, range(20)):
        stored = {const.name[1:]: const.data for const in program.consts}
        assert parse(to_text(program), stored) == program
