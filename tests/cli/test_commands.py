"""What a user sees when all goes well: the facts are there, whole, and on the right stream."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import BOARD, MODELS, Command, tree
from tests.frontend.hostile.builders import MODEL as ARCHIVED
from tests.frontend.hostile.builders import changed, entries

MODEL = MODELS / "lenet_mixed.pt2"


def words(text: str) -> str:
    """`text` with runs of spaces as one."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def test_generate_lists_layers_memory_and_files(mcugen: Command, tmp_path: Path) -> None:
    answer = mcugen("generate", MODEL, "-o", tmp_path / "out", "--board", BOARD)
    assert (answer.code, answer.err) == (0, "")
    shown = words(answer.out)
    assert "conv1 conv2d + requantize 28×28×1 → 24×24×8 8/8 " in shown
    assert " 204,800 6,464" in shown  # MACs and weights of conv2
    assert "stm32f446 has 524,288" in shown
    assert "peak at conv1), stm32f446 leaves 126,976" in shown
    assert f"wrote {tmp_path}/out/model.h, {tmp_path}/out/model.c" in shown
    assert all(line == line.rstrip() for line in answer.out.splitlines())


def test_names_are_never_cut(mcugen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    shown = mcugen("boards").out
    assert "RAM for the model  QEMU" in shown
    assert "BBC micro:bit v1" in shown


def test_check_has_a_line_for_each_execution(mcugen: Command) -> None:
    model = MODELS / "digits_dscnn.pt2"
    answer = mcugen("check", model, "--data", "digits", "--limit", "100", "--layers")
    assert answer.code == 0, answer.err
    shown = words(answer.out)
    assert "accuracy same class as PyTorch elements that differ" in shown
    assert "PyTorch 9" in shown
    assert "program 9" in shown
    assert "100 of 100" in shown
    assert "0 of 1,000 from the program" in shown
    assert "differences of C from the program: none in any layer" in shown


def test_check_exits_with_1_where_c_differs(
    mcugen: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C with one wrong weight, as a fault of a kernel would show."""
    from mcugen.run import host

    sources = host._sources

    def spoilt(folders: list[Path]) -> list[host.Sources]:
        for folder in folders:
            text = (folder / "model.c").read_text()
            at = text.index("{", text.index("_fc2_weights["))
            end = text.index(",", at)
            (folder / "model.c").write_text(f"{text[: at + 1]} 77{text[end:]}")
        return sources(folders)

    monkeypatch.setattr(host, "_sources", spoilt)
    answer = mcugen(
        "check", MODELS / "digits_mlp.pt2", "--data", "digits", "--limit", "50", "--layers"
    )
    assert answer.code == 1
    assert "differences of C from the program: first at %" in answer.out


def test_build_run_and_profile(mcugen: Command, built: Path, tmp_path: Path) -> None:
    answer = mcugen("build", shutil.copytree(built, tmp_path / "out"), "--board", BOARD)
    assert answer.code == 0, answer.err
    shown = words(answer.out)
    assert ".text 0x08000" in shown
    assert "of 524,288 B (code " in shown
    assert "of 131,072 B (arena " in shown
    assert "B in the image, " in shown
    answer = mcugen("run", built, "--board", BOARD, "--qemu", "--data", "digits", "--limit", "20")
    assert answer.code == 0, answer.err
    assert "stm32f446 in QEMU (netduinoplus2), model " in answer.out
    assert "20 samples, every output byte as on the host, accuracy " in answer.out
    assert "cycles are not measured in an emulator: mcugen profile" in answer.out
    answer = mcugen("profile", built, "--board", BOARD)
    assert answer.code == 0, answer.err
    assert "cortex-m4: " in answer.out
    assert "wait states: " in answer.out


def test_inspect_prints_what_parses_back(mcugen: Command, tmp_path: Path) -> None:
    from mcugen.ir import text

    path = tmp_path / "p.mir"
    shown = mcugen("inspect", MODEL).out
    assert mcugen("inspect", MODEL, "-o", path).out == ""
    assert path.read_text() == shown
    assert text.to_text(text.parse(shown, text.load_constants(path.with_suffix(".npz")))) == shown


def test_listings(mcugen: Command) -> None:
    assert "Nucleo-F446RE" in mcugen("boards", BOARD).out
    shown = mcugen("ops", "--core", "cortex-m0plus").out
    assert "aten.conv2d (default, padding)" in shown
    assert "kernels on cortex-m0plus" in shown
    assert "arm-none-eabi-gcc" in mcugen("doctor").out
    assert mcugen("--version").out.startswith("mcugen ")
    assert mcugen().code == 2
    assert mcugen("--help").code == 0


def test_names_of_a_model_do_not_drive_the_terminal(mcugen: Command, tmp_path: Path) -> None:
    """In a node of the graph, and in paths; square brackets and colons mean something to rich."""
    honest = (MODELS / "digits_mlp.pt2").read_bytes()
    text = entries(honest)[1][ARCHIVED].decode()
    evil = text.replace('"linear_1"', '"l[red]\\u001b[2J:smile:"')
    assert evil != text
    path = tmp_path / "a[red]\x1b[2J:smile:.pt2"
    path.write_bytes(changed(honest, **{ARCHIVED: evil.encode()}))
    for command in ("inspect", "generate", "check"):
        rest = {"generate": ("-o", tmp_path / "\x1b[2J[red]out"), "check": ("--data", "nix")}
        answer = mcugen(command, path, *rest.get(command, ()))
        assert "\x1b" not in answer.out + answer.err
        assert "internal fault" not in answer.err
    answer = mcugen("generate", MODEL, "-o", tmp_path / "[red]\x1b:smile:")
    assert answer.code == 0
    assert "[red]\\x1b:smile:/model.h" in answer.out


def test_the_same_bytes_everywhere(tmp_path: Path) -> None:
    """Another folder, path to the model, hash seed, locale and time zone."""
    program = Path(sys.executable).with_name("mcugen")
    made = []
    for number, (seed, locale, zone) in enumerate(
        [("0", "C", "UTC"), ("1234", "de_DE.ISO-8859-1", "Asia/Kathmandu")]
    ):
        cwd = tmp_path / f"folder{number}"
        cwd.mkdir()
        model = shutil.copy(MODEL, cwd) if number else MODEL
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "LC_ALL": locale,
            "TZ": zone,
            "COLUMNS": str(40 + number),
        }
        command = [program, "generate", model, "-o", f"out{number}", "--board", BOARD]
        command.append("--split-data")
        subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True)
        made.append(tree(cwd / f"out{number}"))
    assert made[0] == made[1]
    assert all(str(tmp_path).encode() not in content for content in made[0].values() if content)


def test_a_closed_pipe_is_no_fault(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("mcugen")
    done = subprocess.run(
        f"'{program}' inspect '{MODEL}' | head -c 10", shell=True, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert "internal fault" not in done.stderr


def test_a_poor_terminal_gets_question_marks(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("mcugen")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [program, "generate", MODEL, "-o", "out"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert b"24?24?8" in done.stdout
