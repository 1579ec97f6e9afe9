"""What happens to a board in the middle of a run: a clear error in time, and the next run works."""

import os
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from mcugen.errors import McugenError
from mcugen.run import protocol
from mcugen.run.device import Device, Line, Timing
from mcugen.run.qemu import open_qemu
from mcugen.run.serial import open_board
from mcugen.run.target import run_on
from mcugen.target.boards import Board, load_board
from tests.build.tiny_model import expected_outputs, random_inputs
from tests.run.conftest import Tiny
from tests.run.lines import PythonBoard, served, terminal

_TIMING = Timing(reply_s=0.2, attempts=10, run_s=5)
#: For an emulator on a machine that has other things to do.
_PATIENT = Timing(reply_s=0.5, attempts=120, run_s=60)
#: More than all attempts of any request take, on a machine that has other things to do.
_IN_TIME_S = 20.0
_NEVER_STUCK_S = 2.0
_SAMPLE = bytes(range(250)) * 2 + bytes(100)


@pytest.fixture(scope="module")
def board() -> Board:
    return load_board("stm32f446")


class _Meddled:
    """`line`, and somebody who does something once, before or within the first request of a kind.

    `within` is where: the bytes of the request that have passed, of a hundred.
    """

    def __init__(self, line: Line, message: protocol.Message, within: int) -> None:
        self.name = line.name
        self._line = line
        self._waits_for: int | None = message.code
        self._within = within

    def send(self, data: bytes) -> None:
        frame = protocol.decode_frame(data[1:-1])
        if frame and frame.type == self._waits_for:
            self._waits_for = None
            passed = len(data) * self._within // 100
            self._line.send(data[:passed])
            self._meddle()
            data = data[passed:]
        self._line.send(data)

    def _meddle(self) -> None:
        raise NotImplementedError

    def receive(self) -> bytes:
        return self._line.receive()

    def close(self) -> None:
        self._line.close()


class _Resetting(_Meddled):
    """The reset button is pressed."""

    def _meddle(self) -> None:
        self._line.send(protocol.encode_frame(protocol.RESET.code, 0x7777, b""))
        time.sleep(0.1)


@pytest.mark.parametrize("within", [0, 50])
@pytest.mark.parametrize(
    ("message", "lost"),
    [
        (protocol.WRITE_INPUT, False),
        (protocol.RUN, True),
        (protocol.READ_OUTPUT, True),
        (protocol.READ_STACK, False),
    ],
    ids=lambda value: value.name if isinstance(value, protocol.Message) else "",
)
def test_reset_in_the_middle(
    tiny: Tiny, message: protocol.Message, lost: bool, within: int
) -> None:
    """What it takes away is missed; where it takes nothing, the run goes on."""
    inputs = random_inputs(2, seed=3)
    wanted = expected_outputs(inputs)
    with open_qemu(tiny.board, tiny.elf) as quiet:
        device = Device(_Resetting(quiet.line, message, within), _PATIENT, emulated=True)
        if lost:
            with pytest.raises(McugenError, match=r"it refuses '\w+': .*; it was reset in between"):
                run_on(device, tiny.manifest, inputs)
        else:
            outputs = run_on(device, tiny.manifest, inputs).outputs
            np.testing.assert_array_equal(outputs, wanted)
        np.testing.assert_array_equal(run_on(device, tiny.manifest, inputs).outputs, wanted)


class _Pulled(_Meddled):
    """The cable is pulled for a while: what is on its way both ways is lost."""

    back: float = 0.0

    def _meddle(self) -> None:
        self.back = time.monotonic() + 0.7

    def send(self, data: bytes) -> None:
        if time.monotonic() >= self.back:
            super().send(data)

    def receive(self) -> bytes:
        data = super().receive()
        return data if time.monotonic() >= self.back else b""


@pytest.mark.parametrize("within", [1, 50, 99])
@pytest.mark.parametrize(
    "message",
    [protocol.WRITE_INPUT, protocol.RUN, protocol.READ_OUTPUT],
    ids=lambda item: item.name,
)
def test_cable_pulled_in_a_frame(tiny: Tiny, message: protocol.Message, within: int) -> None:
    """Plugged in again, the run goes on where it was, two seconds later at the latest."""
    inputs = random_inputs(2, seed=4)
    with open_qemu(tiny.board, tiny.elf) as quiet:
        line = _Pulled(quiet.line, message, within)
        device = Device(line, emulated=True)
        outputs = run_on(device, tiny.manifest, inputs).outputs
        assert line.back
        assert time.monotonic() - line.back < _NEVER_STUCK_S
    np.testing.assert_array_equal(outputs, expected_outputs(inputs))


def test_unplugged_in_the_middle(board: Board) -> None:
    """The port vanishes while inputs are written; plugged in again, it serves the next run."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    path = os.ttyname(theirs)
    os.close(theirs)
    python_board = PythonBoard()
    with open_board(board, path, _TIMING) as device:
        with served(ours, python_board):
            assert device.run(_SAMPLE).output == _SAMPLE[::-1]
        os.close(ours)
        started = time.monotonic()
        with pytest.raises(McugenError, match="the line to the board broke") as caught:
            device.run(_SAMPLE)
        assert time.monotonic() - started < _IN_TIME_S
        assert "is it plugged in" in str(caught.value)
    with (
        terminal() as (plugged_in, path),
        served(plugged_in, python_board),
        open_board(board, path, _TIMING) as device,
    ):
        assert device.run(_SAMPLE).output == _SAMPLE[::-1]


def test_silent_in_the_middle(board: Board) -> None:
    """The cable's other end came off: the port is there, nobody answers."""
    python_board = PythonBoard()
    with (
        terminal() as (ours, path),
        served(ours, python_board),
        open_board(board, path, _TIMING) as device,
    ):
        assert device.run(_SAMPLE).output == _SAMPLE[::-1]
        python_board.silent = True
        started = time.monotonic()
        with pytest.raises(McugenError, match="no answer from the board") as caught:
            device.run(_SAMPLE)
        assert time.monotonic() - started < _IN_TIME_S
        assert "request 'write_input', sent 10 times in 2 s" in str(caught.value)
        python_board.silent = False
        assert device.run(_SAMPLE).output == _SAMPLE[::-1]


def test_a_second_program_comes_in_the_middle(board: Board) -> None:
    """One that asks first is sent away, and neither disturbs the run nor has to wait for long."""
    with terminal() as (ours, path), served(ours, PythonBoard()):
        with open_board(board, path, _TIMING) as device:
            assert device.run(_SAMPLE).output == _SAMPLE[::-1]
            started = time.monotonic()
            with (
                pytest.raises(McugenError, match="another program holds it; close that first"),
                open_board(board, path),
            ):
                pass
            assert time.monotonic() - started < _IN_TIME_S
            assert device.run(_SAMPLE).output == _SAMPLE[::-1]
        with open_board(board, path, _TIMING) as device:
            assert device.run(_SAMPLE).output == _SAMPLE[::-1]


@contextmanager
def _thief(path: str) -> Iterator[None]:
    """Somebody who opened the same port without asking, and reads from it now and then."""
    ended = threading.Event()

    def steal() -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        while not ended.wait(0.05):
            with suppress(BlockingIOError):
                os.read(descriptor, 7)
        os.close(descriptor)

    thread = threading.Thread(target=steal)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_second_program_steals_bytes(board: Board) -> None:
    """Retries make up for what it takes; the bytes are right all the same."""
    with (
        terminal() as (ours, path),
        served(ours, PythonBoard()),
        open_board(board, path, _TIMING) as device,
        _thief(path),
    ):
        for _ in range(5):
            assert device.run(_SAMPLE).output == _SAMPLE[::-1]
