"""Requests to a board and their answers: sent again until answered, each with a time-out.

The firmware does repeated work only once, so that sending again is always safe.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mcugen.errors import McugenError, fail
from mcugen.run import protocol
from mcugen.run.protocol import Message, Status


class Line(Protocol):
    """Bytes to and from a board. All methods raise OSError once the line is broken."""

    @property
    def name(self) -> str:
        """What a person calls the other end, such as /dev/ttyACM0."""

    def send(self, data: bytes) -> None: ...

    def receive(self) -> bytes:
        """What has arrived; waits a few hundredths of a second at most, and may be empty."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Timing:
    """How long to wait, in seconds, and how often to ask.

    The longest frame takes 25 ms at 115,200 baud. A line that has gone silent is given up after
    `reply_s` times `attempts`, and up to 8 `reply_s` more where chunks are made shorter first.
    """

    reply_s: float = 0.2
    attempts: int = 25
    #: For one run of the model, however often it is asked for.
    run_s: float = 60.0


@dataclass(frozen=True)
class Request:
    """A message with its fields by name."""

    message: Message
    values: Mapping[str, int | bytes]
    tail: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What a board answered; the status was good."""

    values: dict[str, int | bytes]
    tail: bytes

    def number(self, name: str) -> int:
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def bytes(self, name: str) -> bytes:
        value = self.values[name]
        assert isinstance(value, bytes)
        return value


_REFUSALS = {
    Status.UNKNOWN_MESSAGE: "it does not know this request",
    Status.WRONG_VERSION: "it speaks another version of the protocol",
    Status.WRONG_LENGTH: "the request has the wrong length",
    Status.OUT_OF_RANGE: "the request lies outside its memory",
    Status.INPUT_DIFFERS: "its input is not the one that was written; it was reset in between",
    Status.NO_RESULT: "it has no result; it was reset in between",
    Status.MODEL_FAILED: "the model returned an error",
}

#: Bytes kept while no frame ends: a whole frame with its COBS overhead fits.
_PENDING_MAX = 2 * protocol.FRAME_MAX


#: Chunks that do not get through are made shorter, down to this; bytes, whole words.
_CHUNK_MIN = 16
_CHUNK_ATTEMPTS = 2


class Exchange:
    """One side of a line; `retries` counts the requests that were sent again."""

    def __init__(self, line: Line, timing: Timing) -> None:
        self.retries = 0
        self._line = line
        self._timing = timing
        self._pending = b""
        self._sequence = random.randrange(2**16)
        self._chunk = protocol.CHUNK_BYTES

    def ask(self, request: Request) -> Answer:
        """The answer to `request`.

        Raises:
            McugenError: no answer in time, a refusal, or a line that breaks.
        """
        return self.insist(request, self._timing.reply_s, self._timing.attempts)

    def insist(self, request: Request, wait_s: float, attempts: int) -> Answer:
        """As `ask`, with other times."""
        answer = self._attempt(request, wait_s, attempts)
        if answer is None:
            raise fail(
                "run",
                f"no answer from the board on {self._line.name}",
                at=f"request '{request.message.name}', sent {attempts} times "
                f"in {attempts * wait_s:g} s",
                help="press its reset button, or flash it again: mcugen flash DIR --board BOARD",
            )
        return answer

    def _attempt(self, request: Request, wait_s: float, attempts: int) -> Answer | None:
        """Send `request`, again and again, until its answer comes; None where none came."""
        self._sequence = (self._sequence + 1) % 2**16
        message = request.message
        payload = message.request.pack(request.values, request.tail)
        frame = protocol.encode_frame(message.code, self._sequence, payload)
        for attempt in range(attempts):
            self.retries += attempt > 0
            try:
                self._line.send(frame)
                reply = self._await_reply(message.code | protocol.REPLY_BIT, wait_s)
            except OSError as error:
                raise self._broken(error) from error
            if reply is not None:
                return self._checked(message, reply)
        return None

    def transfer(self, size: int, part: Callable[[int, int], Request]) -> bytes:
        """What comes back for `size` bytes, asked for in chunks; see `part(offset, length)`.

        On a line that damages long frames the chunks become shorter, and longer again later. They
        are whole words, but for the last.

        Raises:
            McugenError: as `ask`.
        """
        got = b""
        at = 0
        while at < size:
            length = min(self._chunk, size - at)
            request, retries = part(at, length), self.retries
            answer = self._attempt(request, self._timing.reply_s, _CHUNK_ATTEMPTS)
            if answer is None and self._chunk > _CHUNK_MIN:
                self._chunk = max(_CHUNK_MIN, self._chunk // 8 * 4)
                continue
            answer = answer or self.ask(request)
            if self.retries == retries:
                self._chunk = min(protocol.CHUNK_BYTES, 2 * self._chunk)
            if request.message.reply.tail and len(answer.tail) != length:
                raise self.fault(f"answer to '{request.message.name}' has the wrong length")
            got += answer.tail
            at += length
        return got

    def _await_reply(self, type_: int, wait_s: float) -> protocol.Frame | None:
        """The frame that answers the current sequence number; older answers are passed over."""
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            for frame in self._receive_frames():
                if (frame.type, frame.sequence) == (type_, self._sequence):
                    return frame
        return None

    def _receive_frames(self) -> list[protocol.Frame]:
        *complete, self._pending = (self._pending + self._line.receive()).split(b"\0")
        self._pending = self._pending[-_PENDING_MAX:]
        frames = (protocol.decode_frame(encoded) for encoded in complete)
        return [frame for frame in frames if frame is not None]

    def _checked(self, message: Message, reply: protocol.Frame) -> Answer:
        if reply.version != protocol.VERSION:
            raise fail(
                "run",
                f"the firmware on {self._line.name} speaks another version of the protocol",
                got=f"version {reply.version}",
                want=f"version {protocol.VERSION}",
                help="build and flash it again: mcugen build DIR --board BOARD",
            )
        if reply.payload[:1] != bytes([Status.OK]):
            raise self._refused(message, reply.payload)
        try:
            values, tail = message.reply.unpack(reply.payload)
        except ValueError as error:
            raise self.fault(f"answer to '{message.name}' has the wrong length") from error
        return Answer(values, tail)

    def _refused(self, message: Message, payload: bytes) -> McugenError:
        try:
            why = _REFUSALS[Status(payload[0])]
        except (IndexError, ValueError):
            why = f"reason {payload[:1].hex() or 'not given'}"
        return self.fault(f"it refuses '{message.name}': {why}")

    def fault(self, what: str) -> McugenError:
        """An error of the board on this line."""
        return fail("run", f"board on {self._line.name}: {what}")

    def _broken(self, error: OSError) -> McugenError:
        return fail(
            "run",
            f"the line to the board broke: {error}",
            at=self._line.name,
            help="is it plugged in, and does no other program use the port?",
        )
