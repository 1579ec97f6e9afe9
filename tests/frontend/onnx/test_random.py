"""Random models of every operator, grid and shape against ONNX Runtime: one level apart at most."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from mcugen.errors import McugenError
from mcugen.frontend.onnx import load
from mcugen.ir import interp
from mcugen.ir.program import Program
from mcugen.run.onnx_model import OnnxRuntimeModel
from mcugen.run.samples import input_boundary, memory_order
from tests.frontend.onnx.graphs import KINDS, Graph
from tests.frontend.onnx.older import OLDER
from tests.frontend.onnx.operators import OPERATORS

MODELS = 12
SAMPLES = 8


def apart(data: bytes, g: Graph, path: Path) -> int:
    """The most that any level is from ONNX Runtime's, of tensors that read the same levels."""
    path.write_bytes(data)
    model, program = load(path)
    levels = np.concatenate([sample["x0"] for sample in g.feed(SAMPLES)])
    real = real_numbers(program, levels)
    answer = OnnxRuntimeModel(model, program).answer(real, layers=True)
    given = input_boundary(program).levels(real)
    (source,) = program.inputs
    np.testing.assert_array_equal(given, memory_order(source, levels))
    values = interp.trace(program, given)
    worst = 0
    for name, want in answer.levels.items():
        difference = values[name].reshape(SAMPLES, -1) - want.reshape(SAMPLES, -1)
        worst = max(worst, int(np.abs(difference).max()))
    assert answer.levels
    return worst


def real_numbers(program: Program, levels: np.ndarray) -> np.ndarray:
    """The input as real numbers, in ONNX's order."""
    meaning = input_boundary(program).meaning
    return (levels.astype(np.float64) - meaning.zero) * meaning.scale[0]


@pytest.mark.parametrize("name", OLDER)
def test_older_operators(name: str, tmp_path: Path) -> None:
    opset, build = OLDER[name]
    g = Graph(np.random.default_rng(opset), opset)
    assert apart(g.model(g.quantized(build(g))), g, tmp_path / "model.onnx") <= 1


@pytest.mark.parametrize("kind", [*KINDS, *OPERATORS])
def test_random_models(kind: str, tmp_path: Path) -> None:
    for index in range(MODELS):
        seed = zlib.crc32(f"{kind} {index}".encode())
        g = Graph(np.random.default_rng(seed))
        result = OPERATORS[kind](g) if kind in OPERATORS else g.quantized(KINDS[kind](g))
        data = g.model(result)
        try:
            assert apart(data, g, tmp_path / "model.onnx") <= 1, f"seed {seed}"
        except McugenError as error:
            raise AssertionError(f"seed {seed}") from error
