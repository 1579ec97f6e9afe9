"""The serial protocol between host and firmware, defined once.

`MESSAGES` and the enumerations below are the definition. The host packs and unpacks with them; the
firmware includes `protocol_messages.h`, which `mcugen.build` renders from the same tables, so the
two sides cannot drift.

A frame, before COBS, little-endian throughout:

    version u8 | type u8 | sequence u16 | length u16 | payload, `length` bytes | CRC-32 u32

The CRC covers everything before it. On the line the frame is COBS-encoded between two zero bytes:
the leading one ends whatever noise came before. A reply repeats the request's sequence number, and
its type with `REPLY_BIT` set; its payload starts with a `Status`. The header, the CRC and the
status stay where they are from one protocol version to the next.

Every request may be sent again: the firmware answers a repeated frame from its last reply without
doing the work twice. A host starts its sequence numbers at random and asks to identify first.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

#: Below 32, a control character: no frame is taken for the text of `firmware/mlperf.c`.
VERSION = 2
REPLY_BIT = 0x80
HEADER = struct.Struct("<BBHH")
CRC = struct.Struct("<I")

#: Bytes of payload at most: CRC-32 keeps Hamming distance 5 up to 371 bytes.
PAYLOAD_MAX = 256
#: Bytes of input or output that one frame carries; leaves room for status and offset.
CHUNK_BYTES = 240
FRAME_MAX = HEADER.size + PAYLOAD_MAX + CRC.size

DIGEST_BYTES = 32
DIGEST_PREFIX_BYTES = 8
BOARD_NAME_BYTES = 24


class Status(IntEnum):
    """What became of a request; the first byte of each reply."""

    OK = 0
    UNKNOWN_MESSAGE = 1
    WRONG_VERSION = 2
    WRONG_LENGTH = 3
    OUT_OF_RANGE = 4
    INPUT_DIFFERS = 5
    NO_RESULT = 6
    MODEL_FAILED = 7


class CycleSource(IntEnum):
    """What counts the cycles: the debug unit's counter, or the 24-bit system timer."""

    DWT = 0
    SYSTICK = 1


class ClockSource(IntEnum):
    """Which oscillator the core runs from, through a PLL or not; the first is the fall-back."""

    INTERNAL = 0
    PLL_INTERNAL = 1
    PLL_EXTERNAL = 2
    EXTERNAL = 3


Kind = Literal["u8", "u16", "u32", "u64"]
_CODES: Mapping[Kind, str] = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}


@dataclass(frozen=True)
class Field:
    """An unsigned integer of `kind`, or with `count` that many bytes; `c_name` is its C member."""

    name: str
    kind: Kind = "u8"
    count: int | None = None

    @property
    def code(self) -> str:
        """The field in the language of `struct`."""
        return _CODES[self.kind] if self.count is None else f"{self.count}s"

    @property
    def bytes(self) -> int:
        return struct.calcsize("<" + self.code)


@dataclass(frozen=True)
class Layout:
    """Fields in order, then, where `tail` is set, the bytes that remain."""

    fields: tuple[Field, ...] = ()
    tail: bool = False

    @property
    def packer(self) -> struct.Struct:
        return struct.Struct("<" + "".join(field.code for field in self.fields))

    @property
    def bytes_min(self) -> int:
        return self.packer.size

    @property
    def bytes_max(self) -> int:
        return PAYLOAD_MAX if self.tail else self.packer.size

    def pack(self, values: Mapping[str, int | bytes], tail: bytes = b"") -> bytes:
        """The payload that holds `values`, by field name."""
        return self.packer.pack(*(values[field.name] for field in self.fields)) + tail

    def unpack(self, payload: bytes) -> tuple[dict[str, int | bytes], bytes]:
        """Field values by name, and the tail.

        Raises:
            ValueError: the length of `payload` does not fit.
        """
        if not self.bytes_min <= len(payload) <= self.bytes_max:
            raise ValueError(f"payload of {len(payload)} bytes")
        values = self.packer.unpack_from(payload)
        names = (field.name for field in self.fields)
        return dict(zip(names, values, strict=True)), payload[self.bytes_min :]


@dataclass(frozen=True)
class Message:
    """One request with its reply; `needs_result` says that it is refused before a run has ended."""

    name: str
    code: int
    purpose: str
    request: Layout
    reply: Layout
    needs_result: bool = False


def _reply(*fields: Field, tail: bool = False) -> Layout:
    return Layout((Field("status"), *fields), tail)


IDENTIFY = Message(
    "identify",
    0x01,
    "what the image is: its model, board, clock and sizes",
    Layout(),
    _reply(
        Field("digest", count=DIGEST_BYTES),
        Field("board", count=BOARD_NAME_BYTES),
        Field("clock_hz", "u32"),
        Field("clock_source"),
        Field("cycle_source"),
        Field("input_bytes", "u32"),
        Field("output_bytes", "u32"),
        Field("layer_count", "u16"),
        Field("arena_bytes", "u32"),
        Field("capture_bytes", "u32"),
    ),
)
WRITE_INPUT = Message(
    "write_input",
    0x02,
    "store bytes of the input from `offset` on; the last result is gone",
    Layout((Field("offset", "u32"),), tail=True),
    _reply(),
)
RUN = Message(
    "run",
    0x03,
    "run the model, if the CRC-32 of the stored input is `input_crc`",
    Layout((Field("input_crc", "u32"),)),
    _reply(
        Field("model_status"),
        Field("cycles", "u64"),
        Field("digest_prefix", count=DIGEST_PREFIX_BYTES),
        Field("output_crc", "u32"),
    ),
)
READ_OUTPUT = Message(
    "read_output",
    0x04,
    "`length` bytes of the output from `offset` on",
    Layout((Field("offset", "u32"), Field("length", "u16"))),
    _reply(tail=True),
    needs_result=True,
)
READ_LAYER_CYCLES = Message(
    "read_layer_cycles",
    0x05,
    "cycles of `count` layers of the last run from layer `first` on, a u32 each",
    Layout((Field("first", "u16"), Field("count", "u16"))),
    _reply(tail=True),
    needs_result=True,
)
READ_STACK = Message(
    "read_stack",
    0x06,
    "the stack's high-water mark since reset and its size, in bytes",
    Layout(),
    _reply(Field("used", "u32"), Field("size", "u32")),
)
RESET = Message("reset", 0x07, "answer, then restart the processor", Layout(), _reply())
CAPTURE = Message(
    "capture",
    0x08,
    "run as `run` does, and keep `length` bytes of the arena from `offset` on as they are after "
    "the first `layers` layers; `crc` is their CRC-32",
    Layout(
        (
            Field("input_crc", "u32"),
            Field("layers", "u16"),
            Field("offset", "u32"),
            Field("length", "u32"),
        )
    ),
    _reply(Field("crc", "u32")),
)
READ_CAPTURE = Message(
    "read_capture",
    0x09,
    "`length` bytes of what `capture` kept, from its byte `offset` on",
    Layout((Field("offset", "u32"), Field("length", "u16"))),
    _reply(tail=True),
)

MESSAGES = (
    IDENTIFY,
    WRITE_INPUT,
    RUN,
    READ_OUTPUT,
    READ_LAYER_CYCLES,
    READ_STACK,
    RESET,
    CAPTURE,
    READ_CAPTURE,
)


@dataclass(frozen=True)
class Frame:
    """A frame that arrived whole: `type` still carries `REPLY_BIT`."""

    version: int
    type: int
    sequence: int
    payload: bytes


def cobs_encode(data: bytes) -> bytes:
    """`data` without zero bytes (Cheshire and Baker 1999), without a delimiter."""
    blocks = bytearray()
    for part in data.split(b"\0"):
        while len(part) >= 254:
            blocks += b"\xff" + part[:254]
            part = part[254:]
        blocks += bytes([len(part) + 1]) + part
    return bytes(blocks)


def cobs_decode(data: bytes) -> bytes:
    """The inverse of `cobs_encode`.

    Raises:
        ValueError: `data` holds a zero byte or ends within a block.
    """
    decoded = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        block = data[at + 1 : at + code]
        if code == 0 or len(block) != code - 1 or 0 in block:
            raise ValueError("no COBS block")
        at += code
        decoded += block
        if code < 255 and at < len(data):
            decoded.append(0)
    return bytes(decoded)


def encode_frame(type_: int, sequence: int, payload: bytes, version: int = VERSION) -> bytes:
    """The bytes that go on the line, delimiters included."""
    if len(payload) > PAYLOAD_MAX:
        raise ValueError(f"payload of {len(payload)} bytes")
    body = HEADER.pack(version, type_, sequence, len(payload)) + payload
    return b"\0" + cobs_encode(body + CRC.pack(zlib.crc32(body))) + b"\0"


def decode_frame(encoded: bytes) -> Frame | None:
    """The frame between two delimiters, or None where the bytes are damaged."""
    try:
        data = cobs_decode(encoded)
    except ValueError:
        return None
    if not HEADER.size + CRC.size <= len(data) <= FRAME_MAX:
        return None
    body, check = data[: -CRC.size], data[-CRC.size :]
    version, type_, sequence, length = HEADER.unpack_from(body)
    if CRC.unpack(check)[0] != zlib.crc32(body) or length != len(body) - HEADER.size:
        return None
    return Frame(version, type_, sequence, body[HEADER.size :])
