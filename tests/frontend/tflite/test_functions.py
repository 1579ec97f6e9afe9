"""Activations, softmax and enlarging of images, bit for bit as LiteRT's reference kernels."""

from pathlib import Path

import numpy as np
import pytest
import tflite

from tests.frontend.tflite.agreement import INT8, INT32, UINT8, assert_equal_to_litert
from tests.frontend.tflite.writer import Writer

CODES = tflite.BuiltinOperator


def _scale(rng: np.random.Generator, low: float = -3, high: float = 0.5) -> float:
    return float(np.float32(10 ** rng.uniform(low, high)))


def _zero(rng: np.random.Generator, kind: int = INT8) -> int:
    ends = (-128, 127) if kind == INT8 else (0, 255)
    return int(rng.choice([*ends, int(rng.integers(*ends, endpoint=True))]))


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("kind", [INT8, UINT8])
def test_softmax(seed: int, kind: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, kind])
    length = int(rng.choice([1, 2, 10, 12, 200, 511]))
    shape = (1, length) if rng.random() < 0.5 else (1, 2, 3, length)
    w = Writer()
    x = w.activation("x", shape, _scale(rng), _zero(rng, kind), kind)
    y = w.activation("y", shape, 1 / 256, -128 if kind == INT8 else 0, kind)
    beta = float(np.float32(rng.choice([1, 1, 0.3, 2.7])))
    w.operator(CODES.SOFTMAX, [x], [y], "SoftmaxOptions", Beta=beta)
    assert_equal_to_litert(w.write([x], [y]), tmp_path, rng, count=20)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("function", ["LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU", "PRELU"])
def test_functions_of_one_number(function: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    kind = int(rng.choice([INT8, UINT8]))
    # Every level of the input.
    shape = (1, 16, 8, 2)
    w = Writer()
    x = w.activation("x", shape, _scale(rng), _zero(rng, kind), kind)
    scale, zero = _scale(rng, -2.5, 0), _zero(rng, kind)
    if function == "HARD_SWISH":
        scale = max(scale, float(np.float32(w.tensors[x].scales[0] / 100)))
    if function == "LOGISTIC":
        scale, zero = 1 / 256, -128 if kind == INT8 else 0
    y = w.activation("y", shape, scale, zero, kind)
    inputs, table, options = [x], "", {}
    if function == "LEAKY_RELU":
        table, options = "LeakyReluOptions", {"Alpha": float(np.float32(rng.uniform(-1, 1.5)))}
    if function == "PRELU":
        low = -128 if kind == INT8 else 0
        slopes = rng.integers(low, low + 256, (1, 1, 2))
        inputs.append(w.constant("slopes", slopes, kind, [_scale(rng)], [_zero(rng, kind)]))
    w.operator(getattr(CODES, function), inputs, [y], table, **options)
    assert_equal_to_litert(w.write([x], [y]), tmp_path, rng, count=12)


@pytest.mark.parametrize("seed", range(30))
def test_nearest_neighbours(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    before, after = rng.integers(1, 8, 2).tolist(), rng.integers(1, 14, 2).tolist()
    w = Writer()
    x = w.activation("x", (1, *before, 3), 0.5, 3)
    y = w.activation("y", (1, *after, 3), 0.5, 3)
    size = w.constant("size", np.array(after), INT32)
    aligned, centred = [(False, False), (True, False), (False, True)][seed % 3]
    w.operator(
        CODES.RESIZE_NEAREST_NEIGHBOR,
        [x, size],
        [y],
        "ResizeNearestNeighborOptions",
        AlignCorners=aligned,
        HalfPixelCenters=centred,
    )
    assert_equal_to_litert(w.write([x], [y]), tmp_path, rng)


@pytest.mark.parametrize("seed", range(40))
def test_transposed_convolutions(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    height, width, depth, out = rng.integers(1, 6, 4).tolist()
    rows, columns, *stride = rng.integers(1, 4, 4).tolist()
    same = bool(rng.integers(2))
    extent = [
        n * s if same else (n - 1) * s + k
        for n, s, k in zip((height, width), stride, (rows, columns), strict=True)
    ]
    w = Writer()
    x = w.activation("x", (1, height, width, depth), _scale(rng), _zero(rng))
    scales = [_scale(rng, -3, -1) for _ in range(out)]
    data = rng.integers(-127, 128, (out, rows, columns, depth))
    filters = w.constant("w", data, INT8, scales, [0] * out)
    size = w.constant("size", np.array([1, *extent, out]), INT32)
    y = w.activation("y", (1, *extent, out), _scale(rng, -1, 1.5), _zero(rng))
    inputs = [size, filters, x]
    if rng.random() < 0.7:
        inputs.append(w.constant("b", rng.integers(-9999, 9999, out), INT32, [0.1], [0]))
    w.operator(
        CODES.TRANSPOSE_CONV,
        inputs,
        [y],
        "TransposeConvOptions",
        Padding=int(not same),
        StrideH=stride[0],
        StrideW=stride[1],
    )
    assert_equal_to_litert(w.write([x], [y]), tmp_path, rng)
