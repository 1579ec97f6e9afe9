"""stm32flash: the boot loader in every STM32's ROM, over a serial port."""

from mcugen.flash.tool import Ask, Job, Probe, Problem, Sign, Step, Tool, always
from mcugen.run.serial import found_ports
from mcugen.target.boards import Board

_PROGRAM = "stm32flash"
_USUAL_PORT = "/dev/ttyUSB0"


def _command(job: Job, *options: str) -> tuple[str, ...]:
    assert job.settings.stm32flash is not None
    baud = str(job.settings.stm32flash.baud)
    return (_PROGRAM, "-b", baud, *options, job.probe or _USUAL_PORT)


def _steps(job: Job) -> tuple[Step, ...]:
    verify = ("-v",) if job.verify else ()
    done = r"Wrote and verified address .*\(100\.00%\)" if job.verify else r"\(100\.00%\)"
    write = ("-w", str(job.image("bin")), *verify, "-g", "0x0")  # 0 is the start of the flash
    return (Step(_command(job, *write), done),)


def _chip(job: Job) -> Step:
    return Step(_command(job), r"Device ID\s*: 0x([0-9a-fA-F]+)")


def _probes(board: Board, ask: Ask) -> tuple[Probe, ...]:
    return tuple(Probe(port.path, port.description) for port in found_ports())


def _unlock(job: Job) -> str:
    return str(Step(_command(job, "-k")))


TOOL = Tool(
    name="stm32flash",
    programs=(_PROGRAM,),
    install="sudo apt-get install stm32flash",
    form=always("bin"),
    verifies="asked",
    probes=_probes,
    steps=_steps,
    connect="connect a USB serial adapter to the boot loader's pins; "
    "you may open its port after: sudo usermod -aG dialout $USER",
    reach="set BOOT0 to 1, reset the board, and cross the lines: TX to RX, RX to TX",
    must_name=True,
    chip=_chip,
    unlock=_unlock,
    by_request=True,  # it would send bytes to whatever listens on the port
    signs=(
        Sign(r"is already open", Problem.BUSY),
        Sign(r"Failed to open port.*|Cannot handle device.*", Problem.NO_PROBE),
        Sign(r"Failed to init device.*", Problem.NO_TARGET),
        Sign(r"Unknown/unsupported device.*", Problem.UNKNOWN_CHIP),
        Sign(r"Failed to verify at address.*", Problem.MISMATCH),
        Sign(r"exceeds flash size", Problem.DOES_NOT_FIT),
        Sign(r"Got NACK from device.*", Problem.LOCKED),
        Sign(r"Failed to write memory.*", Problem.LOCKED),
    ),
)
