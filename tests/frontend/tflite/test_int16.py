"""Activations of 16 bits, bit for bit as LiteRT's reference kernels."""

from pathlib import Path

import numpy as np
import pytest
import tflite

from mcugen.frontend.tflite import load
from mcugen.ir import interp
from mcugen.run.litert import LiteRtModel
from mcugen.run.samples import input_boundary
from tests.frontend.tflite.writer import Writer

CODES = tflite.BuiltinOperator
INT16 = tflite.TensorType.INT16
#: Powers of two that need no rounding, near ones, and others.
SCALES = [2.0**-12, 2.0**-11, 2.0**-10, 2.0**-15, 2.0**-12 * 1.0005, 1e-4, 7.3e-4, 0.01, 1.3]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("function", ["LOGISTIC", "TANH"])
def test_functions_of_every_number(function: str, scale: float, tmp_path: Path) -> None:
    w = Writer()
    x = w.activation("x", (1, 2**16), scale, 0, INT16)
    y = w.activation("y", (1, 2**16), 2.0**-15, 0, INT16)
    w.operator(getattr(CODES, function), [x], [y])
    path = tmp_path / "model.tflite"
    path.write_bytes(w.write([x], [y]))
    graph, program = load(path)
    levels = np.arange(-(2**15), 2**15)[None]
    real = input_boundary(program).real(levels)
    (want,) = LiteRtModel(graph, program).answer(real, layers=True).levels.values()
    np.testing.assert_array_equal(interp.run(program, levels), want[0])
