"""Boards that show up as a drive: an image is copied onto it, and the board writes its flash."""

import time
from getpass import getuser
from pathlib import Path

from mcugen.flash.tool import Ask, Form, Job, Probe, Problem, Sign, Step, Tool
from mcugen.target.boards import Board, Drive, Flashing

#: Where systems mount removable drives; LABEL1 is the second one of a name.
_PLACES = ("/media/*/", "/run/media/*/", "/media/", "/mnt/", "/Volumes/")
_FILES = ("INFO_UF2.TXT", "DETAILS.TXT", "MBED.HTM")
_COMPLAINT = "FAIL.TXT"
_WAIT_S = 8.0
_POLL_S = 0.1


def _settings(flashing: Flashing) -> Drive:
    assert flashing.uf2 is not None
    return flashing.uf2


def _form(flashing: Flashing) -> Form:
    return _settings(flashing).image


def mounted(label: str, root: Path = Path("/")) -> tuple[Path, ...]:
    """Drives of this name that hold the file by which a boot loader says what it is."""
    patterns = [f"{place[1:]}{label}{more}" for place in _PLACES for more in ("", "[0-9]")]
    found = {path for pattern in patterns for path in root.glob(pattern)}
    return tuple(sorted(path for path in found if any((path / name).exists() for name in _FILES)))


def _probes(board: Board, ask: Ask) -> tuple[Probe, ...]:
    assert board.flash is not None
    return tuple(Probe(str(path), "drive") for path in mounted(_settings(board.flash).label))


def _drive(job: Job) -> Path:
    usual = f"/media/{getuser()}/{_settings(job.settings).label}"
    return Path(job.probe or usual)


def _steps(job: Job) -> tuple[Step, ...]:
    image = job.image(_form(job.settings))
    return (Step(("cp", str(image), f"{_drive(job)}/")), Step(("sync",)))


def _confirm(job: Job) -> str | None:
    """Watch the drive: it comes back with FAIL.TXT, without it, or (UF2) leaves for good."""
    drive, gone = _drive(job), False
    stays_away = _form(job.settings) == "uf2"
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        if (drive / _COMPLAINT).is_file():
            return (drive / _COMPLAINT).read_text(encoding="utf-8", errors="replace").strip()
        there = any((drive / name).exists() for name in _FILES)
        if not there and stays_away:
            return None
        if there and gone:
            return None
        gone = gone or not there
        time.sleep(_POLL_S)
    return "the drive is still there: the board did not take the image" if stays_away else None


TOOL = Tool(
    name="uf2",
    programs=("cp", "sync"),
    install="part of every system",
    form=_form,
    verifies="never",
    probes=_probes,
    steps=_steps,
    connect="connect the board so that its drive appears, and mount that",
    must_name=True,
    confirm=_confirm,
    signs=(
        Sign(r"No space left on device", Problem.DOES_NOT_FIT),
        Sign(r"Permission denied|Read-only file system", Problem.NO_PERMISSION),
        Sign(r"No such file or directory|Not a directory", Problem.NO_PROBE),
        Sign(r"FAILED to unlock the target.*", Problem.LOCKED),
        Sign(r"FAILED to (reset/halt|initialize) the target.*", Problem.NO_TARGET),
        Sign(r"Flash algorithm (erase|write).* command FAILURE", Problem.LOCKED),
        Sign(r"isn't compatible with this mode or device.*", Problem.WRONG_CHIP),
    ),
)
