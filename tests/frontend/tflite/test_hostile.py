"""Damaged and adversarial .tflite files: an error that says what is wrong, and nothing else."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tflite

from mcugen.errors import McugenError
from mcugen.frontend.tflite import load
from tests.frontend.hostile.probe import peak_mib
from tests.frontend.tflite.mutate import answer, mutant
from tests.frontend.tflite.random_models import random_model
from tests.frontend.tflite.writer import TensorSpec, Writer

MUTANTS = 400
CODES = tflite.BuiltinOperator


def test_mutants_are_refused_or_lowered(tmp_path: Path) -> None:
    """`python -m tests.frontend.tflite.mutate FIRST COUNT` tries more."""
    before, begin = peak_mib(), time.perf_counter()
    answers = [answer(mutant(number), tmp_path / "mutant.tflite") for number in range(MUTANTS)]
    assert {"lowered", "refused: tflite", "refused: lower"} <= set(answers)
    assert time.perf_counter() - begin < 120
    assert peak_mib() - before < 600


@pytest.mark.parametrize("kind", ["CONV_2D", "SPLIT"])
def test_no_prefix_of_a_file_is_a_model(kind: str, tmp_path: Path) -> None:
    data = random_model(0, kind)
    for size in range(0, len(data) - 1, 11):
        assert answer(data[:size], tmp_path / "cut.tflite") == "refused: tflite"


def convolution(**changes: object) -> Writer:
    """A model of one convolution; `changes` are to its weights."""
    w = Writer()
    w.activation("x", (1, 8, 8, 4), 0.1, 0)
    weights = TensorSpec("w", (2, 3, 3, 4), 9, (0.1,), (0,), 0, np.ones((2, 3, 3, 4), np.int8))
    w.tensor(replace(weights, **changes))  # type: ignore[arg-type]
    w.activation("y", (1, 8, 8, 2), 0.1, 0)
    w.operator(CODES.CONV_2D, [0, 1], [2], "Conv2DOptions", StrideH=1, StrideW=1)
    return w


def refused(writer: Writer, folder: Path, inputs: tuple[int, ...] = (0,)) -> str:
    path = folder / "hostile.tflite"
    path.write_bytes(writer.write(inputs, [len(writer.tensors) - 1]))
    with pytest.raises(McugenError) as caught:
        load(path)
    return str(caught.value)


def window(**options: int) -> Callable[[], Writer]:
    def build() -> Writer:
        w = Writer()
        w.activation("x", (1, 8, 8, 4), 0.1, 0)
        w.activation("y", (1, 8, 8, 4), 0.1, 0)
        w.operator(CODES.AVERAGE_POOL_2D, [0], [1], "Pool2DOptions", **options)
        return w

    return build


CASES: list[tuple[Callable[[], Writer], str]] = [
    (lambda: convolution(shape=(2, 3, 3, -4)), "a tensor without a fixed shape"),
    (lambda: convolution(shape=(2**20, 2**20, 3, 4)), "a tensor is too large"),
    (lambda: convolution(shape=(2, 3, 3, 5)), "a constant has another size than its shape"),
    (lambda: convolution(scales=(float("nan"),)), "a scale is no number"),
    (lambda: convolution(scales=(0.1,) * 3, zeros=(0,) * 3), "scales do not fit their tensor"),
    (lambda: convolution(zeros=(300,)), "a zero point is out of range"),
    (lambda: convolution(zeros=(3,)), "weights with a zero point"),
    (lambda: convolution(kind=0), "weights of float32"),
    (lambda: convolution(data=None), "is read before it is made"),
    (window(FilterHeight=2**30, FilterWidth=2**30, StrideH=1, StrideW=1), "has more than"),
    (window(FilterHeight=3, FilterWidth=3, StrideH=0, StrideW=1), "want  at least 1"),
    (window(FilterHeight=3, FilterWidth=3, StrideH=-1, StrideW=1), "want  at least 1"),
    (window(FilterHeight=3, FilterWidth=3, StrideH=2, StrideW=2), "another shape than the file"),
]


@pytest.mark.parametrize(("build", "message"), CASES)
def test_what_is_wrong_is_said(build: Callable[[], Writer], message: str, tmp_path: Path) -> None:
    text = refused(build(), tmp_path)
    assert message in text
    assert "operator 0" in text or "tensor 1" in text


def test_an_unknown_operator_is_named_with_its_number(tmp_path: Path) -> None:
    w = convolution()
    w.operators.append(replace(w.operators[0], code=CODES.COS, outputs=(3,), inputs=(2,)))
    w.activation("z", (1, 8, 8, 2), 0.1, 0)
    text = refused(w, tmp_path)
    assert "'COS' has no integer lowering" in text
    assert "COS, operator 1" in text
    assert "mcugen ops" in text


def test_several_inputs_are_refused(tmp_path: Path) -> None:
    w = convolution()
    w.tensors[1] = replace(w.tensors[1], data=None)
    assert "the model has 2 inputs" in refused(w, tmp_path, (0, 1))


def test_other_files_are_no_models(tmp_path: Path) -> None:
    path = tmp_path / "text.tflite"
    path.write_text("not a model")
    with pytest.raises(McugenError, match=r"not a \.tflite file"):
        load(path)
