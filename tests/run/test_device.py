"""The host's side of the protocol, against a board made of Python."""

import os
import random
import time

import pytest

from mcugen.errors import McugenError
from mcugen.run import protocol
from mcugen.run.device import Device, StackUse
from mcugen.run.protocol import Status
from tests.run.lines import FAST, ChangedLine, PythonBoard, noise

_INPUT = bytes(random.Random(3).randbytes(600))


def test_a_run_in_chunks() -> None:
    with Device(PythonBoard(cycles=2**33), FAST) as device:
        assert device.identity.board == "python"
        result = device.run(_INPUT)
        assert result.output == _INPUT[::-1]
        assert result.cycles == 2**33
        assert device.layer_cycles() == tuple(range(70))
        assert device.stack_high_water() == StackUse(100, 2048)
        assert device.retries == 0


def test_noise_costs_retries_and_nothing_else() -> None:
    line = ChangedLine(PythonBoard(), noise(seed=5, one_in=400))
    timing = FAST.__class__(reply_s=0.002, attempts=60, run_s=0.5)
    with Device(line, timing) as device:
        for _ in range(20):
            data = os.urandom(600)
            assert device.run(data).output == data[::-1]
        assert device.retries > 0


def test_asking_early_is_not_counted() -> None:
    board = PythonBoard()
    asked: list[bytes] = []

    def starts_late(data: bytes) -> bytes:
        asked.append(data)
        return data if len(asked) > 3 else b""

    with Device(ChangedLine(board, starts_late), FAST) as device:
        device.await_start(5)
        assert device.identity.board == "python"
        assert device.retries == 0


def test_silence_is_an_error_in_time() -> None:
    with Device(PythonBoard(silent=True), FAST) as device:
        started = time.monotonic()
        with pytest.raises(McugenError) as caught:
            device.identify()
        assert time.monotonic() - started < 1
    assert "no answer from the board on test board" in str(caught.value)
    assert "request 'identify', sent 3 times in 0.06 s" in str(caught.value)


def test_late_and_foreign_answers_are_passed_over() -> None:
    board = PythonBoard()
    with Device(board, FAST) as device:
        board._reply = protocol.encode_frame(0x81, 0xBEEF, b"\0" * 80) + b"\x05hello\0"
        assert device.identify().board == "python"


def test_other_protocol_version() -> None:
    with (
        Device(PythonBoard(version=9), FAST) as device,
        pytest.raises(McugenError, match=r"another version of the protocol\n  got  version 9"),
    ):
        device.identify()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.INPUT_DIFFERS, "it refuses 'write_input': its input is not the one"),
        (Status.OUT_OF_RANGE, "it refuses 'write_input': the request lies outside"),
    ],
)
def test_refusals_say_why(status: Status, words: str) -> None:
    board = PythonBoard()
    with Device(board, FAST) as device:
        assert device.identity.input_bytes == 600
        board.refuse = status
        with pytest.raises(McugenError) as caught:
            device.run(_INPUT)
        assert words in str(caught.value)


def test_another_model_in_the_middle() -> None:
    board = PythonBoard()
    with Device(board, FAST) as device:
        assert device.identity.digest == board.digest.hex()
        board.digest = bytes(32)
        with pytest.raises(McugenError, match="another model answers"):
            device.run(_INPUT)


def test_wrong_input_size() -> None:
    with (
        Device(PythonBoard(), FAST) as device,
        pytest.raises(McugenError, match=r"got  5 bytes\n  want  600 bytes"),
    ):
        device.run(b"12345")


def test_broken_line() -> None:
    def unplug(_: bytes) -> bytes:
        raise OSError("device disconnected")

    with (
        Device(ChangedLine(PythonBoard(), unplug), FAST) as device,
        pytest.raises(McugenError, match="the line to the board broke: device disconnected"),
    ):
        device.identify()
