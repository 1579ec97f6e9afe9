"""Models whose interface is in real numbers, or in bytes."""

from pathlib import Path

import numpy as np
import pytest
import tflite

from mcugen.errors import McugenError
from mcugen.frontend.tflite import load
from mcugen.run.litert import LiteRtModel
from mcugen.run.samples import input_boundary
from tests.frontend.tflite.writer import TensorSpec, Writer

CODES, TYPES = tflite.BuiltinOperator, tflite.TensorType


def model(kind: int, output: int) -> bytes:
    """QUANTIZE, RELU, and DEQUANTIZE or QUANTIZE to the output's type."""
    w = Writer()
    shape, grid = (1, 3, 2, 2), ((0.03,), (-7,))
    outer = ((0.03,), (121,)) if kind == TYPES.UINT8 else ((), ())
    x = w.tensor(TensorSpec("x", shape, kind, *outer))
    inner = w.tensor(TensorSpec("inner", shape, TYPES.INT8, *grid))
    positive = w.tensor(TensorSpec("positive", shape, TYPES.INT8, *grid))
    y = w.tensor(TensorSpec("y", shape, output, *(outer if output == TYPES.UINT8 else ((), ()))))
    w.operator(CODES.QUANTIZE, [x], [inner])
    w.operator(CODES.RELU, [inner], [positive])
    last = CODES.QUANTIZE if output == TYPES.UINT8 else CODES.DEQUANTIZE
    w.operator(last, [positive], [y])
    return w.write([x], [y])


@pytest.mark.parametrize("kind", [TYPES.FLOAT32, TYPES.UINT8])
def test_edges_are_levels(kind: int, tmp_path: Path) -> None:
    path = tmp_path / "edges.tflite"
    path.write_bytes(model(kind, kind))
    graph, program = load(path)
    boundary = input_boundary(program)
    assert (boundary.lo, boundary.hi) == ((-128, 127) if kind == TYPES.FLOAT32 else (0, 255))
    x = boundary.real(np.random.default_rng(0).integers(boundary.lo, boundary.hi, (9, 3, 2, 2)))
    answer = LiteRtModel(graph, program).answer(x, layers=True)
    np.testing.assert_allclose(answer.output, np.maximum(x, 0), atol=1e-6)
    assert "%t2" in answer.levels


def test_real_numbers_inside_are_refused(tmp_path: Path) -> None:
    w = Writer()
    x = w.activation("x", (1, 4), 0.1, 0)
    real = w.tensor(TensorSpec("real", (1, 4), TYPES.FLOAT32))
    y = w.activation("y", (1, 4), 0.1, 0)
    w.operator(CODES.DEQUANTIZE, [x], [real])
    w.operator(CODES.QUANTIZE, [real], [y])
    path = tmp_path / "inside.tflite"
    path.write_bytes(w.write([x], [y]))
    with pytest.raises(McugenError, match="'DEQUANTIZE' has no integer lowering"):
        load(path)
