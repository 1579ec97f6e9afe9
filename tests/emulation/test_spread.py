"""Scoreboard row 15: how long a model takes does not depend on its input.

The scoreboard's 1,000 inputs: `MCUGEN_SPREAD_INPUTS=1000 pytest tests/emulation/test_spread.py`.
"""

import os
from pathlib import Path

import pytest

from mcugen.emit import emit, write
from mcugen.ir import Program
from mcugen.profile.profile import spread
from mcugen.target.cores import core_named

INPUTS = int(os.environ.get("MCUGEN_SPREAD_INPUTS", "20"))


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4"])
@pytest.mark.parametrize("name", ["lenet_mixed", "lenet_w8a8"])
def test_every_input_runs_the_same_instructions(
    name: str, core: str, trained: list[Program], tmp_path: Path
) -> None:
    program = next(item for item in trained if item.name == name)
    write(tmp_path, emit(program, core_named(core), name))
    result = spread(tmp_path, core_named(core), INPUTS, seed=15)
    assert result.instructions == 0, result
    assert result.cycles_min == result.cycles_max, result
