"""probe-rs: CMSIS-DAP, ST-LINK and J-Link probes, named VENDOR:PRODUCT:SERIAL."""

import re
import shlex

from mcugen.flash.tool import Ask, Job, Probe, Problem, Sign, Step, Tool, Version, always
from mcugen.target.boards import Board

_PROGRAM = "probe-rs"


def _connection(job: Job) -> tuple[str, ...]:
    assert job.settings.probe_rs is not None
    probe = ("--probe", job.probe) if job.probe else ()
    return ("--chip", job.settings.probe_rs.chip, *probe)


def _steps(job: Job) -> tuple[Step, ...]:
    verify = ("--verify",) if job.verify else ()
    image = str(job.image("elf"))
    load = ("download", *_connection(job), "--disable-progressbars", *verify, image)
    return (
        Step((_PROGRAM, *load), r"Finished in"),
        Step((_PROGRAM, "reset", *_connection(job))),
    )


def _chip(job: Job) -> Step:
    assert job.settings.chip is not None
    read = ("read", *_connection(job), "b32", f"{job.settings.chip.address:#010x}", "1")
    return Step((_PROGRAM, *read), r"(?m)^\s*([0-9a-f]{8})\s*$")


def _probes(board: Board, ask: Ask) -> tuple[Probe, ...]:
    listed = re.findall(
        r"^\[\d+\]: (.*?) -- ([0-9a-f]{4}:[0-9a-f]{4}\S*)", ask((_PROGRAM, "list")), re.M
    )
    return tuple(Probe(name, title) for title, name in listed)


def _unlock(job: Job) -> str:
    return shlex.join((_PROGRAM, "erase", *_connection(job), "--allow-erase-all"))


TOOL = Tool(
    name="probe_rs",
    programs=(_PROGRAM,),
    install="see probe.rs/docs/getting-started/installation",
    form=always("elf"),
    verifies="asked",
    probes=_probes,
    steps=_steps,
    # 0.24 lists probes in the form that --probe takes.
    version=Version((_PROGRAM, "--version"), r"probe-rs (\d+(?:\.\d+)+)", (0, 24)),
    chip=_chip,
    unlock=_unlock,
    signs=(
        Sign(r"[Pp]ermission denied.*", Problem.NO_PERMISSION),
        Sign(r"No connected probes were found|Probe was not found", Problem.NO_PROBE),
        Sign(r"Selection:", Problem.SEVERAL_PROBES),
        Sign(r"[Rr]esource busy.*", Problem.BUSY),
        Sign(r"firmware on the probe is outdated.*", Problem.TOO_OLD),
        Sign(r"unexpected argument.*", Problem.TOO_OLD),
        Sign(r"chip '.*' was not found.*|requested chip .* was not found.*", Problem.UNKNOWN_CHIP),
        Sign(r"lacked the permission.*erase_all.*", Problem.LOCKED),
        Sign(r"[Vv]erification failed.*", Problem.MISMATCH),
        Sign(r"No flash memory contains.*", Problem.DOES_NOT_FIT),
        Sign(r"Connecting to the chip was unsuccessful.*", Problem.NO_TARGET),
    ),
)
