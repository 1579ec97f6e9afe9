"""picotool: the RP2040's own USB boot loader."""

import re

from mcugen.flash.tool import Ask, Job, Probe, Problem, Sign, Step, Tool, Version, always
from mcugen.target.boards import Board

_PROGRAM = "picotool"
_NOTHING = r"No accessible .* in BOOTSEL mode"


def _steps(job: Job) -> tuple[Step, ...]:
    """A probe is BUS:ADDRESS: in the boot loader every RP2040 has the same serial number."""
    where: tuple[str, ...] = ()
    if job.probe:
        bus, _, address = job.probe.partition(":")
        where = ("--bus", bus, "--address", address)
    verify = ("-v",) if job.verify else ()
    done = r"Verifying Flash:[\s\S]*OK" if job.verify else r"Loading into Flash:.*100%"
    return (Step((_PROGRAM, "load", *verify, "-x", str(job.image("uf2")), *where), done),)


def _probes(board: Board, ask: Ask) -> tuple[Probe, ...]:
    text = ask((_PROGRAM, "info"))
    if re.search(_NOTHING, text):
        return ()
    places = re.findall(r"^(?:RP2040 d|D)evice at bus (\d+), address (\d+):", text, re.M)
    several = tuple(Probe(f"{bus}:{address}", "RP2040 in BOOTSEL") for bus, address in places)
    return several or (Probe(None, "RP2040 in BOOTSEL"),)


TOOL = Tool(
    name="picotool",
    programs=(_PROGRAM,),
    install="see github.com/raspberrypi/picotool",
    form=always("uf2"),
    verifies="asked",
    probes=_probes,
    steps=_steps,
    connect="hold the BOOTSEL button while you connect the board",
    version=Version((_PROGRAM, "version"), r"picotool v?(\d+(?:\.\d+)+)", (1, 1)),
    signs=(
        Sign(r"picotool was unable to connect", Problem.NO_PERMISSION),
        Sign(rf"{_NOTHING}.*", Problem.NO_PROBE),
        Sign(r"requires a single .* device.*", Problem.SEVERAL_PROBES),
        Sign(r"The device contents did not match.*", Problem.MISMATCH),
        Sign(r"contained an invalid memory range.*", Problem.DOES_NOT_FIT),
    ),
)
