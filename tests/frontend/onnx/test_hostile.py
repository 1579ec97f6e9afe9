"""Hostile and damaged `.onnx` files: each is answered in one sentence, and touches nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mcugen.errors import McugenError
from mcugen.frontend.onnx import load
from scripts.fuzz_lib.models import run
from tests.frontend.onnx.honest import honest
from tests.frontend.onnx.hostile import CHANGES, RAW, changed

MUTANTS = 400

CASES = {
    **{name: (changed(change), words) for name, (change, words) in CHANGES.items()},
    **RAW,
}


def test_the_honest_model_is_read(tmp_path: Path) -> None:
    path = tmp_path / "honest.onnx"
    path.write_bytes(honest().SerializeToString())
    _, program = load(path)
    assert [type(node.op).__name__ for node in program.nodes] == [
        "Conv2d",
        "Requantize",
        "MaxPool",
        "Linear",
    ]


def test_mutants_are_refused_or_read() -> None:
    """`scripts/fuzz-models onnx --inputs N` tries more."""
    outcome = run("onnx", range(MUTANTS))
    assert outcome.findings == []
    assert {"read", "refused: onnx", "refused: lower"} <= set(outcome.answers)


@pytest.mark.parametrize("name", CASES)
def test_hostile(name: str, tmp_path: Path) -> None:
    data, words = CASES[name]
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(McugenError) as caught:
        load(path)
    text = str(caught.value)
    assert words in text
    assert text.count("error: ") == 1
    assert all(line.isprintable() for line in text.split("\n"))


def test_reading_touches_nothing_but_the_file(tmp_path: Path) -> None:
    """Under an audit hook: no other file, no process, no import, nothing compiled."""
    paths = []
    for number, (data, _) in enumerate(CASES.values()):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(data)
        paths.append(str(path))
    module = "tests.frontend.hostile.probe"
    done = subprocess.run(
        [sys.executable, "-m", module, *paths], capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(CASES) > 60
    for found in answers:
        assert found["violations"] == []
        assert found["answer"] != "read"
        assert found["peak_mib"] < 500
