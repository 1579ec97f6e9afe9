"""pyOCD: CMSIS-DAP, ST-LINK and J-Link probes. It verifies with a second command, `compare`."""

import json
import shlex

from mcugen.flash.tool import Ask, Job, Probe, Problem, Sign, Step, Tool, Version, always
from mcugen.target.boards import Board

_PROGRAM = "pyocd"

#: Else it erases a locked chip unasked.
_CAREFUL = ("-O", "auto_unlock=false")


def _connection(job: Job) -> tuple[str, ...]:
    assert job.settings.pyocd is not None
    probe = ("-u", job.probe) if job.probe else ()
    return ("--no-wait", "-t", job.settings.pyocd.target, *probe)


def _commander(job: Job, *commands: str) -> tuple[str, ...]:
    given = [word for command in commands for word in ("-c", command)]
    return (_PROGRAM, "commander", *_connection(job), *_CAREFUL, *given)


def _steps(job: Job) -> tuple[Step, ...]:
    load = Step((_PROGRAM, "load", *_connection(job), *_CAREFUL, str(job.image("hex"))))
    if not job.verify:
        return (load,)
    compare = f"compare {job.base} {shlex.quote(str(job.image('bin')))}"
    # commander exits with 0 on a difference: only its words tell.
    return (load, Step(_commander(job, compare, "reset"), r"All \d+ bytes match"))


def _chip(job: Job) -> Step:
    assert job.settings.chip is not None
    address = f"{job.settings.chip.address:08x}"
    return Step(_commander(job, f"read32 0x{address}"), rf"{address}:\s+([0-9a-f]{{8}})")


def _probes(board: Board, ask: Ask) -> tuple[Probe, ...]:
    text = ask((_PROGRAM, "json", "--probes"))
    try:
        listed = json.loads(text[text.index("{") : text.rindex("}") + 1])["boards"]
        return tuple(Probe(item["unique_id"], item["info"]) for item in listed)
    except (ValueError, KeyError, TypeError):
        return ()


def _unlock(job: Job) -> str:
    return shlex.join((_PROGRAM, "erase", "--chip", *_connection(job)))


def _learn(job: Job) -> str:
    assert job.settings.pyocd is not None
    return shlex.join((_PROGRAM, "pack", "install", job.settings.pyocd.target))


TOOL = Tool(
    name="pyocd",
    programs=(_PROGRAM,),
    install="pip install 'mcugen[flash]'",
    form=always("hex"),
    verifies="asked",
    probes=_probes,
    steps=_steps,
    # 0.35 has `load` as it is used here, `json --probes` and `compare`.
    version=Version((_PROGRAM, "--version"), r"(\d+(?:\.\d+)+)", (0, 35)),
    chip=_chip,
    unlock=_unlock,
    learn=_learn,
    signs=(
        Sign(r"udev rule|[Aa]ccess denied|insufficient permissions", Problem.NO_PERMISSION),
        Sign(r"No connected debug probe|No target device available", Problem.NO_PROBE),
        Sign(r"Resource busy", Problem.BUSY),
        Sign(r"Target type \S+ not recognized", Problem.UNKNOWN_CHIP),
        Sign(r"older firmware version.*|unrecognized arguments.*", Problem.TOO_OLD),
        Sign(r"APPROTECT enabled.*", Problem.LOCKED),
        Sign(r"flash (erase|program).*(failure|timeout).*", Problem.LOCKED),
        Sign(r"Mismatched byte at.*", Problem.MISMATCH),
        Sign(r"no memory region defined for address.*", Problem.DOES_NOT_FIT),
        Sign(r"communication failure \((No|Unexpected) ACK.*", Problem.NO_TARGET),
        Sign(r"STLink error.*|Memory transfer fault.*", Problem.NO_TARGET),
    ),
)
