"""st-flash of the open-source stlink tools: ST-LINK probes; it always reads back what it wrote."""

import re

from mcugen.flash.tool import Ask, Job, Probe, Problem, Sign, Step, Tool, Version, always
from mcugen.target.boards import Board

_PROGRAM = "st-flash"
_INFO = ("st-info", "--probe")


def _steps(job: Job) -> tuple[Step, ...]:
    serial = ("--serial", job.probe) if job.probe else ()
    write = ("--reset", "write", str(job.image("bin")), job.base)
    return (Step((_PROGRAM, *serial, *write), r"Flash written and verified"),)


def _probes(board: Board, ask: Ask) -> tuple[Probe, ...]:
    numbers = re.findall(r"^\s*serial:\s*(\S+)", ask(_INFO), re.M)
    return tuple(Probe(number, "ST-LINK") for number in numbers)


def _chip(job: Job) -> Step:
    """`st-info --probe` tells of every probe; the chip follows its probe's serial number."""
    before = rf"serial:\s*{re.escape(job.probe)}\b[\s\S]*?" if job.probe else ""
    return Step(_INFO, rf"{before}chipid:\s*0x([0-9a-fA-F]+)")


TOOL = Tool(
    name="stlink",
    programs=(_PROGRAM, _INFO[0]),
    install="sudo apt-get install stlink-tools",
    form=always("bin"),
    verifies="always",
    probes=_probes,
    steps=_steps,
    # 1.6 prints the serial numbers that --serial takes.
    version=Version((_PROGRAM, "--version"), r"v?(\d+(?:\.\d+)+)", (1, 6)),
    chip=_chip,
    signs=(
        Sign(r"access error|LIBUSB_ERROR_ACCESS", Problem.NO_PERMISSION),
        Sign(r"unable to claim.*", Problem.BUSY),
        Sign(r"Couldn't find any ST-Link.*", Problem.NO_PROBE),
        Sign(r"Verification of flash failed.*", Problem.MISMATCH),
        Sign(r"Flash memory is write protected|Failed to unlock flash", Problem.LOCKED),
        Sign(r"Invalid address, it should be within.*|addr too high", Problem.DOES_NOT_FIT),
        Sign(r"unknown chip id! (0|0x0|0x748|0x3748)\b.*", Problem.NO_TARGET),
        Sign(r"unknown chip id!.*", Problem.UNKNOWN_CHIP),
        Sign(r"Can not connect to target.*", Problem.NO_TARGET),
        Sign(r"invalid command line", Problem.TOO_OLD),
    ),
)
