"""The firmware image in QEMU, driven through the same serial protocol as a board."""

import ctypes
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from mcugen import tools
from mcugen.errors import fail
from mcugen.interrupts import scratch_folder
from mcugen.run.device import Device, Timing
from mcugen.target.boards import Board, Qemu, Ram, all_boards

PROGRAM = "qemu-system-arm"

_CONNECT_S = 20.0
_START_S = 10.0
_POLL_S = 0.05
_STOP_S = 2.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class SocketLine:
    """A connected socket as a `Line`."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.name = name
        self._connection = connection

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def receive(self) -> bytes:
        if not select.select([self._connection], [], [], _POLL_S)[0]:
            return b""
        data = self._connection.recv(4096)
        if not data:
            raise OSError("it was closed at the other end")
        return data

    def close(self) -> None:
        self._connection.close()


def qemu_argv(machine: Qemu, elf: Path, line: Path) -> list[str]:
    """QEMU with `elf`, its serial port connecting to the UNIX socket `line`, and nothing else."""
    unused = ["-serial", "null"] * machine.serial
    return [
        PROGRAM,
        "-M",
        machine.machine,
        "-nographic",
        "-monitor",
        "none",
        "-chardev",
        f"socket,id=line,path={line}",
        *unused,
        "-serial",
        "chardev:line",
        "-kernel",
        str(elf),
    ]


@contextmanager
def open_qemu(board: Board, elf: Path, timing: Timing | None = None) -> Iterator[Device]:
    """The image `elf` running in the QEMU machine closest to `board`; stopped at the end.

    Raises:
        McugenError: QEMU is missing or does not start, it has no machine for this board or one with
            too little RAM for this image, or the image does not answer.
    """
    if board.qemu is None:
        raise fail("run", f"QEMU has no machine for '{board.name}'", help=_instead(board))
    if not elf.is_file():
        raise fail(
            "run", f"no image '{elf}'", help=f"mcugen build DIR --board {board.name} makes it"
        )
    tools.require(PROGRAM)
    _check_ram(board.qemu, elf, board.memory.ram)
    with scratch_folder() as folder:
        line, log = folder / "line", folder / "log"
        with socket.socket(socket.AF_UNIX) as listener:
            _listen(listener, line)
            process = _start(qemu_argv(board.qemu, elf.resolve(), line), log)
            try:
                connection = _accept(listener, process, log)
                name = f"QEMU ({board.qemu.machine})"
                with Device(SocketLine(connection, name), timing, emulated=True) as device:
                    device.await_start(_START_S)
                    yield device
            finally:
                _stop(process)


def _instead(board: Board) -> str:
    """The board itself, and the emulated boards that run the same model on the same core."""
    others = [item.name for item in all_boards() if item.core == board.core and item.qemu]
    build = f", or build for one with its core that QEMU has: {', '.join(others)}"
    return f"run on the board: --port{build if others else ''}"


def _check_ram(machine: Qemu, elf: Path, ram: Ram) -> None:
    """Refuse an image that would fault for a reason that the board does not give.

    Raises:
        McugenError: the image takes more of `ram` than the machine has, or is no ELF file.
    """
    if machine.ram is None:
        return
    try:
        with elf.open("rb") as stream:
            ends = [
                item["sh_addr"] + item["sh_size"] - ram.base
                for item in ELFFile(stream).iter_sections()
                if item["sh_flags"] & SH_FLAGS.SHF_ALLOC and item["sh_addr"] >= ram.base
            ]
    except (OSError, ELFError) as error:
        raise fail("run", f"cannot read '{elf}' as ELF: {error}") from error
    if max(ends, default=0) > machine.ram:
        raise fail(
            "run",
            f"the image needs {max(ends):,} B of RAM, QEMU's {machine.machine} has "
            f"{machine.ram:,} B",
            help="run on the board: --port",
        )


def _listen(listener: socket.socket, line: Path) -> None:
    try:
        listener.bind(str(line))
    except OSError as error:  # paths of sockets are short: 107 bytes on Linux
        help_ = "set TMPDIR to a shorter path"
        raise fail("run", f"cannot make socket '{line}': {error}", help=help_) from error
    listener.listen(1)


def _start(argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start QEMU, its words going to `log`; on Linux it ends with us even when we are killed."""
    with log.open("wb") as words:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            preexec_fn=_end_with_parent(),
        )


def _end_with_parent() -> Callable[[], object] | None:
    """What the child does before QEMU: ask the kernel for a signal when its parent dies.

    Without it a killed test run would leave emulators that use a processor each, for ever.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: between fork and exec little is safe
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _accept(listener: socket.socket, process: subprocess.Popen[bytes], log: Path) -> socket.socket:
    """The connection that QEMU makes when it starts."""
    deadline = time.monotonic() + _CONNECT_S
    while time.monotonic() < deadline:
        if select.select([listener], [], [], _POLL_S)[0]:
            return listener.accept()[0]
        if process.poll() is not None:
            words = log.read_text(encoding="utf-8", errors="replace").strip()
            raise fail(
                "run", f"QEMU ended with exit code {process.returncode}", got=words[-2000:] or None
            )
    raise fail("run", f"QEMU did not start within {_CONNECT_S:g} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
