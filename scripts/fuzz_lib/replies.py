"""The host's side of the protocol and a line that brings anything: `scripts/fuzz-protocol host`.

Each stream answers one request with right replies, replies to other requests, refusals, replies
whose checksum is right and whose contents are not, and noise; most of it is disturbed on the line.
What must hold whatever comes: the host takes a reply that was sent, byte for byte, or says in a
`McugenError` that none came; it keeps no more bytes than a frame needs; and a clean reply behind
noise is heard.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mcugen.errors import McugenError
from mcugen.run import protocol
from mcugen.run.exchange import Answer, Exchange, Request, Timing
from mcugen.run.protocol import MESSAGES, Frame, Message, Status

#: Longer than any stream lasts: the line breaks at its end.
_TIMING = Timing(reply_s=3600, attempts=1)
_PIECE_MAX = 16
_DISTURBANCES_MAX = 4
#: What the host may keep while no frame ends.
_KEPT_MAX = 2 * protocol.FRAME_MAX


@dataclass
class Streams:
    """What became of the streams."""

    answers: int = 0
    refusals: int = 0
    broken: int = 0
    """Streams without a reply that the host could take."""
    bytes: int = 0


@dataclass
class _Stream:
    """A line that answers what is sent once, in pieces, and then breaks."""

    chance: random.Random
    message: Message
    name: str = "stream"
    sequence: int = 0
    replies: list[Frame] = field(default_factory=list)
    heard_last: bool = False
    """Whether the last reply is right, and stands undisturbed behind a zero."""
    length: int = 0
    _pieces: list[bytes] = field(default_factory=list)

    def send(self, data: bytes) -> None:
        request = protocol.decode_frame(data.strip(b"\0"))
        assert request is not None
        self.sequence = request.sequence
        encoded = [self._any_reply() for _ in range(self.chance.randrange(5))]
        line = _disturbed(self.chance, b"".join(encoded))
        self.heard_last = self.chance.random() < 0.3
        if self.heard_last:
            line += self._frame(self._right(self._fields()))
        self.length = len(line)
        while line:
            cut = self.chance.randint(1, 64)
            self._pieces.append(line[:cut])
            line = line[cut:]

    def receive(self) -> bytes:
        if not self._pieces:
            raise OSError("the stream ended")
        return self._pieces.pop(0)

    def close(self) -> None:
        self._pieces = []

    def _fields(self) -> bytes:
        """A payload that the message allows, all its bits random but for the status."""
        layout = self.message.reply
        size = self.chance.randint(layout.bytes_min, layout.bytes_max)
        return bytes([Status.OK]) + self.chance.randbytes(size - 1)

    def _frame(self, reply: Frame) -> bytes:
        """`reply` on the line; remembered where the host may take it."""
        wanted = (self.message.code | protocol.REPLY_BIT, self.sequence)
        if (reply.type, reply.sequence) == wanted:
            self.replies.append(reply)
        return protocol.encode_frame(reply.type, reply.sequence, reply.payload, reply.version)

    def _right(self, payload: bytes) -> Frame:
        type_ = self.message.code | protocol.REPLY_BIT
        return Frame(protocol.VERSION, type_, self.sequence, payload)

    def _any_reply(self) -> bytes:
        """A whole frame of some kind, or noise."""
        chance, fields = self.chance, self._fields()
        kinds = (
            lambda: self._frame(self._right(fields)),
            lambda: self._frame(self._right(bytes([chance.randrange(256)]))),
            lambda: self._frame(self._right(chance.randbytes(chance.randrange(257)))),
            lambda: self._frame(replace(self._right(fields), version=chance.randrange(256))),
            lambda: self._frame(replace(self._right(fields), type=chance.randrange(256))),
            lambda: self._frame(replace(self._right(fields), sequence=chance.randrange(2**16))),
            lambda: b"\0" + protocol.cobs_encode(chance.randbytes(chance.randrange(400))) + b"\0",
            lambda: chance.randbytes(chance.randrange(800)),
            lambda: chance.randbytes(chance.randrange(800)).replace(b"\0", b"\1"),
        )
        return chance.choice(kinds)()


def _disturbed(chance: random.Random, line: bytes) -> bytes:
    for _ in range(chance.randint(0, _DISTURBANCES_MAX)):
        at = chance.randrange(len(line) + 1)
        size = chance.randint(1, _PIECE_MAX)
        piece = line[at : at + size]
        flipped = bytes([piece[0] ^ 1 << chance.randrange(8)]) + piece[1:] if piece else b""
        new = (
            flipped,
            chance.randbytes(len(piece)),
            b"",
            chance.randbytes(size) + piece,
            piece * 2,
        )
        line = line[:at] + chance.choice(new) + line[at + size :]
    return line


def _request(chance: random.Random, message: Message) -> Request:
    values = {
        item.name: chance.randrange(256**item.bytes) if item.count is None else b""
        for item in message.request.fields
    }
    return Request(message, values)


def _is_sent(answer: Answer, stream: _Stream) -> bool:
    """Whether the answer is one of the stream's replies."""
    payload = stream.message.reply.pack(answer.values, answer.tail)
    return any(reply.payload == payload for reply in stream.replies)


def _must(holds: bool, what: str, seed: int, number: int) -> None:
    if not holds:
        raise AssertionError(f"stream {number} of seed {seed}: {what}")


def one_stream(seed: int, number: int, found: Streams) -> None:
    """Stream `number` of `seed`.

    Raises:
        AssertionError: an invariant does not hold; it names both numbers, which repeat it.
    """
    chance = random.Random(seed << 32 | number)
    message = chance.choice(MESSAGES)
    stream = _Stream(chance, message)
    exchange = Exchange(stream, _TIMING)
    try:
        answer = exchange.ask(_request(chance, message))
    except McugenError as error:
        broke = "the stream ended" in str(error)
        refused = any(not _is_good(reply, message) for reply in stream.replies)
        _must(broke or refused, f"an error without a cause: {error}", seed, number)
        _must(not (broke and stream.heard_last), "a clean reply was not heard", seed, number)
        found.broken += broke
        found.refusals += not broke
    else:
        _must(_is_sent(answer, stream), "an answer that was not sent", seed, number)
        found.answers += 1
    _must(len(exchange._pending) <= _KEPT_MAX, "more kept than a frame needs", seed, number)
    found.bytes += stream.length


def _is_good(reply: Frame, message: Message) -> bool:
    """Whether the host should take `reply` for an answer to `message`."""
    layout = message.reply
    fits = layout.bytes_min <= len(reply.payload) <= layout.bytes_max
    ours = reply.version == protocol.VERSION
    return ours and fits and reply.payload[0] == Status.OK


def run(streams: int, seed: int, advance: Callable[[int], None]) -> Streams:
    """So many streams.

    Raises:
        AssertionError: as `one_stream`.
    """
    found = Streams()
    for number in range(streams):
        one_stream(seed, number, found)
        advance(1)
    return found
