"""What goes wrong when a board is flashed, and the way out: one sentence each."""

from mcugen.errors import McugenError, fail
from mcugen.flash.tool import Job, Problem, Tool

#: Problem → what is wrong, what to do; `problem` fills in what stands in braces.
WORDS = {
    Problem.NO_PROBE: ("{tool} finds no probe for {board}", "{connect}"),
    Problem.SEVERAL_PROBES: (
        "{tool} finds several probes",
        "name one: --serial-number NUMBER, or unplug the others",
    ),
    Problem.NO_PERMISSION: (
        "{tool} finds the probe and may not use it",
        "on Linux install the udev rules that come with {tool}, then plug the board in again; "
        "a serial port needs: sudo usermod -aG dialout $USER",
    ),
    Problem.BUSY: (
        "another program holds the probe",
        "close debuggers, IDEs and serial monitors that use it",
    ),
    Problem.NO_TARGET: (
        "{tool} reaches the probe, and the probe does not reach the {chip}",
        "{reach}",
    ),
    Problem.LOCKED: ("the {chip} is protected against reading or writing", "{unlocking}"),
    Problem.WRONG_CHIP: (
        "the connected chip is not the {chip} of {board}",
        "connect that board, or name the connected one with --board",
    ),
    Problem.UNKNOWN_CHIP: (
        "{tool} does not know the {chip}",
        "{learn}, or choose another tool with --runner",
    ),
    Problem.DOES_NOT_FIT: (
        "the image does not fit into the flash of the connected chip",
        "mcugen build shows what takes the space; is it the right board?",
    ),
    Problem.MISMATCH: (
        "the flash of the {chip} does not hold what was written",
        "flash again with a shorter cable; if it stays so, the flash may be worn out",
    ),
    Problem.TOO_OLD: ("{tool} or the firmware of the probe is too old", "update it: {install}"),
    Problem.TIME_OUT: (
        "{tool} did not end in time",
        "unplug the board, plug it in again, and flash again: its flash may be half written",
    ),
    Problem.FAILED: (
        "{tool} failed",
        "run its command by hand (mcugen flash --dry-run prints it), or try another --runner",
    ),
}


def problem(
    what: Problem, tool: Tool, job: Job, *, at: str, got: str, want: str | None = None
) -> McugenError:
    """The error for `what`; `at` is the command line and `got` the tool's own words."""
    sentence, help_ = WORDS[what]
    names = {
        "board": job.board.name,
        "tool": tool.name,
        "chip": job.board.mcu.name,
        "install": tool.install,
        "connect": tool.connect,
        "reach": tool.reach,
        "unlocking": _unlocking(tool, job),
        "learn": tool.learn(job) if tool.learn else f"update {tool.name}",
    }
    words = sentence.format(**names)
    return fail("flash", words, at=at, got=got, want=want, help=help_.format(**names))


def _unlocking(tool: Tool, job: Job) -> str:
    command = tool.unlock(job) if tool.unlock else None
    if command is None:
        return "another tool can unlock it, which erases it: see --runner and docs/flashing.md"
    return f"this unlocks the chip and erases all of its flash: {command}"
