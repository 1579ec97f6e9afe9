"""Sums, products and rescaling of int16, bit for bit as LiteRT's reference kernels."""

from pathlib import Path

import numpy as np
import pytest
import tflite

from mcugen.errors import McugenError
from mcugen.frontend.tflite import load
from tests.frontend.tflite.agreement import INT8, INT16, assert_equal_to_litert
from tests.frontend.tflite.writer import Writer

CODES = tflite.BuiltinOperator
SHAPE = (1, 2, 3, 4)


def arithmetic(code: str, scales: tuple[float, float, float], pot: bool = False) -> bytes:
    """An operator on the input and a rescaled copy of it."""
    w = Writer()
    x, other, y = (
        w.activation(name, SHAPE, scale, 0, INT16)
        for name, scale in zip("xoy", scales, strict=True)
    )
    w.operator(CODES.RELU, [x], [other])
    options = {} if code == "MUL" else {"PotScaleInt16": pot}
    table = f"{code.title()}Options"
    w.operator(getattr(CODES, code), [x, other], [y], table, FusedActivationFunction=1, **options)
    return w.write([x], [y])


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("code", ["ADD", "SUB", "MUL"])
def test_arithmetic(code: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, len(code)])
    one, other = (float(np.float32(1e-4 * 2 ** rng.uniform(-2, 2))) for _ in range(2))
    near = one * other * 2**14 if code == "MUL" else max(one, other)
    result = float(np.float32(near * 2 ** rng.uniform(-1, 2)))
    assert_equal_to_litert(arithmetic(code, (one, other, result)), tmp_path, rng)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", [INT8, INT16])
def test_quantize(kind: int, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, kind])
    w = Writer()
    x = w.activation("x", SHAPE, 1e-4, 0, INT16)
    scale = float(np.float32(1e-4 * 2 ** rng.uniform(-0.9, 9)))
    zero = int(rng.integers(-128, 128)) if kind == INT8 else 0
    y = w.activation("y", SHAPE, scale, zero, kind)
    w.operator(CODES.QUANTIZE, [x], [y])
    assert_equal_to_litert(w.write([x], [y]), tmp_path, rng)


def test_powers_of_two_are_refused_where_litert_shifts(tmp_path: Path) -> None:
    path = tmp_path / "pot.tflite"
    path.write_bytes(arithmetic("ADD", (2**-12, 2**-13, 2**-12), pot=True))
    with pytest.raises(McugenError, match="powers of two"):
        load(path)
