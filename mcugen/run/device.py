"""The host's side of the serial protocol: one board, or an emulated one, behind a line of bytes.

Input and output are checked end to end with CRC-32, each result carries the model's digest, and a
board that restarted refuses to run: a line may lose bytes, but a result is right or absent.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from mcugen.errors import fail
from mcugen.run import protocol
from mcugen.run.exchange import Answer, Exchange, Line, Request, Timing
from mcugen.run.protocol import ClockSource, CycleSource, Message

__all__ = ["Device", "Identity", "Inference", "Line", "StackUse", "Timing"]


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
    arena_bytes: int
    capture_bytes: int
    """Spare RAM in which `Device.capture` keeps a part of the arena."""


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


#: How much longer than the last run the next may take before it is asked for again.
_RUN_MARGIN = 1.5
_RUN_ATTEMPTS_MIN = 3

_START_POLL_S = 0.1


class Device:
    """A board that answers the protocol. Closing it closes the line."""

    def __init__(self, line: Line, timing: Timing | None = None, *, emulated: bool = False) -> None:
        self.emulated = emulated
        self.line = line
        self._timing = timing or Timing()
        self._exchange = Exchange(line, self._timing)
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
        self.line.close()

    @property
    def retries(self) -> int:
        """Requests that were sent again."""
        return self._exchange.retries

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
        return self._identity_in(self._exchange.ask(Request(protocol.IDENTIFY, {})))

    def await_start(self, seconds: float) -> None:
        """Wait until an image that is about to start answers; asking early is not counted.

        Raises:
            McugenError: no answer within `seconds`, or an answer that makes no sense.
        """
        retries = self._exchange.retries
        attempts = max(1, round(seconds / _START_POLL_S))
        answer = self._exchange.insist(Request(protocol.IDENTIFY, {}), _START_POLL_S, attempts)
        self._identity = self._identity_in(answer)
        self._exchange.retries = retries

    def _identity_in(self, answer: Answer) -> Identity:
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
                arena_bytes=answer.number("arena_bytes"),
                capture_bytes=answer.number("capture_bytes"),
            )
        except ValueError as error:
            raise self._exchange.fault(
                f"cannot make sense of what it says of itself: {error}"
            ) from error

    def run(self, data: bytes) -> Inference:
        """Run the model on the input `data`.

        Raises:
            McugenError: `data` has the wrong length; no answer in time; the board was reset, or
                another image answers.
        """
        self._write_input(data)
        answer = self._run_model(protocol.RUN, {"input_crc": zlib.crc32(data)})
        self._last_run_s = answer.number("cycles") / max(1, self.identity.clock_hz)
        if not self.identity.digest.startswith(answer.bytes("digest_prefix").hex()):
            raise self._exchange.fault("another model answers than the one that identified itself")
        output = self._read(protocol.READ_OUTPUT, self.identity.output_bytes)
        if zlib.crc32(output) != answer.number("output_crc"):
            raise self._exchange.fault("the output changed while it was read")
        return Inference(output, answer.number("cycles"))

    def capture(self, data: bytes, layers: int, offset: int, length: int) -> bytes:
        """`length` bytes of the arena from `offset` on, after the first `layers` layers.

        The model runs on the input `data`, once for each part that fits the board's spare RAM.

        Raises:
            McugenError: as `run`; the board has no spare RAM.
        """
        kept = b""
        room = min(length, self.identity.capture_bytes)
        if length and not room:
            raise self._exchange.fault("it has no spare RAM to keep what a layer stores")
        while len(kept) < length:
            kept += self._capture_part(
                data,
                {"layers": layers, "offset": offset + len(kept)},
                min(room, length - len(kept)),
            )
        return kept

    def _capture_part(self, data: bytes, place: Mapping[str, int], length: int) -> bytes:
        self._write_input(data)
        values = {"input_crc": zlib.crc32(data), **place, "length": length}
        answer = self._run_model(protocol.CAPTURE, values)
        part = self._read(protocol.READ_CAPTURE, length)
        if zlib.crc32(part) != answer.number("crc"):
            raise self._exchange.fault("what was kept of the arena changed while it was read")
        return part

    def layer_cycles(self) -> tuple[int, ...]:
        """Core cycles of each layer in the last run.

        Raises:
            McugenError: no answer in time, or no run before.
        """

        def part(at: int, length: int) -> Request:
            place = {"first": at // 4, "count": length // 4}
            return Request(protocol.READ_LAYER_CYCLES, place)

        data = self._exchange.transfer(4 * self.identity.layer_count, part)
        return struct.unpack(f"<{self.identity.layer_count}I", data)

    def stack_high_water(self) -> StackUse:
        """The most stack used since the board's reset.

        Raises:
            McugenError: no answer in time.
        """
        answer = self._exchange.ask(Request(protocol.READ_STACK, {}))
        return StackUse(answer.number("used"), answer.number("size"))

    def reset(self) -> None:
        """Restart the board's processor.

        Raises:
            McugenError: no answer in time.
        """
        self._identity = None
        self._exchange.ask(Request(protocol.RESET, {}))

    def _write_input(self, data: bytes) -> None:
        if len(data) != self.identity.input_bytes:
            raise fail(
                "run",
                "input has the wrong size for the board's model",
                got=f"{len(data)} bytes",
                want=f"{self.identity.input_bytes} bytes",
            )

        def part(at: int, length: int) -> Request:
            return Request(protocol.WRITE_INPUT, {"offset": at}, data[at : at + length])

        self._exchange.transfer(len(data), part)

    def _read(self, message: Message, size: int) -> bytes:
        def part(at: int, length: int) -> Request:
            return Request(message, {"offset": at, "length": length})

        return self._exchange.transfer(size, part)

    def _run_model(self, message: Message, values: Mapping[str, int | bytes]) -> Answer:
        """Ask for a run until its answer comes.

        A board that is computing does not listen, so the time between two questions allows for
        what the last run took by the board's own count, and only the sum of the waits is bounded.
        """
        wait_s = self._timing.reply_s + _RUN_MARGIN * self._last_run_s
        attempts = max(_RUN_ATTEMPTS_MIN, round(self._timing.run_s / wait_s))
        return self._exchange.insist(Request(message, values), wait_s, attempts)
