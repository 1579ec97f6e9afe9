"""Runs a tool's steps: process, time-out, and what a failure means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mcugen import tools
from mcugen.errors import McugenError
from mcugen.flash.problems import problem
from mcugen.flash.tool import Job, Problem, Sign, Step, Tool

#: Seconds for a command that only asks something.
ASK_S = 30.0

#: Seconds for a command that writes: to start, erase and reset, and for each byte both ways. The
#: slowest line is a boot loader at 57,600 baud: 11 bits for a byte, written and read back.
_START_S = 60.0
_BYTE_S = 2 * 11 / 57_600

_LAST_WORDS = 8


@dataclass(frozen=True)
class Writer:
    """A tool with its job: everything a step needs to run and to fail well."""

    tool: Tool
    job: Job

    def run(self, step: Step, timeout_s: float) -> re.Match[str]:
        """Run one step to its end and return the match of what says that it succeeded.

        Raises:
            McugenError: it did not succeed; which problem, its output tells.
        """
        if step.script is not None:
            step.script.path.write_text(step.script.text, encoding="utf-8")
        try:
            ended = tools.run(step.argv, timeout_s=timeout_s)
        except tools.TimedOutError as error:
            raise self._error(Problem.TIME_OUT, step, f"{error.seconds:g} s") from error
        text = f"{ended.stdout}\n{ended.stderr}"
        done = re.search(step.done, text)
        if ended.returncode == 0 and done is not None:
            return done
        what, words = diagnosis(self.tool.signs, text)
        raise self._error(what, step, words or f"exit code {ended.returncode}, no output")

    def chip_id(self) -> int | None:
        """The id of the connected chip; None where the tool cannot tell or the board names none.

        Raises:
            McugenError: the chip cannot be reached, or it is another one than the board's.
        """
        wanted = self.job.settings.chip
        if self.tool.chip is None or wanted is None:
            return None
        step = self.tool.chip(self.job)
        found = int(self.run(step, ASK_S)[1], 16) & wanted.mask
        if found != wanted.value:
            got = f"{found:#x} at {wanted.address:#010x}"
            raise self._error(Problem.WRONG_CHIP, step, got, f"{wanted.value:#x}")
        return found

    def write(self, image_bytes: int) -> None:
        """Write, verify where asked, start.

        Raises:
            McugenError: any step fails, or the board complains afterwards.
        """
        for step in self.tool.steps(self.job):
            self.run(step, _START_S + image_bytes * _BYTE_S)
        complaint = self.tool.confirm(self.job) if self.tool.confirm else None
        if complaint is not None:
            what, _ = diagnosis(self.tool.signs, complaint)
            raise self._error(what, step, complaint)

    def _error(self, what: Problem, step: Step, got: str, want: str | None = None) -> McugenError:
        return problem(what, self.tool, self.job, at=str(step), got=got, want=want)


def diagnosis(signs: Sequence[Sign], text: str) -> tuple[Problem, str]:
    """What the output of a failed command means, and the line that says so, or its last lines."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    for sign in signs:
        for line in lines:
            if re.search(sign.pattern, line):
                return sign.problem, line
    return Problem.FAILED, "\n".join(lines[-_LAST_WORDS:])


def output_of(argv: Sequence[str]) -> str:
    """All that a harmless command prints, whatever its exit code.

    Raises:
        McugenError: it did not end in time.
    """
    ended = tools.run(argv, timeout_s=ASK_S)
    return f"{ended.stdout}\n{ended.stderr}"
