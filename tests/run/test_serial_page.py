"""docs/serial.md says what the code does: tables, limits, and an exchange with a running image."""

import re
import time
from pathlib import Path

import pytest

from mcugen.run import protocol
from mcugen.run.protocol import ClockSource, CycleSource, Layout, Status
from mcugen.run.qemu import open_qemu
from tests.run.conftest import Tiny

_PAGE = (Path(__file__).parents[2] / "docs" / "serial.md").read_text(encoding="utf-8")
_TIMEOUT_S = 60.0


def _rows(heading: str) -> list[list[str]]:
    """Cells of the table whose first column is called `heading`, without its head."""
    table = re.search(rf"^\| {heading} \|.*\n\|[ -|]+\n((?:\|.*\n)+)", _PAGE, re.M)
    assert table
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table[1].splitlines()]


def _fields(layout: Layout) -> str:
    words = [
        f"{field.name} {field.kind}" if field.count is None else f"{field.name} u8[{field.count}]"
        for field in layout.fields
    ]
    return ", ".join([*words, *(["bytes"] if layout.tail else [])]) or "nothing"


def test_messages() -> None:
    for row, message in zip(_rows("message"), protocol.MESSAGES, strict=True):
        reply = Layout(message.reply.fields[1:], message.reply.tail)
        facts = [f"`{message.name}`", f"{message.code:#04x}"]
        facts += [_fields(message.request), _fields(reply), message.purpose]
        assert [cell.strip() for cell in row] == facts


def test_statuses_and_sources() -> None:
    rows = _rows("status")
    assert [(row[0], row[1]) for row in rows] == [(str(s.value), f"`{s.name}`") for s in Status]
    assert [source.value for source in ClockSource] == [0, 1, 2, 3]
    assert "3 for an external clock" in _PAGE
    assert [source.value for source in CycleSource] == [0, 1]


def test_limits() -> None:
    frame = {row[1]: row for row in _rows("bytes")}
    assert frame["version"][2].startswith(f"{protocol.VERSION};")
    assert protocol.VERSION < 32
    assert frame["payload"][0] == f"0 to {protocol.PAYLOAD_MAX}"
    assert f"({protocol.REPLY_BIT:#04x})" in frame["type"][2]
    assert f"With {protocol.FRAME_MAX} bytes at most" in _PAGE
    assert f"{protocol.CHUNK_BYTES} bytes of input" in _PAGE


@pytest.fixture(scope="module")
def example() -> list[tuple[bytes, bytes]]:
    lines = re.findall(r"^    (host|board)  ([0-9a-f ]+)$", _PAGE, re.M)
    assert [who for who, _ in lines] == ["host", "board"] * 3
    words = [bytes.fromhex(word) for _, word in lines]
    return list(zip(words[::2], words[1::2], strict=True))


def test_example_is_what_the_host_packs(example: list[tuple[bytes, bytes]]) -> None:
    (written, _), (read, _), (unknown, _) = example
    data = protocol.WRITE_INPUT.request.pack({"offset": 0}, bytes(range(16)))
    assert written == protocol.encode_frame(protocol.WRITE_INPUT.code, 0x0102, data)
    data = protocol.READ_OUTPUT.request.pack({"offset": 0, "length": 16})
    assert read == protocol.encode_frame(protocol.READ_OUTPUT.code, 0x0103, data)
    assert unknown == protocol.encode_frame(0x55, 0x0104, b"")


def test_example_is_what_the_image_answers(tiny: Tiny, example: list[tuple[bytes, bytes]]) -> None:
    with open_qemu(tiny.board, tiny.elf) as device:
        for request, reply in example:
            device.line.send(request)
            arrived = b""
            deadline = time.monotonic() + _TIMEOUT_S
            while not arrived.endswith(reply):
                assert time.monotonic() < deadline
                arrived += device.line.receive()
