"""A host that does what the benchmark's runner does, over a terminal, with an image in QEMU.

Written after the behaviour of `benchmark/runner` of github.com/mlcommons/tiny. It reads byte by
byte; the line that holds "m-ready" ends an answer; a line that does not come within 5 s ends the
run; results and times are found by expressions that the whole line must match. In its energy mode
an interface board stands between and marks every line that it hands on.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import serial

from mcugen.build.firmware import build_firmware
from mcugen.run.qemu import open_qemu
from tests.build.images import image_for
from tests.build.tiny_model import expected_outputs, random_inputs, write_tiny_model
from tests.run.chip_families import FAMILIES
from tests.run.chips import Chip
from tests.run.conftest import Tiny
from tests.run.lines import bridged
from tests.run.test_mlperf import Runner as TextHost
from tests.run.test_mlperf import softmax

_LINE_S = 5.0
_TINY_SCALE = 2.0**-10


class Port(Protocol):
    """What commands go through."""

    def send_command(self, command: str) -> list[str]:
        """The lines that answer, the last of them with m-ready."""


class SerialDevice:
    """A thread takes lines off the port; what came before a command is still there for it."""

    def __init__(self, path: str) -> None:
        self._port = serial.Serial(path, 115200, timeout=0.1)
        self._lines: list[str] = []
        self._arrived = threading.Condition()
        self._running = True
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        text = ""
        while self._running:
            character = self._port.read(1).decode()
            if character == "\n":
                with self._arrived:
                    self._lines.append(text)
                    self._arrived.notify()
                text = ""
            elif character not in ("", "\r", "\0"):
                text += character

    def read_line(self) -> str:
        with self._arrived:
            assert self._arrived.wait_for(lambda: self._lines, _LINE_S), "no line in 5 s"
            return self._lines.pop(0)

    def send_command(self, command: str) -> list[str]:
        self._port.write(command.encode() + b"%")
        lines: list[str] = []
        while not lines or "m-ready" not in lines[-1]:
            lines.append(self.read_line())
        return [line for line in lines if line]

    def close(self) -> None:
        self._running = False
        self._thread.join()
        self._port.close()


@dataclass
class InterfaceBoard:
    """An interface board, and the runner behind it."""

    device: SerialDevice

    def send_command(self, command: str) -> list[str]:
        marked = [f"[dut]: {line}" for line in self.device.send_command(command)]
        lines = [line.replace("[dut]: ", "") for line in marked]
        assert lines[-1] == "m-ready"  # the whole line: only at that the runner stops reading
        return lines


@dataclass
class Runner:
    """The device under test as the runner sees it; `chunk` is 31 bytes a command, 26 for energy."""

    port: Port
    chunk: int = 31

    def names(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in [*self.port.send_command("name"), *self.port.send_command("profile")]:
            if match := re.match(r"^m-(name-dut|model|profile)-\[([^]]+)]$", line):
                found[match[1]] = match[2]
        return found

    def load(self, data: bytes) -> None:
        self.port.send_command(f"db load {len(data)}")
        for at in range(0, len(data), self.chunk):
            self.port.send_command(f"db {data[at : at + self.chunk].hex()}")

    def infer(self, inferences: int, warm_ups: int) -> tuple[list[float], list[int]]:
        """Results, and the times in microseconds before and after."""
        lines = self.port.send_command(f"infer {inferences} {warm_ups}")
        results = [m for line in lines if (m := re.match(r"^m-results-\[([^]]+)\]$", line))]
        laps = [m for line in lines if (m := re.match(r"^m-lap-us-([0-9]+)$", line))]
        assert len(results) == 1
        assert lines[-1] == "m-ready"
        return [float(word) for word in results[0][1].split(",")], [int(lap[1]) for lap in laps]


@contextmanager
def _device(elf: Path, tiny: Tiny) -> Iterator[SerialDevice]:
    """A board that has started some time ago: nobody heard its words."""
    with open_qemu(tiny.board, elf) as board:
        TextHost(board.line).ask("name")  # behind the frames that found it up
        with bridged(board.line) as path:
            device = SerialDevice(path)
            try:
                yield device
            finally:
                device.close()


def _direct(device: SerialDevice) -> Runner:
    return Runner(device)


def _behind_a_board(device: SerialDevice) -> Runner:
    return Runner(InterfaceBoard(device), chunk=26)


@pytest.mark.parametrize(
    ("wrap", "inferences", "warm_ups"),
    [(_direct, 1, 0), (_direct, 70, 10), (_behind_a_board, 20, 0)],
    ids=["accuracy", "performance", "energy"],
)
def test_five_samples(
    tiny: Tiny, wrap: Callable[[SerialDevice], Runner], inferences: int, warm_ups: int
) -> None:
    """The scripts of the three modes: five times a sample and a number of inferences."""
    inputs = random_inputs(5, seed=11)
    wanted = softmax(expected_outputs(inputs) * _TINY_SCALE)
    with _device(tiny.elf, tiny) as device:
        runner = wrap(device)
        names = runner.names()
        assert names["name-dut"] == "mcugen stm32f446"
        assert names["profile"].startswith("ULPMark for tinyML Firmware")
        assert names["model"] == "tiny"
        last = 0
        for sample, want in zip(inputs, wanted, strict=True):
            runner.load(sample.tobytes())
            results, (before, after) = runner.infer(inferences, warm_ups)
            np.testing.assert_allclose(results, want, atol=0.00101)
            assert last < before < after  # inferences in a second: inferences / (after - before)
            last = after


def _results(tiny: Tiny, folder: Path, edits: dict[str, str], samples: np.ndarray) -> np.ndarray:
    """What the runner gets from the tiny model with `edits`."""
    write_tiny_model(folder, edits=edits)
    with _device(build_firmware(folder, tiny.board).elf, tiny) as device:
        runner = _direct(device)
        runner.names()
        found = []
        for sample in samples:
            runner.load(sample.tobytes())
            found.append(runner.infer(1, 0)[0])
        printed = runner.port.send_command("db print")
    assert (
        bytes.fromhex("".join(re.findall("-([0-9a-f]{2})", "".join(printed)))) == sample.tobytes()
    )
    return np.array(found)


def test_pixels_of_a_model_that_takes_int8(tiny: Tiny, tmp_path: Path) -> None:
    """Its input is a pixel less 128, and the runner sends pixels."""
    pixels = random_inputs(3, seed=12)
    wanted = softmax(expected_outputs(pixels ^ 0x80) * _TINY_SCALE)
    edits = {"INPUT_ZERO_POINT (0)": "INPUT_ZERO_POINT (-128)"}
    np.testing.assert_allclose(_results(tiny, tmp_path, edits, pixels), wanted, atol=0.00101)


def test_a_model_that_ends_in_a_softmax(tiny: Tiny, tmp_path: Path) -> None:
    """Its outputs are probabilities already, in levels of 1/256 from -128 on."""
    samples = random_inputs(3, seed=13)
    levels = expected_outputs(samples) % 256
    edits = {
        "y[row] = sum;": "y[row] = (sum & 255) - 128;",
        "OUTPUT_ZERO_POINT (0)": "OUTPUT_ZERO_POINT (-128)",
        "OUTPUT_SCALE_SHIFT (10)": "OUTPUT_SCALE_SHIFT (8)",
    }
    found = _results(tiny, tmp_path, edits, samples)
    np.testing.assert_allclose(found, levels / 256, atol=0.0005001)


def test_times_are_microseconds_of_the_core_clock() -> None:
    """At 180 MHz, in the simulated chip: its cycle counter goes on with every look at it."""
    chip = Chip(image_for("stm32f446"), FAMILIES["stm32f4_f7"])
    asked = TextHost(chip)
    assert asked.read_until_ready()[0] == "m-init-done"

    def now() -> tuple[int, int, int]:
        """Cycles before, microseconds, cycles after."""
        before = chip.ticks
        (line,) = asked.ask("timestamp")
        return before, int(line.removeprefix("m-lap-us-")), chip.ticks

    first = now()
    for _ in range(50):
        chip.receive()
    second = now()
    elapsed = second[1] - first[1]
    assert elapsed > 5_000
    assert (second[0] - first[2]) / 180 - 1 <= elapsed <= (second[2] - first[0]) / 180 + 1
