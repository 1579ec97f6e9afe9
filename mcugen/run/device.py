"""The host's side of the serial protocol: one board, or an emulated one, behind a line of bytes.

Requests are sent again until they are answered: the firmware does repeated work only once, so that
sending again is always safe. Input and output are checked end to end with CRC-32, each result
carries the model's digest, and a board that restarted refuses to run: a line may lose bytes, but a
result is right or absent.
"""

import random
import time
import zlib
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from mcugen.errors import McugenError, fail
from mcugen.run import protocol
from mcugen.run.protocol import ClockSource, CycleSource, Message, Status


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
    """How long to wait, in seconds, and how often to ask."""

    reply_s: float = 0.5
    attempts: int = 10
    #: For one run of the model, however often it is asked for.
    run_s: float = 60.0


@dataclass(frozen=True)
class Identity:
    """What the image says of itself. `digest` is hexadecimal, as in the manifest."""

    digest: str
    board: str
    clock_hz: int
    clock_source: ClockSource
    cycle_source: CycleSource
    input_bytes: int
    output_bytes: int
    layer_count: int


@dataclass(frozen=True)
class Inference:
    """One run of the model: the output's bytes, and the core cycles it took."""

    output: bytes
    cycles: int


@dataclass(frozen=True)
class StackUse:
    """Bytes of stack used at most since reset, and bytes set aside."""

    used: int
    size: int


@dataclass(frozen=True)
class _Answer:
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
    Status.OUT_OF_RANGE: "the request lies outside its input or output",
    Status.INPUT_DIFFERS: "its input is not the one that was written; it was reset in between",
    Status.NO_RESULT: "it has no result; it was reset in between",
    Status.MODEL_FAILED: "the model returned an error",
}

#: Bytes kept while no frame ends: a whole frame with its COBS overhead fits.
_PENDING_MAX = 2 * protocol.FRAME_MAX


#: How much longer than the last run the next may take before it is asked for again.
_RUN_MARGIN = 1.5
_RUN_ATTEMPTS_MIN = 3

_START_POLL_S = 0.1


class Device:
    """A board that answers the protocol. Closing it closes the line."""

    def __init__(self, line: Line, timing: Timing | None = None, *, emulated: bool = False) -> None:
        self.emulated = emulated
        self.retries = 0
        self._line = line
        self._timing = timing or Timing()
        self._pending = b""
        self._sequence = random.randrange(2**16)
        self._identity: Identity | None = None
        self._last_run_s = 0.0

    def __enter__(self) -> "Device":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._line.close()

    @property
    def identity(self) -> Identity:
        """What the image said of itself; asked for at the first use.

        Raises:
            McugenError: nobody answers, or no image of mcugen.
        """
        if self._identity is None:
            self._identity = self.identify()
        return self._identity

    def identify(self) -> Identity:
        """Ask the image who it is.

        Raises:
            McugenError: no answer within the time-out, or an answer that makes no sense.
        """
        return self._identity_in(self._request(protocol.IDENTIFY, {}))

    def await_start(self, seconds: float) -> None:
        """Wait until an image that is about to start answers; asking early is not counted.

        Raises:
            McugenError: no answer within `seconds`, or an answer that makes no sense.
        """
        retries = self.retries
        attempts = max(1, round(seconds / _START_POLL_S))
        answer = self._exchange(protocol.IDENTIFY, {}, b"", _START_POLL_S, attempts)
        self._identity = self._identity_in(answer)
        self.retries = retries

    def _identity_in(self, answer: _Answer) -> Identity:
        try:
            return Identity(
                digest=answer.bytes("digest").hex(),
                board=answer.bytes("board").rstrip(b"\0").decode("ascii"),
                clock_hz=answer.number("clock_hz"),
                clock_source=ClockSource(answer.number("clock_source")),
                cycle_source=CycleSource(answer.number("cycle_source")),
                input_bytes=answer.number("input_bytes"),
                output_bytes=answer.number("output_bytes"),
                layer_count=answer.number("layer_count"),
            )
        except ValueError as error:
            raise self._fault(f"cannot make sense of what it says of itself: {error}") from error

    def run(self, data: bytes) -> Inference:
        """Run the model on the input `data`.

        Raises:
            McugenError: `data` has the wrong length; no answer in time; the board was reset, or
                another image answers.
        """
        if len(data) != self.identity.input_bytes:
            raise fail(
                "run",
                "input has the wrong size for the board's model",
                got=f"{len(data)} bytes",
                want=f"{self.identity.input_bytes} bytes",
            )
        self._write_input(data)
        answer = self._run_model(zlib.crc32(data))
        if not self.identity.digest.startswith(answer.bytes("digest_prefix").hex()):
            raise self._fault("another model answers than the one that identified itself")
        output = self._read_output()
        if zlib.crc32(output) != answer.number("output_crc"):
            raise self._fault("the output changed while it was read")
        return Inference(output, answer.number("cycles"))

    def layer_cycles(self) -> tuple[int, ...]:
        """Core cycles of each layer in the last run.

        Raises:
            McugenError: no answer in time, or no run before.
        """
        cycles: list[int] = []
        while len(cycles) < self.identity.layer_count:
            count = min(self.identity.layer_count - len(cycles), protocol.CHUNK_BYTES // 4)
            place: dict[str, int | bytes] = {"first": len(cycles), "count": count}
            tail = self._request(protocol.READ_LAYER_CYCLES, place).tail
            if len(tail) != 4 * count:
                raise self._fault("layer cycles of the wrong length")
            cycles += (int.from_bytes(tail[at : at + 4], "little") for at in range(0, 4 * count, 4))
        return tuple(cycles)

    def stack_high_water(self) -> StackUse:
        """The most stack used since the board's reset.

        Raises:
            McugenError: no answer in time.
        """
        answer = self._request(protocol.READ_STACK, {})
        return StackUse(answer.number("used"), answer.number("size"))

    def reset(self) -> None:
        """Restart the board's processor.

        Raises:
            McugenError: no answer in time.
        """
        self._identity = None
        self._request(protocol.RESET, {})

    def _write_input(self, data: bytes) -> None:
        for offset in range(0, len(data), protocol.CHUNK_BYTES):
            chunk = data[offset : offset + protocol.CHUNK_BYTES]
            self._request(protocol.WRITE_INPUT, {"offset": offset}, chunk)

    def _read_output(self) -> bytes:
        output = b""
        size = self.identity.output_bytes
        while len(output) < size:
            length = min(size - len(output), protocol.CHUNK_BYTES)
            place: dict[str, int | bytes] = {"offset": len(output), "length": length}
            tail = self._request(protocol.READ_OUTPUT, place).tail
            if len(tail) != length:
                raise self._fault("output of the wrong length")
            output += tail
        return output

    def _run_model(self, input_crc: int) -> _Answer:
        """Ask for a run until its answer comes.

        A board that is computing does not listen, so the time between two questions allows for
        what the last run took by the board's own count, and only the sum of the waits is bounded.
        """
        wait_s = self._timing.reply_s + _RUN_MARGIN * self._last_run_s
        attempts = max(_RUN_ATTEMPTS_MIN, round(self._timing.run_s / wait_s))
        answer = self._exchange(protocol.RUN, {"input_crc": input_crc}, b"", wait_s, attempts)
        self._last_run_s = answer.number("cycles") / max(1, self.identity.clock_hz)
        return answer

    def _request(
        self, message: Message, values: dict[str, int | bytes], tail: bytes = b""
    ) -> _Answer:
        timing = self._timing
        return self._exchange(message, values, tail, timing.reply_s, timing.attempts)

    def _exchange(
        self,
        message: Message,
        values: dict[str, int | bytes],
        tail: bytes,
        wait_s: float,
        attempts: int,
    ) -> _Answer:
        """Send `message`, again and again, until its answer comes."""
        self._sequence = (self._sequence + 1) % 2**16
        payload = message.request.pack(values, tail)
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
        raise fail(
            "run",
            f"no answer from the board on {self._line.name}",
            at=f"request '{message.name}', sent {attempts} times in {attempts * wait_s:g} s",
            help="press its reset button, or flash it again: mcugen flash DIR --board BOARD",
        )

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

    def _checked(self, message: Message, reply: protocol.Frame) -> _Answer:
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
            raise self._fault(f"answer to '{message.name}' has the wrong length") from error
        return _Answer(values, tail)

    def _refused(self, message: Message, payload: bytes) -> McugenError:
        try:
            why = _REFUSALS[Status(payload[0])]
        except (IndexError, ValueError):
            why = f"reason {payload[:1].hex() or 'not given'}"
        return self._fault(f"it refuses '{message.name}': {why}")

    def _fault(self, what: str) -> McugenError:
        return fail("run", f"board on {self._line.name}: {what}")

    def _broken(self, error: OSError) -> McugenError:
        return fail(
            "run",
            f"the line to the board broke: {error}",
            at=self._line.name,
            help="is it plugged in, and does no other program use the port?",
        )
