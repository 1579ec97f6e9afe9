"""A board's serial port as a line: found by USB id, or named by its path or URL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import serial
from serial.tools import list_ports

from mcugen.errors import McugenError, fail
from mcugen.run.device import Device, Timing
from mcugen.target.boards import Board

AUTO = "auto"

_POLL_S = 0.05
_WRITE_S = 2.0


@dataclass(frozen=True)
class FoundPort:
    """A serial port of this machine; `usb_id` is `vendor:product` where it is on USB."""

    path: str
    usb_id: str | None
    serial_number: str | None
    description: str

    def __str__(self) -> str:
        number = f", serial number {self.serial_number}" if self.serial_number else ""
        usb = f", USB {self.usb_id}" if self.usb_id else ""
        return f"{self.path} ({self.description}{usb}{number})"


class SerialLine:
    """An open pyserial port as a `Line`. pyserial's own errors are OSErrors already."""

    def __init__(self, port: serial.SerialBase) -> None:
        self.name: str = port.name or port.port
        self._port = port

    def send(self, data: bytes) -> None:
        self._port.write(data)

    def receive(self) -> bytes:
        data: bytes = self._port.read(max(1, self._port.in_waiting))
        return data

    def close(self) -> None:
        self._port.close()


def found_ports() -> tuple[FoundPort, ...]:
    """The serial ports of this machine, by path."""
    ports = (
        FoundPort(
            path=port.device,
            usb_id=None if port.vid is None else f"{port.vid:04x}:{port.pid:04x}",
            serial_number=port.serial_number,
            description=port.description,
        )
        for port in list_ports.comports()
    )
    return tuple(sorted(ports, key=lambda port: port.path))


def choose_port(board: Board, ports: Sequence[FoundPort]) -> FoundPort:
    """The one port among `ports` that has the board's USB id.

    Raises:
        McugenError: none has, or several have.
    """
    candidates = [port for port in ports if port.usb_id in board.board.usb]
    if len(candidates) == 1:
        return candidates[0]
    wanted = f"USB {' or '.join(board.board.usb)}" if board.board.usb else "a board with a USB id"
    if candidates:
        raise fail(
            "run",
            f"{len(candidates)} serial ports could be {board.board.title}",
            got="; ".join(str(port) for port in candidates),
            help=f"name one: --port {candidates[0].path}",
        )
    raise fail(
        "run",
        f"no serial port belongs to {board.board.title}",
        got="; ".join(str(port) for port in ports) or "no serial ports at all",
        want=wanted,
        help="plug the board in, or name its port: --port /dev/ttyACM0",
    )


def open_line(port: str, board: Board) -> SerialLine:
    """The line to `board` on `port`: `auto`, a path such as /dev/ttyACM0, or a pyserial URL.

    Raises:
        McugenError: no such port, several candidates, no permission, or in use.
    """
    path = choose_port(board, found_ports()).path if port == AUTO else port
    try:
        opened = serial.serial_for_url(
            path,
            baudrate=board.uart.baud,
            timeout=_POLL_S,
            write_timeout=_WRITE_S,
            exclusive=True,
        )
        opened.reset_input_buffer()
    except (OSError, ValueError) as error:
        raise _cannot_open(path, error) from error
    return SerialLine(opened)


def _cannot_open(path: str, error: Exception) -> McugenError:
    words = str(error)
    help_ = "mcugen boards lists the ports that are there"
    if "exclusively lock" in words or "busy" in words:
        help_ = "another program holds it; close that first"
    elif "ermission" in words:
        help_ = "sudo usermod -aG dialout $USER, then log in again"
    return fail("run", f"cannot open serial port '{path}'", got=words, help=help_)


@contextmanager
def open_board(board: Board, port: str = AUTO, timing: Timing | None = None) -> Iterator[Device]:
    """The board on `port`, closed at the end.

    Raises:
        McugenError: as `open_line`.
    """
    with Device(open_line(port, board), timing) as device:
        yield device
