"""SEGGER's J-Link Commander. It reads its commands from a file; most failures exit with 0."""

from pathlib import Path

from mcugen.flash import usb
from mcugen.flash.tool import Ask, Job, Probe, Problem, Script, Sign, Step, Tool, always
from mcugen.target.boards import Board

_PROGRAM = "JLinkExe"
_SPEED_KHZ = 4000


def _step(job: Job, name: str, commands: tuple[str, ...], done: str) -> Step:
    assert job.settings.jlink is not None
    path = job.folder / name
    serial = ("-USB", job.probe) if job.probe else ()
    chip = ("-Device", job.settings.jlink.device, "-If", "SWD", "-Speed", str(_SPEED_KHZ))
    options = ("-NoGui", "1", "-ExitOnError", "1", "-AutoConnect", "1", "-CommandFile", str(path))
    text = "".join(f"{command}\n" for command in (*commands, "exit"))
    return Step((_PROGRAM, *serial, *chip, *options), done, Script(path, text))


def _steps(job: Job) -> tuple[Step, ...]:
    load = f"loadfile {_word(job.image('hex'))}"
    verify = (f"verifybin {_word(job.image('bin'))}, {job.base}",) if job.verify else ()
    done = r"Verify successful" if job.verify else r"(?m)^O\.K\."
    return (_step(job, "flash.jlink", (load, *verify, "r", "g"), done),)


def _word(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text


def _chip(job: Job) -> Step:
    assert job.settings.chip is not None
    address = f"{job.settings.chip.address:08X}"
    return _step(job, "chip.jlink", (f"mem32 0x{address}, 1",), rf"{address} = ([0-9A-F]{{8}})")


def _probes(board: Board, ask: Ask) -> tuple[Probe, ...] | None:
    return usb.probes("J-Link")


TOOL = Tool(
    name="jlink",
    programs=(_PROGRAM,),
    install="J-Link Software and Documentation Pack from segger.com",
    form=always("hex"),
    verifies="asked",
    probes=_probes,
    steps=_steps,
    chip=_chip,
    signs=(
        Sign(r"Cannot connect to J-Link.*", Problem.NO_PROBE),
        Sign(r"Unknown command line option.*", Problem.TOO_OLD),
        Sign(r"Unknown device.*", Problem.UNKNOWN_CHIP),
        Sign(r"the device is secured.*", Problem.LOCKED),
        Sign(r"Verify failed.*", Problem.MISMATCH),
        Sign(r"Cannot connect to target.*", Problem.NO_TARGET),
    ),
)
