"""Random .tflite models: every tensor equals LiteRT's, in the interpreter and in C on the host.

MCUGEN_TFLITE_MODELS is how many models of each operator are tried; a failure names its seed.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import emit, write
from mcugen.frontend.tflite.graph import Graph
from mcugen.frontend.tflite.handlers import HANDLERS
from mcugen.frontend.tflite.lower import lower
from mcugen.frontend.tflite.reader import read_tflite
from mcugen.ir import Program, interp
from mcugen.passes import optimize
from mcugen.run.host import HostModel
from mcugen.run.litert import LiteRtModel
from mcugen.run.samples import input_boundary
from mcugen.target.cores import core_named
from tests.frontend.tflite.random_models import KINDS, random_model

MODELS = int(os.environ.get("MCUGEN_TFLITE_MODELS", "3"))
SAMPLES = 6
#: Models compiled into one library.
TOGETHER = 20
#: Other names of operators that are here.
SAME = {"PADV2", "SQUEEZE", "EXPAND_DIMS"}


def models(root: Path, kind: str) -> Iterator[tuple[str, Graph, Program]]:
    for seed in range(MODELS):
        name = f"{kind.lower()}_{seed}"
        path = root / f"{name}.tflite"
        path.write_bytes(random_model(seed, kind))
        graph = read_tflite(path)
        yield name, graph, optimize(lower(graph, name))


def samples(program: Program) -> np.ndarray:
    kind = program.inputs[0].type
    element = kind.integer
    rng = np.random.default_rng(SAMPLES)
    levels = rng.integers(element.lo, element.hi + 1, (SAMPLES, *kind.shape[1:]))
    levels[0], levels[1] = element.lo, element.hi
    return levels


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_is_litert_s(kind: str, tmp_path: Path) -> None:
    made = list(models(tmp_path, kind))
    for first in range(0, len(made), TOGETHER):
        some = made[first : first + TOGETHER]
        folders = [tmp_path / name for name, _, _ in some]
        for (name, _, program), folder in zip(some, folders, strict=True):
            write(folder, emit(program, core_named("cortex-m4"), name))
        for (name, graph, program), host in zip(some, HostModel.several(folders), strict=True):
            compare(name, graph, program, host)


def compare(name: str, graph: Graph, program: Program, host: HostModel) -> None:
    levels = samples(program)
    real = input_boundary(program).real(levels)
    answer = LiteRtModel(graph, program).answer(real, layers=True)
    values = interp.trace(program, levels)
    assert answer.levels
    for value, want in answer.levels.items():
        np.testing.assert_array_equal(
            values[value].ravel(), want.ravel(), f"{name}, {value} in the interpreter"
        )
    for value, got in host.trace(levels).items():
        np.testing.assert_array_equal(got.ravel(), values[value].ravel(), f"{name}, {value} in C")


def test_every_operator_is_tried() -> None:
    assert set(KINDS) | SAME >= set(HANDLERS)
