"""Inferences in QEMU through a noisy line: `scripts/noise --inferences 1000 --one-in 100 --seed 1`.

Both ways, one byte in so many is dropped, flipped in one bit, sent twice or late; what follows a
late byte is late too, as on a real line. Each inference ends in the right bytes or in an error that
says so; a wrong result ends the run with 1.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcugen.build.firmware import build_firmware
from mcugen.errors import McugenError
from mcugen.report.console import progress, say
from mcugen.run.device import Device, Line, Timing
from mcugen.run.qemu import open_qemu
from mcugen.target.boards import Board, load_board
from tests.build.tiny_model import expected_outputs, random_inputs, write_tiny_model

#: QEMU answers within milliseconds, unless the machine has other things to do.
TIMING = Timing(reply_s=0.05, attempts=400)
_LATE_S = 0.03


class _Channel:
    """One direction of a line."""

    def __init__(self, chance: random.Random, one_in: int) -> None:
        self._chance = chance
        self._one_in = one_in
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._ready = 0.0
        self.disturbed = 0

    def put(self, data: bytes) -> None:
        for byte in data:
            self._ready = max(self._ready, time.monotonic())
            passed = bytes([byte])
            if not self._chance.randrange(self._one_in):
                passed = self._disturb(byte)
            self._waiting.append((self._ready, passed))

    def take(self) -> bytes:
        """What has arrived by now."""
        passed = b""
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            passed += self._waiting.popleft()[1]
        return passed

    def _disturb(self, byte: int) -> bytes:
        self.disturbed += 1
        kind = self._chance.choice(("drop", "flip", "twice", "late"))
        if kind == "late":
            self._ready += self._chance.uniform(0, _LATE_S)
        return {
            "drop": b"",
            "flip": bytes([byte ^ 1 << self._chance.randrange(8)]),
            "twice": bytes([byte, byte]),
            "late": bytes([byte]),
        }[kind]


class NoisyLine:
    """`line`, disturbed both ways."""

    def __init__(self, line: Line, seed: int, one_in: int) -> None:
        self.name = line.name
        self._line = line
        chance = random.Random(seed)
        self._out, self._in = _Channel(chance, one_in), _Channel(chance, one_in)

    @property
    def disturbed(self) -> int:
        """Bytes so far."""
        return self._out.disturbed + self._in.disturbed

    def send(self, data: bytes) -> None:
        self._out.put(data)
        self._line.send(self._out.take())

    def receive(self) -> bytes:
        self._line.send(self._out.take())
        self._in.put(self._line.receive())
        return self._in.take()

    def close(self) -> None:
        self._line.close()


@dataclass
class Outcome:
    """Inferences by how they ended, and what it took."""

    right: int = 0
    wrong: int = 0
    retries: int = 0
    disturbed: int = 0
    longest_s: float = 0.0
    errors: tuple[str, ...] = ()


def campaign(line: Line, inferences: int, seed: int, one_in: int) -> Outcome:
    """So many inferences of the tiny model through `line` with noise."""
    noisy, outcome = NoisyLine(line, seed, one_in), Outcome()
    inputs = random_inputs(inferences, seed)
    wanted = expected_outputs(inputs)
    device = Device(noisy, TIMING, emulated=True)
    with progress("inferences", inferences) as advance:
        for sample, want in zip(inputs, wanted, strict=True):
            started = time.monotonic()
            try:
                output = np.frombuffer(device.run(sample.tobytes()).output, np.int32)
            except McugenError as error:
                outcome.errors += (str(error),)
            else:
                outcome.right += int((output == want).all())
                outcome.wrong += int((output != want).any())
            outcome.longest_s = max(outcome.longest_s, time.monotonic() - started)
            advance(1)
    outcome.retries, outcome.disturbed = device.retries, noisy.disturbed
    return outcome


def in_qemu(board: Board, elf: Path, inferences: int, seed: int, one_in: int) -> Outcome:
    """The campaign with the image `elf` of the tiny model."""
    with open_qemu(board, elf) as quiet:
        return campaign(quiet.line, inferences, seed, one_in)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/noise", description=__doc__.split("\n")[0])
    parser.add_argument("--inferences", type=int, default=1000, metavar="N")
    parser.add_argument("--one-in", type=int, default=100, metavar="BYTES")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    board = load_board("stm32f446")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mcugen-noise-") as scratch:
        write_tiny_model(Path(scratch))
        elf = build_firmware(Path(scratch), board).elf
        found = in_qemu(board, elf, arguments.inferences, arguments.seed, arguments.one_in)
    for error in found.errors:
        say(error)
    say(
        f"{found.right:,} right, {found.wrong} wrong, {len(found.errors)} errors; "
        f"{found.disturbed:,} bytes disturbed, {found.retries:,} requests sent again, "
        f"longest inference {found.longest_s:.1f} s, {time.monotonic() - started:.0f} s in all"
    )
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
