"""What a flashing tool is: facts, and functions from a job to argv lists; `runner` runs them."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

from mcugen.target.boards import Board, Flashing

Form = Literal["elf", "bin", "hex", "uf2"]


class Problem(Enum):
    """Why a tool did not do what it was asked; `problems.py` words each."""

    NO_PROBE = "no probe"
    SEVERAL_PROBES = "several probes"
    NO_PERMISSION = "no permission"
    BUSY = "busy"
    NO_TARGET = "no target"
    LOCKED = "locked"
    WRONG_CHIP = "wrong chip"
    UNKNOWN_CHIP = "unknown chip"
    DOES_NOT_FIT = "does not fit"
    MISMATCH = "mismatch"
    TOO_OLD = "too old"
    TIME_OUT = "time-out"
    FAILED = "failed"


@dataclass(frozen=True)
class Probe:
    """What a tool writes through: a debug probe, a drive or a serial port.

    `name` is what the tool takes to select it, None where it can only be the one that is there.
    """

    name: str | None
    title: str

    def __str__(self) -> str:
        return f"{self.name} ({self.title})" if self.name else self.title

    def answers_to(self, wanted: str) -> bool:
        """Whether a person who writes `wanted` means this one: its name, or how that ends."""
        return self.name is not None and self.name.lower().endswith(wanted.lower())


@dataclass(frozen=True)
class Job:
    """One image for one board; `probe` None leaves the choice to the tool."""

    board: Board
    settings: Flashing
    folder: Path
    probe: str | None
    verify: bool

    def image(self, form: Form) -> Path:
        return self.folder / f"firmware.{form}"

    @property
    def base(self) -> str:
        """Where the flash begins, as tools write it."""
        return f"{self.board.memory.flash.base:#010x}"


@dataclass(frozen=True)
class Script:
    """A command file that a step reads; written just before."""

    path: Path
    text: str


@dataclass(frozen=True)
class Step:
    """One process. It succeeded if it exits with 0 and its output matches `done`."""

    argv: tuple[str, ...]
    done: str = ""
    script: Script | None = None

    def __str__(self) -> str:
        """As one would type it into a shell."""
        command = shlex.join(self.argv)
        if self.script is None:
            return command
        return (
            f"cat > {shlex.quote(str(self.script.path))} <<'END'\n{self.script.text}END\n{command}"
        )


@dataclass(frozen=True)
class Version:
    """How to ask a tool for its version, and the oldest one whose options are those used here."""

    argv: tuple[str, ...]
    pattern: str
    least: tuple[int, ...]


@dataclass(frozen=True)
class Sign:
    """A line of a tool's output that tells what went wrong."""

    pattern: str
    problem: Problem


#: Runs a harmless command of the tool and returns all that it prints.
Ask = Callable[[Sequence[str]], str]


@dataclass(frozen=True)
class Tool:
    """A program that writes flash.

    Attributes:
        name: `--runner NAME`, and its table in a board file.
        programs: what must be installed; the first does the writing.
        install: how a person gets it.
        form: the image it reads, by board.
        verifies: whether it reads back what it wrote: `always`, when `asked`, or `never`.
        probes: what it could write through, or None where neither it nor the system can tell.
        steps: what writes (and verifies) the image.
        chip: a step whose `done` captures the chip's id in hexadecimal; reads only.
        signs: what its output tells, most specific first.
        unlock: a command that lifts a read-out protection by erasing the chip.
        connect: what a person does where it finds no probe.
        reach: what a person does where the probe does not reach the chip.
        must_name: its probes are places (a drive, a port), never left to the tool.
        learn: a command that teaches it the board's chip.
        by_request: used only where --runner names it.
        confirm: after the last step, what the board itself complains about, or None.
    """

    name: str
    programs: tuple[str, ...]
    install: str
    form: Callable[[Flashing], Form]
    verifies: Literal["always", "asked", "never"]
    probes: Callable[[Board, Ask], tuple[Probe, ...] | None]
    steps: Callable[[Job], tuple[Step, ...]]
    signs: tuple[Sign, ...]
    version: Version | None = None
    chip: Callable[[Job], Step] | None = None
    unlock: Callable[[Job], str | None] | None = None
    connect: str = "connect the board with a USB cable that carries data"
    reach: str = (
        "check power, cable and debug jumpers; hold the reset button while it starts, "
        "since a program that sleeps or uses the debug pins keeps the probe out"
    )
    learn: Callable[[Job], str] | None = None
    must_name: bool = False
    by_request: bool = False
    confirm: Callable[[Job], str | None] | None = None

    def verified(self, wanted: bool) -> bool:
        """Whether a run of it reads back what it wrote."""
        return self.verifies == "always" or (wanted and self.verifies == "asked")


def always(form: Form) -> Callable[[Flashing], Form]:
    """The same image for every board."""
    return lambda settings: form
