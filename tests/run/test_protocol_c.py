"""firmware/protocol.c on the host, under the address and undefined-behaviour sanitizers."""

import random
import subprocess
import zlib
from pathlib import Path

import pytest

from mcugen import tools
from mcugen.build import gcc
from mcugen.build.headers import render_protocol_messages
from mcugen.resources import data_root
from mcugen.run import protocol
from mcugen.run.protocol import Frame, Status
from tests.run.lines import noise

_HARNESS = Path(__file__).with_name("protocol_harness.c")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("harness")
    (folder / "protocol_messages.h").write_text(render_protocol_messages())
    firmware = data_root() / "firmware"
    sanitize = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    include = [f"-I{folder}", f"-I{firmware}"]
    sources = [str(_HARNESS), str(firmware / "protocol.c")]
    output = folder / "harness"
    tools.run_checked(["gcc", *gcc.WARNINGS, *sanitize, *include, *sources, "-o", str(output)])
    return output


def _answers(program: Path, data: bytes) -> list[Frame]:
    done = subprocess.run([program], input=data, capture_output=True, timeout=60, check=True)
    frames = [protocol.decode_frame(part) for part in done.stdout.split(b"\0") if part]
    assert None not in frames  # whatever it sends is whole
    return [frame for frame in frames if frame is not None]


def _write(sequence: int, data: bytes) -> bytes:
    payload = protocol.WRITE_INPUT.request.pack({"offset": 0}, data)
    return protocol.encode_frame(protocol.WRITE_INPUT.code, sequence, payload)


@pytest.mark.parametrize("size", [0, 1, 243, 244, 245, 246, 251, 252])
@pytest.mark.parametrize("fill", [0, 1, 255])
def test_payloads_there_and_back(program: Path, size: int, fill: int) -> None:
    data = bytes([fill]) * size
    (answer,) = _answers(program, _write(513, data))
    assert answer.type == protocol.WRITE_INPUT.code | protocol.REPLY_BIT
    assert answer.sequence == 513
    assert answer.payload == (b"\0" + bytes(4) + data)[: protocol.PAYLOAD_MAX]


def test_crc_is_zlibs(program: Path) -> None:
    data = random.Random(1).randbytes(200)
    body = protocol.HEADER.pack(protocol.VERSION, 2, 1, 200) + data
    frame = b"\0" + protocol.cobs_encode(body + protocol.CRC.pack(zlib.crc32(body) ^ 1)) + b"\0"
    assert _answers(program, frame) == []
    assert len(_answers(program, protocol.encode_frame(2, 1, data))) == 1


def test_wrong_length_under_a_right_crc_is_dropped(program: Path) -> None:
    for claimed in (3, 5, 0xFFFF):
        body = protocol.HEADER.pack(protocol.VERSION, 2, 1, claimed) + bytes(4)
        line = protocol.cobs_encode(body + protocol.CRC.pack(zlib.crc32(body)))
        assert _answers(program, b"\0" + line + b"\0") == []


def test_a_frame_sent_again_gets_the_same_answer(program: Path) -> None:
    """From the last reply, and only from the last: after the run the first request is a new one."""
    early, run = protocol.encode_frame(4, 1, bytes(6)), protocol.encode_frame(3, 2, bytes(4))
    answers = _answers(program, early + early + run + run + early)
    status = [answer.payload[0] for answer in answers]
    assert status == [Status.NO_RESULT, Status.NO_RESULT, 0, 0, 0]


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        (protocol.encode_frame(0x7F, 1, b""), Status.UNKNOWN_MESSAGE),
        (protocol.encode_frame(1, 1, b"", version=protocol.VERSION + 1), Status.WRONG_VERSION),
        (protocol.encode_frame(1, 1, b"x"), Status.WRONG_LENGTH),
        (protocol.encode_frame(3, 1, b"123"), Status.WRONG_LENGTH),
        (protocol.encode_frame(4, 1, b"123456"), Status.NO_RESULT),
    ],
)
def test_refusals(program: Path, frame: bytes, status: Status) -> None:
    (answer,) = _answers(program, frame)
    assert answer.payload == bytes([status])


def test_results_are_there_after_a_run(program: Path) -> None:
    data = protocol.encode_frame(3, 1, b"1234") + protocol.encode_frame(4, 2, b"123456")
    assert [answer.payload[0] for answer in _answers(program, data)] == [0, 0]


def test_longer_frames_than_any_are_dropped(program: Path) -> None:
    body = protocol.HEADER.pack(protocol.VERSION, 2, 1, 300) + bytes(300)
    long = b"\0" + protocol.cobs_encode(body + protocol.CRC.pack(zlib.crc32(body))) + b"\0"
    answers = _answers(program, long + b"\x01" * 5000 + b"\xff" * 5000 + _write(2, b"x"))
    assert [answer.sequence for answer in answers] == [2]


def test_noise_is_dropped_and_the_next_frame_heard(program: Path) -> None:
    """What passed undisturbed is answered; nothing disturbed is taken for another frame."""
    chance = random.Random(11)
    disturb = noise(seed=12, one_in=60)
    line, sent, whole = b"", {}, set()
    for sequence in range(3000):
        data = chance.randbytes(chance.randrange(60))
        frame = _write(sequence, data)
        passed = disturb(frame)
        line += passed
        sent[sequence] = b"\0" + bytes(4) + data
        if passed == frame:
            whole.add(sequence)
    answers = {answer.sequence: answer.payload for answer in _answers(program, line)}
    assert all(sent[sequence] == payload for sequence, payload in answers.items())
    assert whole <= answers.keys()
    assert 100 < len(whole) < 2900


def test_random_bytes_and_mutated_frames(program: Path) -> None:
    chance = random.Random(13)
    line = b""
    for _ in range(4000):
        frame = bytearray(protocol.encode_frame(chance.randrange(10), 1, chance.randbytes(6)))
        for _ in range(chance.randrange(4)):
            frame[chance.randrange(len(frame))] = chance.choice([0, 1, 254, 255])
        line += bytes(frame) + chance.randbytes(chance.randrange(20))
    _answers(program, line)
