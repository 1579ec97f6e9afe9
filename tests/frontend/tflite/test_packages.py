"""What is not installed is named, with the extra that brings it."""

import sys
from pathlib import Path

import pytest

from mcugen.errors import McugenError
from mcugen.frontend.tflite import load
from mcugen.run.litert import LiteRtModel
from tests.frontend.tflite.random_models import random_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(random_model(0, "CONV_2D"))
    return path


def test_the_schema(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(McugenError, match=r"mcugen\[tflite\]"):
        load(path)


def test_litert(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, program = load(path)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(McugenError, match=r"mcugen\[litert\]"):
        LiteRtModel(graph, program)
