"""Lines for tests: a board made of Python, and lines that lose, change and repeat bytes."""

import os
import random
import select
import threading
import tty
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mcugen.run import protocol
from mcugen.run.device import Line, Timing
from mcugen.run.protocol import Status

FAST = Timing(reply_s=0.02, attempts=3, run_s=0.1)


@dataclass
class PythonBoard:
    """Answers like the firmware, with a model that reverses its 600 bytes of input."""

    name: str = "test board"
    digest: bytes = bytes(range(32))
    version: int = protocol.VERSION
    silent: bool = False
    cycles: int = 1000
    refuse: Status = Status.OK
    spare_bytes: int = 256
    captures: int = 0
    requests: list[int] = field(default_factory=list)
    _arrived: bytes = b""
    _reply: bytes = b""
    _input: bytearray = field(default_factory=lambda: bytearray(600))
    _output: bytes = b""
    _kept: bytes = b""

    def arena(self, layers: int) -> bytes:
        """Its 700 bytes of arena after so many layers."""
        return bytes((place + layers) % 251 for place in range(700))

    def send(self, data: bytes) -> None:
        *complete, self._arrived = (self._arrived + data).split(b"\0")
        for encoded in complete:
            frame = protocol.decode_frame(encoded)
            if frame is not None and not self.silent:
                self.requests.append(frame.type)
                self._reply += self._answer(frame)

    def receive(self) -> bytes:
        reply, self._reply = self._reply, b""
        return reply

    def close(self) -> None:
        self.silent = True

    def _answer(self, frame: protocol.Frame) -> bytes:
        message = next(item for item in protocol.MESSAGES if item.code == frame.type)
        values, tail = message.request.unpack(frame.payload)
        payload = bytes([self.refuse])
        if self.refuse == Status.OK:
            payload = self._payload(message, values, tail)
        type_ = frame.type | protocol.REPLY_BIT
        return protocol.encode_frame(type_, frame.sequence, payload, self.version)

    def _payload(
        self, message: protocol.Message, values: dict[str, int | bytes], tail: bytes
    ) -> bytes:
        offset, length = int(values.get("offset", 0)), int(values.get("length", 0))
        reply: dict[str, int | bytes] = {"status": Status.OK}
        reply_tail = b""
        if message is protocol.IDENTIFY:
            reply |= {"digest": self.digest, "board": b"python", "clock_hz": 16_000_000}
            reply |= {"clock_source": 0, "cycle_source": 0, "input_bytes": 600}
            reply |= {"output_bytes": 600, "layer_count": 70}
            reply |= {"arena_bytes": 700, "capture_bytes": self.spare_bytes}
        elif message is protocol.WRITE_INPUT:
            self._input[offset : offset + len(tail)] = tail
        elif message is protocol.RUN:
            self._output = bytes(self._input[::-1])
            reply |= {"model_status": 0, "cycles": self.cycles, "digest_prefix": self.digest[:8]}
            reply |= {"output_crc": zlib.crc32(self._output)}
        elif message is protocol.CAPTURE:
            self.captures += 1
            self._kept = self.arena(int(values["layers"]))[offset : offset + length]
            reply |= {"crc": zlib.crc32(self._kept)}
        elif message is protocol.READ_CAPTURE:
            reply_tail = self._kept[offset : offset + length]
        elif message is protocol.READ_OUTPUT:
            reply_tail = self._output[offset : offset + length]
        elif message is protocol.READ_LAYER_CYCLES:
            first = int(values["first"])
            layers = range(first, first + int(values["count"]))
            reply_tail = b"".join(layer.to_bytes(4, "little") for layer in layers)
        elif message is protocol.READ_STACK:
            reply |= {"used": 100, "size": 2048}
        return message.reply.pack(reply, reply_tail)


@contextmanager
def terminal() -> Iterator[tuple[int, str]]:
    """A terminal: the descriptor of one end, and the path of the other."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    path = os.ttyname(theirs)
    os.close(theirs)
    try:
        yield ours, path
    finally:
        os.close(ours)


@contextmanager
def served(descriptor: int, board: PythonBoard) -> Iterator[None]:
    """`board` answers on `descriptor`, a socket or a terminal, until the end."""
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            if select.select([descriptor], [], [], 0.02)[0]:
                try:
                    board.send(os.read(descriptor, 4096))
                except OSError:  # a terminal that nobody has open
                    ended.wait(0.02)
                os.write(descriptor, board.receive())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def bridged(line: Line) -> Iterator[str]:
    """A terminal whose other end is `line`; yields its path."""
    with terminal() as (ours, path):
        os.set_blocking(ours, False)
        ended = threading.Event()

        def carry() -> None:
            while not ended.is_set():
                if data := line.receive():
                    os.write(ours, data)
                try:
                    line.send(os.read(ours, 4096))
                except OSError:  # nobody has it open, or nothing came
                    ended.wait(0.001)

        thread = threading.Thread(target=carry)
        thread.start()
        try:
            yield path
        finally:
            ended.set()
            thread.join()


class ChangedLine:
    """`line`, with what passes changed by `change`, both ways."""

    def __init__(self, line: Line, change: Callable[[bytes], bytes]) -> None:
        self.name = line.name
        self._line = line
        self._change = change

    def send(self, data: bytes) -> None:
        self._line.send(self._change(data))

    def receive(self) -> bytes:
        return self._change(self._line.receive())

    def close(self) -> None:
        self._line.close()


def noise(seed: int, one_in: int) -> Callable[[bytes], bytes]:
    """One byte in so many is lost, has a bit flipped, comes twice, or has a stranger before it."""
    chance = random.Random(seed)

    def disturb(byte: int) -> bytes:
        if chance.randrange(one_in):
            return bytes([byte])
        flipped = byte ^ 1 << chance.randrange(8)
        stranger = chance.randrange(256)
        return chance.choice([b"", bytes([flipped]), bytes([byte] * 2), bytes([stranger, byte])])

    return lambda data: b"".join(disturb(byte) for byte in data)
