"""The trained models of tests/models as programs, and random programs beside them."""

from pathlib import Path

import pytest

from mcugen.frontend.exported import load
from mcugen.ir import Program
from tests.programs import random_program

MODELS = sorted((Path(__file__).parents[1] / "models").glob("*.pt2"))
SEEDS = range(31_000, 31_020)


@pytest.fixture(scope="session")
def trained() -> list[Program]:
    return [load(path)[1] for path in MODELS]


@pytest.fixture(scope="session")
def all_programs(trained: list[Program]) -> list[Program]:
    return [*trained, *map(random_program, SEEDS)]
