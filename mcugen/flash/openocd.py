"""OpenOCD: ST-LINK, CMSIS-DAP and J-Link probes, by the board's configuration files."""

import re

from mcugen.flash import usb
from mcugen.flash.tool import Ask, Job, Probe, Problem, Sign, Step, Tool, Version, always
from mcugen.target.boards import Board, OpenOcd

_PROGRAM = "openocd"

#: Interface file of a probe → its kind on USB.
_KINDS = {
    "interface/stlink.cfg": "ST-LINK",
    "interface/cmsis-dap.cfg": "CMSIS-DAP",
    "interface/jlink.cfg": "J-Link",
}


def _settings(board: Board) -> OpenOcd:
    assert board.flash is not None
    assert board.flash.openocd is not None
    return board.flash.openocd


def _command(job: Job, *commands: str) -> tuple[str, ...]:
    settings = _settings(job.board)
    interface, *targets = settings.config
    argv = [_PROGRAM, "-f", interface]
    if settings.transport:
        argv += ["-c", f"transport select {settings.transport}"]
    if job.probe:
        argv += ["-c", f"adapter serial {_tcl(job.probe)}"]
    for name in targets:
        argv += ["-f", name]
    if settings.speed_khz:
        argv += ["-c", f"adapter speed {settings.speed_khz}"]
    for command in commands:
        argv += ["-c", command]
    return tuple(argv)


def _tcl(text: str) -> str:
    """`text` as one Tcl word: a path may hold spaces, a device may give itself any number."""
    return text if re.fullmatch(r"[\w./+-]+", text) else re.sub(r"([^\w./+-])", r"\\\1", text)


def _steps(job: Job) -> tuple[Step, ...]:
    verify = " verify" if job.verify else ""
    program = f"program {_tcl(str(job.image('elf')))}{verify} reset exit"
    done = r"\*\* Verified OK \*\*" if job.verify else r"\*\* Programming Finished \*\*"
    return (Step(_command(job, program), done),)


def _chip(job: Job) -> Step:
    assert job.settings.chip is not None
    address = f"{job.settings.chip.address:#010x}"
    return Step(_command(job, "init", f"mdw {address}", "exit"), rf"{address}: ([0-9a-f]{{8}})")


def _probes(board: Board, ask: Ask) -> tuple[Probe, ...] | None:
    """OpenOCD lists none; the USB tree does."""
    kind = _KINDS.get(_settings(board).config[0])
    return usb.probes(kind) if kind else None


def _unlock(job: Job) -> str | None:
    command = _settings(job.board).unlock
    return str(Step(_command(job, "init", "reset halt", command, "exit"))) if command else None


TOOL = Tool(
    name="openocd",
    programs=(_PROGRAM,),
    install="sudo apt-get install openocd",
    form=always("elf"),
    verifies="asked",
    probes=_probes,
    steps=_steps,
    # 0.12 has `adapter serial` for every kind of probe.
    version=Version((_PROGRAM, "--version"), r"Open On-Chip Debugger v?(\d+(?:\.\d+)+)", (0, 12)),
    chip=_chip,
    unlock=_unlock,
    signs=(
        Sign(r"LIBUSB_ERROR_ACCESS", Problem.NO_PERMISSION),
        Sign(r"LIBUSB_ERROR_BUSY|unable to claim|already in use", Problem.BUSY),
        Sign(r"Error: (open failed|ST-LINK open failed.*)$", Problem.NO_PROBE),
        Sign(r"unable to find a matching CMSIS-DAP device", Problem.NO_PROBE),
        Sign(r"No J-Link device found", Problem.NO_PROBE),
        Sign(r"Can't find (interface|target)/\S+", Problem.TOO_OLD),
        Sign(r"UNEXPECTED idcode.*", Problem.WRONG_CHIP),
        Sign(r"Cannot identify target as an? .*", Problem.WRONG_CHIP),
        Sign(r"device protected|Device Security Bit Set|AP ?protect", Problem.LOCKED),
        Sign(r"Could not find MEM-AP to control the core", Problem.LOCKED),
        Sign(r"no flash bank found for address.*", Problem.DOES_NOT_FIT),
        Sign(r"\*\* Verify Failed \*\*", Problem.MISMATCH),
        Sign(r"init mode failed.*", Problem.NO_TARGET),
        Sign(r"Error connecting DP.*", Problem.NO_TARGET),
        Sign(r"target voltage may be too low.*", Problem.NO_TARGET),
        Sign(r"\*\* Unable to reset target \*\*", Problem.NO_TARGET),
    ),
)
