"""Models that keep states: the emitted C remembers what the interpreter remembers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import emit, write
from mcugen.ir import interp
from mcugen.plan.choice import Optimize, Wishes
from mcugen.plan.plan import build_plan
from mcugen.profile.model import ModelEmulator
from mcugen.run.host import HostModel, run_several_sanitized
from mcugen.target.cores import core_named
from tests.programs import random_inputs
from tests.stateful import recurrent

M4 = core_named("cortex-m4")


def _written(folder: Path, seed: int, wishes: Wishes) -> Path:
    program = replace(recurrent(seed), name=f"recurrent{seed}")
    write(folder / program.name, emit(program, M4, program.name, wishes=wishes))
    return folder / program.name


@pytest.mark.parametrize("optimize", Optimize)
def test_host_equals_the_interpreter_over_sequences(optimize: Optimize, tmp_path: Path) -> None:
    wishes = Wishes(optimize=optimize)
    folders = [_written(tmp_path, seed, wishes) for seed in range(6)]
    programs = [recurrent(seed) for seed in range(6)]
    inputs = [random_inputs(program, 24, seed=1) for program in programs]
    for steps in (1, 8):
        outputs = run_several_sanitized(folders, inputs, steps)
        for program, x, got in zip(programs, inputs, outputs, strict=True):
            np.testing.assert_array_equal(got, interp.run(program, x, steps))
    for folder, program, x in zip(folders, programs, inputs, strict=True):
        model, want = HostModel(folder, optimize="-O1"), interp.trace(program, x, 6)
        for name, value in model.trace(x, 6).items():
            np.testing.assert_array_equal(value, want[name], name)
        model.check_memory(x)


def test_states_lie_behind_the_arena(tmp_path: Path) -> None:
    plan = build_plan(recurrent(), M4, "recurrent")
    # 7 bytes of h and 10 of the last inputs, in whole words.
    assert (plan.state_bytes, plan.context_bytes - plan.arena_bytes) == (20, 20)
    assert [state.location.offset for state in plan.states] == [
        plan.arena_bytes,
        plan.arena_bytes + 8,
    ]
    for state in plan.states:
        place = state.location.offset
        (write_at,) = (x.index for x in plan.layers if x.out.location.offset == place)
        reads = [x.index for x in plan.layers for i in x.inputs if i.location.offset == place]
        assert reads
        assert max(reads) < write_at
    manifest = emit(recurrent(), M4, "recurrent").manifest
    assert (manifest.ram.state, manifest.ram.context) == (20, plan.context_bytes)
    header = emit(recurrent(), M4, "recurrent").files["model.h"]
    assert "#define RECURRENT_STATE_BYTES 20u" in header


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_cores_remember(core: str, tmp_path: Path) -> None:
    pytest.importorskip("unicorn")
    program = recurrent(3)
    emitted = emit(program, core_named(core), "recurrent")
    write(tmp_path / "model", emitted)
    model = ModelEmulator(tmp_path / "model", emitted.manifest, core_named(core))
    x = random_inputs(program, 7, seed=2)
    for steps in (1, 7):
        got = model.run_batch(x.astype(np.int8), steps)
        np.testing.assert_array_equal(got, interp.run(program, x, steps))
