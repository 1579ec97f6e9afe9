"""Activations of 16 bits, bit for bit as LiteRT's reference kernels."""

from pathlib import Path

import numpy as np
import pytest
import tflite

from mcugen.emit import emit, write
from mcugen.frontend.tflite import load
from mcugen.ir import interp
from mcugen.run.host import run_several_sanitized
from mcugen.run.litert import LiteRtModel
from mcugen.run.samples import input_boundary
from mcugen.target.cores import core_named
from tests.frontend.tflite.agreement import assert_equal_to_litert
from tests.frontend.tflite.writer import Writer
from tests.programs import random_inputs

CODES = tflite.BuiltinOperator
INT8, INT16 = tflite.TensorType.INT8, tflite.TensorType.INT16
UINT8 = tflite.TensorType.UINT8
INT32, INT64 = tflite.TensorType.INT32, tflite.TensorType.INT64
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


#: Filters for a depth and outputs, the axis of their scales, options beside strides.
LAYERS = {
    "CONV_2D": (lambda depth, out: (out, 3, 2, depth), 0, {}),
    "DEPTHWISE_CONV_2D": (lambda depth, out: (1, 3, 2, out), 3, {"DepthMultiplier": 2}),
    "TRANSPOSE_CONV": (lambda depth, out: (out, 3, 2, depth), 0, {}),
}
TABLES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
}


def _layer(rng: np.random.Generator, kind: str) -> bytes:
    """A layer of int16 with weights of int8 per channel and a bias of int64."""
    w = Writer()
    depth = int(rng.integers(1, 9))
    out = depth * 2
    filters, axis, options = LAYERS[kind]
    grown = 2 if kind == "TRANSPOSE_CONV" else 1
    x = w.activation("x", (1, 5, 4, depth), float(np.float32(10 ** rng.uniform(-5, -3))), 0, INT16)
    scales = (10 ** rng.uniform(-3, -2, out)).astype(np.float32)
    zeros = [0] * out
    data = rng.integers(-127, 128, filters(depth, out))
    weights = w.constant("w", data, INT8, scales, zeros, axis)
    made = (1, 5 * grown, 4 * grown, out)
    y = w.activation("y", made, float(np.float32(10 ** rng.uniform(-5, -3.5))), 0, INT16)
    steps = scales * np.float32(w.tensors[x].scales[0])
    bias = w.constant("b", rng.integers(-(10**6), 10**6, out), INT64, steps, zeros)
    inputs = [x, weights, bias]
    if kind == "TRANSPOSE_CONV":
        inputs = [w.constant("size", np.array(made), INT32), weights, x, bias]
    else:
        options = {**options, "FusedActivationFunction": int(rng.integers(0, 2))}
    options = {**options, "StrideH": grown, "StrideW": grown}
    w.operator(getattr(CODES, kind), inputs, [y], TABLES[kind], **options)
    return w.write([x], [y])


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", LAYERS)
def test_layers(kind: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, len(kind)])
    assert_equal_to_litert(_layer(rng, kind), tmp_path, rng)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", [INT16, UINT8])
@pytest.mark.parametrize("kind", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools(kind: str, dtype: int, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, dtype])
    w = Writer()
    zero = 0 if dtype == INT16 else int(rng.integers(0, 256))
    x = w.activation("x", (1, 6, 5, 3), 0.01, zero, dtype)
    rows, columns, stride = rng.integers(1, 4, 3).tolist()
    y = w.activation("y", (1, -(-6 // stride), -(-5 // stride), 3), 0.01, zero, dtype)
    options = {"FilterHeight": rows, "FilterWidth": columns, "StrideH": stride, "StrideW": stride}
    options["FusedActivationFunction"] = int(rng.choice([0, 1, 3]))
    w.operator(getattr(CODES, kind), [x], [y], "Pool2DOptions", **options)
    assert_equal_to_litert(w.write([x], [y]), tmp_path, rng)


def test_emitted_c_of_16_bits(tmp_path: Path) -> None:
    programs, folders = [], []
    for kind in LAYERS:
        path = tmp_path / f"{kind.lower()}.tflite"
        path.write_bytes(_layer(np.random.default_rng(3), kind))
        programs.append(load(path)[1])
        folders.append(tmp_path / path.stem)
        write(folders[-1], emit(programs[-1], core_named("cortex-m4"), path.stem))
    inputs = [random_inputs(program, 9, seed=1) for program in programs]
    for program, x, got in zip(
        programs, inputs, run_several_sanitized(folders, inputs), strict=True
    ):
        np.testing.assert_array_equal(got, interp.run(program, x))
