"""Layers that remember, over sequences, bit for bit as LiteRT's reference kernels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import emit, write
from mcugen.errors import McugenError
from mcugen.frontend.tflite import load
from mcugen.ir import interp, ops
from mcugen.run.host import run_several_sanitized
from mcugen.target.cores import core_named
from tests.frontend.tflite.agreement import assert_equal_to_litert
from tests.frontend.tflite.parts import Model
from tests.frontend.tflite.random_functions import FUNCTIONS, lstm
from tests.programs import random_inputs


def alone(kind: str, seed: int, inputs: int = 6) -> Model:
    """A model of one layer behind its input."""
    model = Model(np.random.default_rng(seed))
    x = model.made_of((1, inputs), model.scale(0.05), model.zero())
    FUNCTIONS[kind](model, x)
    return model


def written(model: Model) -> bytes:
    return model.writer.write([0], [model.made[-1].index])


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("kind", ["SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"])
def test_every_tensor_is_litert_s_over_sequences(kind: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    assert_equal_to_litert(written(alone(kind, seed)), tmp_path, rng, count=30, steps=15)


def changed(model: Model, name: str, **changes: object) -> bytes:
    """The model with its last tensor of a name changed."""
    place = max(i for i, spec in enumerate(model.writer.tensors) if spec.name == name)
    spec = model.writer.tensors[place]
    model.writer.tensors[place] = replace(spec, **changes)  # type: ignore[arg-type]
    return written(model)


def refused(content: bytes, folder: Path) -> str:
    path = folder / "hostile.tflite"
    path.write_bytes(content)
    with pytest.raises(McugenError) as caught:
        load(path)
    return str(caught.value)


def test_svdf_with_full_weights_is_summed_by_bytes(tmp_path: Path) -> None:
    assert {_by_bytes(alone("SVDF", seed), tmp_path) for seed in range(25)} == {False, True}


def _by_bytes(model: Model, folder: Path) -> bool:
    path = folder / "model.tflite"
    path.write_bytes(written(model))
    return sum(isinstance(node.op, ops.Conv2d) for node in load(path)[1].nodes) == 2


def test_svdf_that_could_overflow_is_refused(tmp_path: Path) -> None:
    # Sums beyond 32 bits would still be levels of this result.
    model = next(model for seed in range(99) if _by_bytes(model := alone("SVDF", seed), tmp_path))
    model.writer.tensors[-1] = replace(model.writer.tensors[-1], scales=(1e6,))
    assert "could overflow 32 bits" in refused(written(model), tmp_path)


def test_states_are_variable_tensors_of_their_own(tmp_path: Path) -> None:
    for kind, name in (("SVDF", "s"), ("UNIDIRECTIONAL_SEQUENCE_LSTM", "c")):
        content = changed(alone(kind, 1), name, scales=(), zeros=())
        assert "a tensor without a grid" in refused(content, tmp_path)
    model = alone("SVDF", 1)
    operator = model.writer.operators[-1]
    y = model.made_of(model.made[-1].shape, 0.1, 0)
    model.writer.operators.append(replace(operator, outputs=(y.index,)))
    assert "is the state of another operator" in refused(written(model), tmp_path)


def test_lstm_of_many_steps_is_refused(tmp_path: Path) -> None:
    model = Model(np.random.default_rng(0))
    x = model.made_of((1, 17), 0.1, 0)
    lstm(model, x, steps=17)
    assert "an LSTM of 17 steps in one run" in refused(written(model), tmp_path)


def test_emitted_c_remembers_what_the_interpreter_remembers(tmp_path: Path) -> None:
    programs, folders = [], []
    for seed, kind in enumerate(["SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"] * 4):
        name = f"model{seed}"
        (tmp_path / f"{name}.tflite").write_bytes(written(alone(kind, seed)))
        programs.append(load(tmp_path / f"{name}.tflite")[1])
        folders.append(tmp_path / name)
        write(folders[-1], emit(programs[-1], core_named("cortex-m4"), name))
    inputs = [random_inputs(program, 24, seed=1) for program in programs]
    outputs = run_several_sanitized(folders, inputs, steps=8)
    for program, x, got in zip(programs, inputs, outputs, strict=True):
        np.testing.assert_array_equal(got, interp.run(program, x, steps=8))
