"""`--json`: one document on stdout, whose fields are those of docs/json.md."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcugen.report import console, documents
from mcugen.run.compare import RunReport, Spread
from mcugen.run.layers import LayerDifference
from tests.cli.conftest import BOARD, MODELS, Command

MODEL = MODELS / "digits_mlp.pt2"
PAGE = Path(__file__).parents[2] / "docs" / "json.md"

#: Objects whose keys are names.
OPEN = {"found", "layer_cycles"}

COMMANDS: dict[str, tuple[object, ...]] = {
    "train": ("nlevel", "--model=mlp", "--data=digits", "--epochs=1", "--limit=64", "-o", "m.pt2"),
    "generate": (MODEL, "-o", "generated", "--board", BOARD),
    "inspect": (MODEL,),
    "inspect --kernels": (MODEL, "--kernels", "cortex-m3"),
    "check": (MODEL, "--data", "digits", "--limit", "20", "--layers"),
    "build": ("OUT", "--board", BOARD),
    "flash": ("OUT", "--board", BOARD, "--dry-run"),
    "run": ("OUT", "--board", BOARD, "--qemu", "--data", "digits", "--limit", "2"),
    "profile": ("OUT", "--board", BOARD),
    "boards": (),
    "ops": (),
    "doctor": (),
}


def documented() -> dict[str, set[str]]:
    """Fields by command, from the page."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]
    return {
        section.split("\n", 1)[0]: set(re.findall(r"^\| `([^`]+)` \|", section, flags=re.M))
        for section in sections
    }


def fields(value: Any, path: str = "") -> Iterator[str]:
    """Paths of all that is no object and no list."""
    if isinstance(value, dict):
        for key, item in value.items():
            name = "*" if path in OPEN else key
            yield from fields(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from fields(item, f"{path}[]")
    else:
        yield path


def test_every_command_is_described() -> None:
    assert documented().keys() == COMMANDS.keys()


def test_promised_fields_are_described() -> None:
    """The interface that other programs were told about (the least that must be there)."""
    promised = {
        "generate": "model name board core macs flash.weights flash.tables flash.code ram.arena "
        "ram.lower_bound ram.context layers[].name layers[].op layers[].kernel layers[].shape[] "
        "layers[].macs layers[].weight_bits layers[].activation_bits layers[].weight_bytes",
        "check": "samples accuracy.reference accuracy.interpreter accuracy.c agreement.reference_c "
        "agreement.interpreter_c mismatched_elements.interpreter_c "
        "mismatched_elements.reference_c layers[].name layers[].equal layers[].max_difference",
        "build": "elf flash.total flash.code flash.constants ram.total ram.arena ram.static "
        "ram.stack fits",
        "run": "samples target accuracy mismatched_bytes cycles.min cycles.median cycles.max "
        "retries",
        "profile": "core cycles instructions cycles_flash macs stack layers[].name layers[].op "
        "layers[].kernel layers[].macs layers[].cycles layers[].cycles_per_mac",
    }
    page = documented()
    for command, names in promised.items():
        assert set(names.split()) <= page[command]


@pytest.mark.parametrize("command", COMMANDS)
def test_fields_are_those_documented(
    command: str,
    mcugen: Command,
    built: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [built if item == "OUT" else item for item in COMMANDS[command]]
    answer = mcugen(command.split()[0], *arguments, "--json")
    assert answer.code == 0, answer.err
    document = json.loads(answer.out)
    assert document["schema"] == console.SCHEMA == 1
    found = set(fields(document))
    if command == "run":  # an emulator measures no cycles
        absent = {"cycles", "layer_cycles", "first_difference"}
        assert {document[name] for name in absent} == {None}
        found = found - absent | set(fields(documents.ran(measured())))
    if command == "boards":  # nothing may be plugged in here
        found |= {"boards[].connected[]", "ports[]"}
    if command == "doctor":
        found |= {"missing[]"}
    assert found == documented()[command]


def measured() -> RunReport:
    """As a board would be reported."""
    return RunReport(
        samples=1,
        target="board",
        folder="folder",
        digest="",
        accuracy=1.0,
        mismatched_bytes=1,
        first_difference=LayerDifference(0, "conv1", 1),
        cycles=Spread(1, 2, 3),
        cycle_source="dwt",
        layer_cycles={"conv1": 2},
        clock_hz=1,
        stack=1,
        retries=0,
    )


def test_layers_only_where_asked(mcugen: Command) -> None:
    answer = mcugen("check", MODEL, "--data", "digits", "--limit", "20", "--json")
    assert not {"layers", "first_difference"} & json.loads(answer.out).keys()


def test_a_number_that_does_not_exist_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_json({"a": float("nan"), "b": [np.float64("inf")], "path": Path("x")})
    document = json.loads(capsys.readouterr().out)
    assert document == {"schema": 1, "a": None, "b": [None], "path": "x"}


def test_an_error_leaves_stdout_empty(mcugen: Command) -> None:
    for arguments in (("inspect", "no.pt2"), ("boards", "nix"), ("nix",), ("generate",)):
        answer = mcugen(*arguments, "--json")
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("error: ")
