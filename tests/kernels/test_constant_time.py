"""On cores without caches a layer executes as many instructions for one input as for any other."""

from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import emit, write
from mcugen.emit.encoding import decode_output, encode_input
from mcugen.ir import interp
from mcugen.profile.model import ModelEmulator
from mcugen.profile.trace import Tracer
from mcugen.target.cores import core_named
from tests.programs import random_inputs, random_program

pytest.importorskip("unicorn")

#: Among them requantize through 64 bits, thresholds of all kinds, max_pool and argmax.
SEEDS = (1, 4, 11, 15, 20, 28, 58, 99)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4"])
def test_instructions_do_not_depend_on_the_input(core: str, tmp_path: Path) -> None:
    for seed in SEEDS:
        program = random_program(seed)
        emitted = emit(program, core_named(core), program.name)
        write(tmp_path / program.name, emitted)
        tensor = emitted.manifest.input
        model = ModelEmulator(tmp_path / program.name, emitted.manifest, core_named(core))
        tracer = Tracer(model.emulator)
        inputs = random_inputs(program, 6, seed)
        counts, outputs = set(), []
        for memory in encode_input(tensor, inputs):
            model.set_input(memory.view(tensor.numpy_dtype))
            counts.add(tracer.call(model.run_symbol, model.context).total.instructions)
            # A run may overwrite its input.
            model.set_input(memory.view(tensor.numpy_dtype))
            outputs.append(model.run().view(np.uint8))
        got = decode_output(emitted.manifest.output, np.stack(outputs))
        np.testing.assert_array_equal(got, interp.run(program, inputs), program.name)
        assert len(counts) == 1, f"{program.name}: {sorted(counts)}"
