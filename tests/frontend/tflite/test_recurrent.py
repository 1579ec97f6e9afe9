"""Layers that remember, over sequences, bit for bit as LiteRT's reference kernels."""

from pathlib import Path

import numpy as np
import pytest
import tflite

from mcugen.emit import emit, write
from mcugen.errors import McugenError
from mcugen.frontend.tflite import load
from mcugen.ir import interp
from mcugen.run.host import run_several_sanitized
from mcugen.target.cores import core_named
from tests.frontend.tflite.agreement import INT8, INT16, INT32, assert_equal_to_litert
from tests.frontend.tflite.writer import TensorSpec, Writer
from tests.programs import random_inputs

CODES = tflite.BuiltinOperator
RELU = tflite.ActivationFunctionType.RELU
TANH = tflite.ActivationFunctionType.TANH


def _scale(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.float32(10 ** rng.uniform(low, high)))


def _matrix(
    w: Writer, rng: np.random.Generator, name: str, shape: tuple[int, int], scale: float
) -> int:
    return w.constant(name, rng.integers(-127, 128, shape), INT8, [scale], [0])


def svdf(rng: np.random.Generator, rank: int, memory: int, most: int = 2000) -> bytes:
    inputs, units = rng.integers(1, 9, 2).tolist()
    filters = units * rank
    w = Writer()
    x = w.activation("x", (1, inputs), _scale(rng, -2, 0), int(rng.integers(-128, 128)))
    feature = _matrix(w, rng, "feature", (filters, inputs), _scale(rng, -3, -1))
    time = w.constant("time", rng.integers(-most, most, (filters, memory)), INT16, [1e-4], [0])
    bias = w.constant("bias", rng.integers(-(10**6), 10**6, units), INT32, [1e-7], [0])
    kept = TensorSpec("state", (1, memory * filters), INT16, (0.003,), (0,), variable=True)
    y = w.activation("y", (1, units), _scale(rng, -3, 0), int(rng.integers(-128, 128)))
    operands = [x, feature, time, bias if rng.random() < 0.7 else -1, w.tensor(kept)]
    options = {"Rank": rank, "FusedActivationFunction": RELU}
    w.operator(CODES.SVDF, operands, [y], "SVDFOptions", **options)
    return w.write([x], [y])


@pytest.mark.parametrize("seed", range(20))
def test_svdf(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    content = svdf(rng, rank=int(rng.integers(1, 4)), memory=int(rng.integers(1, 8)))
    program = assert_equal_to_litert(content, tmp_path, rng, count=40, steps=20)
    assert len(program.states) <= 1


def test_svdf_that_could_overflow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.tflite"
    path.write_bytes(svdf(np.random.default_rng(0), rank=2, memory=8, most=32000))
    with pytest.raises(McugenError, match="the accumulator could overflow 32 bits"):
        load(path)


def lstm(rng: np.random.Generator, steps: int, coupled: bool, clip: float = 0.0) -> bytes:
    inputs, cells = rng.integers(1, 9, 2).tolist()
    w = Writer()
    x = w.activation("x", (1, steps, inputs), _scale(rng, -2, 0), int(rng.integers(-128, 128)))
    zero = int(rng.integers(-128, 128))
    y = w.activation("y", (1, steps, cells), 1 / 128, zero)
    gates = range(1, 4) if coupled else range(4)
    operands = [x] + [-1] * 23
    for gate in gates:
        size = _scale(rng, -3, -1)
        operands[1 + gate] = _matrix(w, rng, f"w{gate}", (cells, inputs), size)
        operands[5 + gate] = _matrix(w, rng, f"r{gate}", (cells, cells), _scale(rng, -3, -1.5))
        bias = rng.integers(-(10**5), 10**5, cells)
        operands[12 + gate] = w.constant(f"b{gate}", bias, INT32, [size], [0])
    hidden = TensorSpec("h", (1, cells), INT8, (1 / 128,), (zero,), variable=True)
    power = int(rng.integers(-15, -8))
    cell = TensorSpec("c", (1, cells), INT16, (2.0**power,), (0,), variable=True)
    operands[18], operands[19] = w.tensor(hidden), w.tensor(cell)
    between = [w.activation(f"i{i}", (1,), 2.0**-12, 0, INT16) for i in range(4)]
    between.append(w.activation("hidden", (1,), 1 / 128, zero))
    w.operator(
        CODES.UNIDIRECTIONAL_SEQUENCE_LSTM,
        operands,
        [y],
        "UnidirectionalSequenceLSTMOptions",
        intermediates=between,
        FusedActivationFunction=TANH,
        CellClip=clip,
    )
    return w.write([x], [y])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("coupled", [False, True])
def test_lstm(seed: int, coupled: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng([seed, coupled])
    steps = 1 if rng.random() < 0.7 else int(rng.integers(2, 5))
    clip = float(rng.choice([0, 0, 0.1, 3.3]))
    content = lstm(rng, steps, coupled, clip)
    program = assert_equal_to_litert(content, tmp_path, rng, count=30, steps=15)
    assert len(program.states) == 2


def test_lstm_of_many_steps_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.tflite"
    path.write_bytes(lstm(np.random.default_rng(0), 17, coupled=False))
    with pytest.raises(McugenError, match="an LSTM of 17 steps in one run"):
        load(path)


def test_emitted_c_remembers_what_the_interpreter_remembers(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    contents = {
        "svdf": svdf(rng, rank=2, memory=5),
        "lstm": lstm(rng, 1, coupled=False),
        "steps": lstm(rng, 3, coupled=True, clip=3.0),
    }
    programs, folders = [], []
    for name, content in contents.items():
        (tmp_path / f"{name}.tflite").write_bytes(content)
        programs.append(load(tmp_path / f"{name}.tflite")[1])
        folders.append(tmp_path / name)
        write(folders[-1], emit(programs[-1], core_named("cortex-m4"), name))
    inputs = [random_inputs(program, 24, seed=1) for program in programs]
    outputs = run_several_sanitized(folders, inputs, steps=8)
    for program, x, got in zip(programs, inputs, outputs, strict=True):
        np.testing.assert_array_equal(got, interp.run(program, x, steps=8))
