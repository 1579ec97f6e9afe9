"""ST's STM32_Programmer_CLI: ST-LINK probes."""

import re
import shlex

from mcugen.flash.tool import Ask, Job, Probe, Problem, Sign, Step, Tool, Version, always
from mcugen.target.boards import Board

_PROGRAM = "STM32_Programmer_CLI"


def _connection(job: Job) -> tuple[str, ...]:
    serial = (f"sn={job.probe}",) if job.probe else ()
    return (_PROGRAM, "-c", "port=SWD", *serial)


def _steps(job: Job) -> tuple[Step, ...]:
    verify = ("-v",) if job.verify else ()
    done = r"Download verified successfully" if job.verify else r"File download complete"
    return (Step((*_connection(job), "-w", str(job.image("elf")), *verify, "-rst"), done),)


def _chip(job: Job) -> Step:
    return Step(_connection(job), r"Device ID\s*: 0x([0-9a-fA-F]+)")


def _probes(board: Board, ask: Ask) -> tuple[Probe, ...]:
    listed = re.findall(
        r"ST-LINK SN\s*:\s*(\S+)(?:(?!ST-LINK SN)[\s\S])*?(?:Board Name\s*:\s*(\S.*)|$)",
        ask((_PROGRAM, "-l", "st-link")),
    )
    return tuple(Probe(number, name.strip() or "ST-LINK") for number, name in listed)


def _unlock(job: Job) -> str:
    return shlex.join((*_connection(job), "-rdu"))


TOOL = Tool(
    name="stm32cubeprogrammer",
    programs=(_PROGRAM,),
    install="STM32CubeProgrammer from st.com, its bin folder on PATH",
    form=always("elf"),
    verifies="asked",
    probes=_probes,
    steps=_steps,
    # 2.4 is the oldest whose listing is known to be as read here.
    version=Version((_PROGRAM, "--version"), r"STM32CubeProgrammer v(\d+(?:\.\d+)+)", (2, 4)),
    chip=_chip,
    unlock=_unlock,
    signs=(
        Sign(r"[Nn]o (ST-?L[Ii][Nn][Kk]|debug probe) detected.*", Problem.NO_PROBE),
        Sign(r"DEV_USB_COMM_ERR", Problem.BUSY),
        Sign(r"Read ?Out Protection.*|protection mechanism is active", Problem.LOCKED),
        Sign(r"it may be not erased or protected", Problem.LOCKED),
        Sign(r"Data mismatch found.*|[Vv]erification failed", Problem.MISMATCH),
        Sign(r"DEV_CONNECT_ERR|No STM32 target found.*", Problem.NO_TARGET),
        Sign(r"Unable to get core ID", Problem.NO_TARGET),
    ),
)
