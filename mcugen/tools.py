"""External programs: the one seam through which any of them is found and run.

Builders elsewhere return argv lists; tests compare those lists; `run` executes them.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcugen.errors import fail

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


@dataclass(frozen=True)
class Finished:
    """What a program left behind."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


def find(program: str) -> str | None:
    """Absolute path of `program`, or None where it is not installed."""
    return shutil.which(program)


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

    Raises:
        McugenError: the program is missing, or did not end within `timeout_s` seconds.
    """
    require(argv[0])
    try:
        done = subprocess.run(
            argv, cwd=cwd, timeout=timeout_s, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise fail("tools", f"{argv[0]} did not end within {timeout_s:g} s") from error
    return Finished(tuple(argv), done.returncode, done.stdout, done.stderr)


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
