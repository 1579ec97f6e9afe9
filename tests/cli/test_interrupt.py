"""Ctrl-C at any moment: exit code 130, no half-written output, no process left behind.

Each command is first run to its end, to know how long it takes and what it writes; then it is
interrupted at moments spread over that time. It must leave what was there, or the whole result.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import BOARD, MODELS, tree

MODEL = str(MODELS / "lenet_mixed.pt2")
MCUGEN = str(Path(sys.executable).with_name("mcugen"))
INTERRUPTED = 130


def start(arguments: tuple[str, ...], cwd: Path) -> subprocess.Popen[str]:
    """A process group of its own, as a shell gives a command; scratch files below `cwd`/tmp."""
    environment = {**os.environ, "TMPDIR": str(cwd / "tmp"), "OMP_NUM_THREADS": "1"}
    (cwd / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [MCUGEN, *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell makes background jobs, and with them these tests, deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def members(group: int) -> list[str]:
    """Names of the running processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:  # it has ended meanwhile
            continue
        state, _, its_group = rest.split()[:3]
        if int(its_group) == group and state != "Z":
            found.append(name.partition("(")[2])
    return found


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> tuple[int, str]:
    """Exit code and words; nothing of the group may be left running."""
    os.killpg(process.pid, number)
    _, words = process.communicate(timeout=30)
    deadline = time.monotonic() + 5
    while (left := members(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    assert "Traceback" not in words, words
    return process.returncode, words


def outputs(folder: Path) -> dict[str, bytes | None]:
    """All but scratch files, which must be gone; PyTorch makes itself a folder among them."""
    found = tree(folder)
    scratch = [name for name in found if name.startswith("tmp/") and "torchinductor" not in name]
    assert scratch == []
    return {name: content for name, content in found.items() if not name.startswith("tmp")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_generate(number: signal.Signals, tmp_path: Path) -> None:
    _at_moments(("generate", MODEL, "-o", "out"), tmp_path, number, moments=4)


def test_generate_over_an_earlier_output(tmp_path: Path) -> None:
    before = ("generate", str(MODELS / "digits_mlp.pt2"), "-o", "out", "--split-data")
    _at_moments(("generate", MODEL, "-o", "out"), tmp_path, signal.SIGINT, moments=4, setup=before)


def test_build(tmp_path: Path) -> None:
    before = ("generate", MODEL, "-o", "out", "--board", BOARD)
    _at_moments(("build", "out", "--board", BOARD), tmp_path, signal.SIGINT, 4, setup=before)


def _at_moments(
    arguments: tuple[str, ...],
    tmp_path: Path,
    number: signal.Signals,
    moments: int,
    setup: tuple[str, ...] | None = None,
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    if setup:
        assert start(setup, whole).wait(60) == 0
    first = outputs(whole)
    shutil.copytree(whole, tmp_path / "pristine")
    began = time.monotonic()
    process = start(arguments, whole)
    process.communicate(timeout=120)
    assert process.returncode == 0
    duration = time.monotonic() - began
    last = outputs(whole)
    codes = set()
    for moment in range(moments):
        cwd = tmp_path / str(moment)
        shutil.copytree(tmp_path / "pristine", cwd)
        process = start(arguments, cwd)
        # The interpreter's own start, before there is anything to tidy up, is left out.
        time.sleep(duration * (0.4 + 0.6 * moment / moments))
        code, words = interrupt(process, number)
        codes.add(code)
        left = _normal(outputs(cwd))
        assert left in (_normal(first), _normal(last))
        # -number: it came while the interpreter shut down, when all was done.
        assert code in (0, INTERRUPTED, -number), words
    assert INTERRUPTED in codes


def _normal(files: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """Without the empty folder that an interrupted build may leave for its images."""
    return {name: content for name, content in files.items() if content is not None}


def test_train(tmp_path: Path) -> None:
    arguments = ("train", "float", "--model", "mlp", "--data", "digits", "--epochs", "500")
    process = start((*arguments, "-o", "m.pt2"), tmp_path)
    assert process.stderr is not None
    assert "float 1/500" in process.stderr.readline()
    code, words = interrupt(process)
    assert code == INTERRUPTED
    assert words.endswith("interrupted\n")
    assert outputs(tmp_path) == {}


def test_run_stops_the_emulator(built: Path, tmp_path: Path) -> None:
    arguments = ("run", str(built), "--board", BOARD, "--qemu", "--data", "digits")
    process = start(arguments, tmp_path)
    deadline = time.monotonic() + 60
    while "qemu-system-arm" not in members(process.pid):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.3)
    code, words = interrupt(process)
    assert code == INTERRUPTED
    assert words.endswith("interrupted\n")
    assert outputs(tmp_path) == {}
