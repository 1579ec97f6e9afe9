"""The benchmark's text protocol in the same image as the frames."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mcugen import pipeline
from mcugen.build.firmware import build_firmware
from mcugen.emit.encoding import encode_input
from mcugen.run import protocol
from mcugen.run.device import Line
from mcugen.run.host import HostModel
from mcugen.run.qemu import open_qemu
from mcugen.target.boards import load_board
from tests.build.tiny_model import expected_outputs, random_inputs
from tests.run.conftest import Tiny

_READY = "m-ready"
_TIMEOUT_S = 60.0
_TINY_SCALE = 2.0**-10


class Runner:
    """A host that speaks as the benchmark's runner does: a command, then lines until m-ready."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._arrived = b""

    def ask(self, command: str) -> list[str]:
        """The lines that answer `command`, without the last."""
        self._line.send(command.encode() + b"%")
        *lines, ready = self.read_until_ready()
        assert ready == _READY
        return lines

    def read_until_ready(self) -> list[str]:
        end = f"{_READY}\r\n".encode()
        deadline = time.monotonic() + _TIMEOUT_S
        while end not in self._arrived:
            assert time.monotonic() < deadline
            self._arrived += self._line.receive()
        answer, self._arrived = self._arrived.split(end, 1)
        text = answer.rpartition(b"\0")[2]  # behind what a frame asked twice was answered
        return [*text.decode().split("\r\n")[:-1], _READY]

    def is_silent_to(self, command: str) -> bool:
        self._line.send(command.encode())
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            self._arrived += self._line.receive()
        self._arrived = self._arrived.rpartition(b"\0")[2]
        return not self._arrived

    def load(self, sample: bytes) -> list[str]:
        """As the runner does: 31 bytes to a command."""
        assert self.ask(f"db load {len(sample)}") == [f"m-[Expecting {len(sample)} bytes]"]
        for at in range(0, len(sample), 31):
            answer = self.ask(f"db {sample[at : at + 31].hex()}")
        return answer

    def results(self, answer: list[str]) -> list[float]:
        found = re.fullmatch(r"m-results-\[([^]]+)\]", answer[-1])
        assert found
        assert re.fullmatch(r"[01]\.\d{3}(,[01]\.\d{3})*", found[1])
        return [float(word) for word in found[1].split(",")]


@contextmanager
def _runner(tiny: Tiny) -> Iterator[Runner]:
    """In the text mode, which frames have ended before."""
    with open_qemu(tiny.board, tiny.elf) as device:
        assert device.identity.layer_count == 2
        runner = Runner(device.line)
        runner.ask("name")
        yield runner


def softmax(scores: np.ndarray) -> np.ndarray:
    likelihoods = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return likelihoods / likelihoods.sum(axis=-1, keepdims=True)


def test_name_profile_and_help(tiny: Tiny) -> None:
    with _runner(tiny) as runner:
        assert runner.ask("name") == ["m-name-dut-[mcugen stm32f446]"]
        profile = ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[tiny]"]
        assert runner.ask("profile") == profile
        assert "infer N W" in "".join(runner.ask("help"))
        assert runner.ask("") == ["e-[Unknown command]"]
        assert runner.ask("\r\n name ") == ["m-name-dut-[mcugen stm32f446]"]


def test_inferences_and_results(tiny: Tiny) -> None:
    """The model overwrites its input: every inference has to get its own."""
    inputs = random_inputs(3, seed=8)
    wanted = softmax(expected_outputs(inputs) * _TINY_SCALE)
    with _runner(tiny) as runner:
        for sample, want in zip(inputs, wanted, strict=True):
            assert runner.load(sample.tobytes()) == ["m-load-done"]
            for _ in range(2):  # the input is there as long as none is loaded
                answer = runner.ask("infer 3 2")
                assert [re.sub(r"-us-\d+$", "-us-", line) for line in answer[:-1]] == [
                    *("m-warmup-start-2", "m-warmup-done", "m-infer-start-3"),
                    *("m-lap-us-", "m-lap-us-", "m-infer-done"),
                ]
                np.testing.assert_allclose(runner.results(answer), want, atol=0.00101)
            assert runner.results(runner.ask("results")) == runner.results(answer)
        assert runner.ask("infer")[:3] == ["m-warmup-start-10", "m-warmup-done", "m-infer-start-1"]


def test_probabilities_of_a_real_model(tmp_path: Path) -> None:
    board = load_board("stm32f446")
    model = pipeline.load(Path(__file__).parents[1] / "models" / "digits_mlp.pt2")
    pipeline.generate(pipeline.emitted(model, board.core, "ic01", board, False), tmp_path, False)
    host = HostModel(tmp_path)
    levels = np.random.default_rng(6).integers(0, 256, (4, 8, 8, 1))
    scores = host.run_batch(levels).reshape(4, 10) * host.manifest.output.scale
    stored = encode_input(host.manifest.input, levels)
    with open_qemu(board, build_firmware(tmp_path, board).elf) as device:
        runner = Runner(device.line)
        assert runner.ask("name")
        assert runner.ask("profile")[1] == "m-model-[ic01]"
        for row, want in zip(stored, softmax(scores), strict=True):
            assert runner.load(row.tobytes()) == ["m-load-done"]
            found = runner.results(runner.ask("infer 1 0"))
            np.testing.assert_allclose(found, want, atol=0.00101)
            assert sum(found) == pytest.approx(1, abs=0.006)


def test_time_passes(tiny: Tiny) -> None:
    """In QEMU time is not the chip's, but it does not run backwards."""
    with _runner(tiny) as runner:
        laps = [int(runner.ask("timestamp")[0].removeprefix("m-lap-us-")) for _ in range(5)]
    assert laps == sorted(laps)
    assert laps[-1] > laps[0]


@pytest.mark.parametrize(
    ("commands", "answer"),
    [
        (["start"], "e-[Unknown command]"),
        (["names"], "e-[Unknown command]"),
        (["x" * 81], "e-[Command too long]"),
        (["db"], "e-[Command 'db' needs load, print or bytes]"),
        (["db load"], "e-[Command 'db load' needs a number of bytes]"),
        (["db load 17"], "e-[The model takes 16 bytes]"),
        (["db load 16x"], "e-[The model takes 16 bytes]"),
        (["db load 9999999999999999"], "e-[The model takes 16 bytes]"),
        (["db 00"], "e-[More bytes than announced by 'db load']"),
        (["db load 16", "db 000"], "e-[Not pairs of hexadecimal digits]"),
        (["db load 16", "db 0g"], "e-[Not pairs of hexadecimal digits]"),
        (["db load 16", "db " + "00" * 17], "e-[More bytes than announced by 'db load']"),
        (["results"], "e-[No results yet: use 'infer']"),
        (["infer 1 0"], "e-[No input: use 'db load']"),
        (["db load 16", "db 00", "infer 1 0"], "e-[No input: use 'db load']"),
        (["infer 0"], "e-[Inference iterations must be >0]"),
        (["infer -1"], "e-[Inference iterations must be >0]"),
        (["infer 1 -1"], "e-[Inference warmup must be >=0]"),
    ],
)
def test_wrong_commands_are_told(tiny: Tiny, commands: list[str], answer: str) -> None:
    with _runner(tiny) as runner:
        assert [runner.ask(command) for command in commands][-1] == [answer]
        assert runner.ask("name") == ["m-name-dut-[mcugen stm32f446]"]


def test_printed_buffer(tiny: Tiny) -> None:
    with _runner(tiny) as runner:
        assert runner.ask("db print") == []
        runner.ask("db load 16")
        runner.ask("db 00ffA1b2c3")
        assert runner.ask("db print") == ["m-buffer-00-ff-a1-b2-c3"]
        runner.ask("db " + "77" * 11)
        rows = ["m-buffer-00-ff-a1-b2-c3-77-77-77", "m-buffer-" + "-".join(["77"] * 8)]
        assert runner.ask("db print") == rows


def test_frames_and_text_take_turns(tiny: Tiny) -> None:
    inputs = random_inputs(2, seed=9)
    wanted = expected_outputs(inputs)
    with open_qemu(tiny.board, tiny.elf) as device:
        runner = Runner(device.line)
        for sample, want in zip(inputs, wanted, strict=True):
            output = np.frombuffer(device.run(sample.tobytes()).output, np.int32)
            np.testing.assert_array_equal(output, want)
            assert runner.is_silent_to("profile%infer 1 0%")  # text is off behind a frame
            runner.ask("name")
            assert runner.ask("infer 1 0") == ["e-[No input: use 'db load']"]
            runner.load(sample.tobytes())
            assert runner.results(runner.ask("infer 1 1"))
        assert device.retries == 0


def test_commands_within_a_frame_are_no_text(tiny: Tiny) -> None:
    """An input that spells commands is an input, in whatever mode the image is."""
    spelt = b"%%name%infer 9%%"
    assert len(spelt) == tiny.manifest.input.bytes
    want = expected_outputs(np.frombuffer(spelt, np.uint8)[None])[0]
    with open_qemu(tiny.board, tiny.elf) as device:
        for _ in range(2):
            output = np.frombuffer(device.run(spelt).output, np.int32)
            np.testing.assert_array_equal(output, want)
        assert device.retries == 0
        runner = Runner(device.line)
        assert runner.is_silent_to("")
        # Cut off behind its header, the rest of the frame could be text; its zero is gone too.
        frame = protocol.encode_frame(2, 7, bytes(4) + spelt)
        device.line.send(frame[:-1])
        assert runner.is_silent_to("name%")
        device.line.send(b"\0")
        assert runner.ask("name") == ["m-name-dut-[mcugen stm32f446]"]


def test_the_image_says_that_it_is_up(tiny: Tiny) -> None:
    with open_qemu(tiny.board, tiny.elf) as device:
        device.line.send(protocol.encode_frame(protocol.RESET.code, 0x7777, b""))
        assert Runner(device.line).read_until_ready() == ["m-init-done", _READY]
