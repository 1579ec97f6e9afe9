"""Commands that need no PyTorch start without it, and fast."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import MODELS

MODEL = str(MODELS / "lenet_mixed.pt2")
HEAVY = ("torch", "unicorn", "capstone", "PIL", "sklearn", "cffi", "setuptools")

#: Processor seconds of the command: other work on the machine stretches the wall clock only.
MOST_SECONDS = 1.0

CODE = """
import json, sys
from mcugen import cli
sys.argv = ["mcugen", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(json.dumps([name for name in sys.modules if "." not in name]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate", MODEL, "-o", "out", "--board", "stm32f446"),
        ("inspect", MODEL),
        ("boards",),
        ("ops",),
        ("doctor",),
        ("--help",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_nothing_heavy_is_imported(arguments: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = json.loads(done.stderr.splitlines()[-1])
    assert set(HEAVY) & set(loaded) == set()


def test_generate_takes_less_than_a_second(tmp_path: Path) -> None:
    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    took = []
    for number in range(3):
        before = seconds()
        command = [Path(sys.executable).with_name("mcugen"), "generate", MODEL, "-o", str(number)]
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        took.append(seconds() - before)
    assert min(took) < MOST_SECONDS, took
