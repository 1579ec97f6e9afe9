"""`mcugen flash` as a person sees it."""

import json
from pathlib import Path

from tests.cli.conftest import Command, mcugen  # noqa: F401 - a fixture
from tests.flash.conftest import BOARD, Bench, failing

DRY = "openocd -f interface/stlink.cfg -f target/stm32f4x.cfg -c 'program {} verify reset exit'\n"


def test_a_dry_run_prints_the_command_alone(
    mcugen: Command,  # noqa: F811
    bench: Bench,
    folder: Path,
) -> None:
    answer = mcugen("flash", folder, "--board", BOARD, "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == DRY.format(f"digits/build/{BOARD}/firmware.elf")


def test_in_the_folder_itself(
    mcugen: Command,  # noqa: F811
    bench: Bench,
    folder: Path,
    monkeypatch,
) -> None:
    monkeypatch.chdir(folder)
    answer = mcugen("flash", "--board", BOARD, "--dry-run", "--no-verify")
    assert answer.out == DRY.format(f"build/{BOARD}/firmware.elf").replace(" verify", "")


def test_a_run_and_its_document(
    mcugen: Command,  # noqa: F811
    bench: Bench,
    folder: Path,
) -> None:
    bench.install("stlink")
    answer = mcugen("flash", folder, "--board", BOARD)
    assert answer.code == 0
    assert answer.out.startswith("stm32f446: 136 B of model ")
    assert "written and read back by stlink (066DFF485550755187121234) in " in answer.out
    document = json.loads(mcugen("flash", folder, "--board", BOARD, "--json").out)
    assert (document["runner"], document["chip"]) == ("stlink", "0x421")
    assert document["seconds"] >= 0


def test_an_error_leaves_stdout_empty(
    mcugen: Command,  # noqa: F811
    bench: Bench,
    folder: Path,
) -> None:
    bench.install("stlink", failing("stlink", "MISMATCH"))
    answer = mcugen("flash", folder, "--board", BOARD, "--json")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: the flash of the STM32F446RE does not hold what was")
    assert "got  2024-01-08T10:15:03 ERROR common.c: Verification of flash failed" in answer.err


def test_a_folder_without_a_model(
    mcugen: Command,  # noqa: F811
    bench: Bench,
    tmp_path: Path,
) -> None:
    answer = mcugen("flash", tmp_path, "--board", BOARD, "--dry-run")
    assert answer.code == 2
    assert "no manifest.json in" in answer.err
