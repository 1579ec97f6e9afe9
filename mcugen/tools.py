"""External programs: the one seam through which any of them is found and run.

Builders elsewhere return argv lists; tests compare those lists; `run` executes them.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mcugen.errors import Fault, McugenError, fail

#: Debian and Ubuntu package that installs each program mcugen may need.
PACKAGES: Mapping[str, str] = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "arm-none-eabi-objcopy": "binutils-arm-none-eabi",
    "arm-none-eabi-objdump": "binutils-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
    "gcc": "gcc",
    "clang": "clang",
    "cppcheck": "cppcheck",
}


#: Where an environment keeps the programs of its packages.
BESIDE_PYTHON = str(Path(sys.executable).parent)

#: What a stopped program has to clean up in, seconds.
_STOP_S = 2.0


@dataclass(frozen=True)
class Finished:
    """What a program left behind."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class TimedOutError(McugenError):
    """A program that did not end within `seconds`; it was stopped."""

    def __init__(self, program: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__("tools", Fault(f"{program} did not end within {seconds:g} s"))


def find(program: str) -> str | None:
    """Absolute path of `program`, or None where it is not installed.

    Programs of Python packages are also found beside a Python that is not on PATH.
    """
    return shutil.which(program) or shutil.which(program, path=BESIDE_PYTHON)


def require(*programs: str) -> None:
    """Raise one error that names every missing program and the package that brings it."""
    missing = [name for name in programs if find(name) is None]
    if missing:
        packages = " ".join(dict.fromkeys(PACKAGES.get(name, name) for name in missing))
        raise fail(
            "tools",
            f"missing program: {', '.join(missing)}",
            help=f"sudo apt-get install {packages}",
        )


def run(argv: Sequence[str], *, cwd: Path | None = None, timeout_s: float = 300) -> Finished:
    """Run `argv` to its end; a non-zero exit is the caller's to judge.

    The program gets no input. It has a process group of its own: a time-out or an interrupt stops
    what it started, too, and nothing outlives the call.

    Raises:
        McugenError: the program is missing.
        TimedOutError: it did not end within `timeout_s` seconds.
    """
    require(argv[0])
    process = subprocess.Popen(
        [find(argv[0]) or argv[0], *argv[1:]],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            _stop(process)
            raise TimedOutError(argv[0], timeout_s) from error
        except BaseException:
            _stop(process)
            raise
    return Finished(tuple(argv), process.returncode, stdout, stderr)


def _stop(process: "subprocess.Popen[str]") -> None:
    """End the group of a program: with Ctrl-C, and for good what ignores that."""
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGINT)
        process.wait(_STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def run_checked(
    argv: Sequence[str], *, cwd: Path | None = None, timeout_s: float = 300
) -> Finished:
    """Like `run`, and raises with the program's own words when it exits non-zero."""
    done = run(argv, cwd=cwd, timeout_s=timeout_s)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()
        raise fail(
            "tools",
            f"{argv[0]} failed with exit code {done.returncode}",
            at=" ".join(argv),
            got=words[-4000:],
        )
    return done
