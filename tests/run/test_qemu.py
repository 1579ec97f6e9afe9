"""The real image in QEMU, through the same protocol as a board."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from mcugen.errors import McugenError
from mcugen.run import protocol
from mcugen.run import qemu as qemu_module
from mcugen.run.device import Device, Line, Timing
from mcugen.run.protocol import ClockSource, CycleSource
from mcugen.run.qemu import open_qemu, qemu_argv
from mcugen.run.target import run_on
from mcugen.target.boards import Qemu, all_boards, load_board
from tests.build.images import image_for
from tests.build.tiny_model import expected_outputs, random_inputs
from tests.run.conftest import Tiny
from tests.run.lines import ChangedLine, noise
from tests.run.trained import image_of, trained
from tests.stateful import recurrent


def _line_of(device: Device) -> Line:
    return device.line


def test_fifty_samples(tiny: Tiny) -> None:
    inputs = random_inputs(50)
    seen = []
    with open_qemu(tiny.board, tiny.elf) as device:
        run = run_on(device, tiny.manifest, inputs, lambda done, of: seen.append((done, of)))
        layers = device.layer_cycles()
    np.testing.assert_array_equal(run.outputs, expected_outputs(inputs))
    assert run.outputs.dtype == np.int32
    assert run.samples == 50
    assert seen[0] == (1, 50)
    assert seen[-1] == (50, 50)
    assert run.identity.digest == tiny.manifest.digest
    assert run.identity.board == "stm32f446"
    assert (run.cycle_source, run.cycles, run.layer_cycles) == ("emulated", None, None)
    assert len(layers) == 2
    assert all(cycles > 0 for cycles in layers)


@pytest.mark.parametrize("name", [board.name for board in all_boards() if board.qemu])
def test_every_board_with_a_machine(name: str) -> None:
    image = image_for(name)
    inputs = random_inputs(3)
    with open_qemu(image.board, image.report.elf) as device:
        run = run_on(device, image.manifest, inputs)
        layers = device.layer_cycles()
        device.reset()
        again = device.run(inputs[0].tobytes())
    np.testing.assert_array_equal(run.outputs, expected_outputs(inputs))
    assert run.identity.board == name
    assert run.identity.clock_hz in (image.board.clock.hz, image.board.clock.fallback_hz)
    assert run.stack_bytes <= image.report.stack.bytes
    assert all(cycles > 0 for cycles in layers)
    assert again.output == run.outputs[0].tobytes()


@pytest.mark.parametrize(
    "name", ["microbit", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"]
)
def test_a_trained_model_on_every_core(name: str, tmp_path: Path) -> None:
    model = trained("digits_mlp", name, tmp_path)
    with open_qemu(model.image.board, model.image.report.elf) as device:
        assert model.agrees(device)


def test_runs_remember_nothing_of_each_other(tmp_path: Path) -> None:
    """Each run is a sequence of its own, so that a board may restart between two."""
    model = image_of(recurrent(), "recurrent", "mps2-an386", tmp_path)
    with open_qemu(model.image.board, model.image.report.elf) as device:
        assert model.agrees(device)


def test_clock_falls_back_and_says_so(tiny: Tiny) -> None:
    """QEMU models neither the clock controller nor the cycle counter: nothing hangs."""
    with open_qemu(tiny.board, tiny.elf) as device:
        identity = device.identity
    assert identity.clock_hz == tiny.board.clock.fallback_hz
    assert identity.clock_source == ClockSource.INTERNAL
    assert identity.cycle_source == CycleSource.SYSTICK


def test_painted_stack_stays_below_the_bound(tiny: Tiny) -> None:
    with open_qemu(tiny.board, tiny.elf) as device:
        device.run(bytes(16))
        device.layer_cycles()
        used = device.stack_high_water()
    assert used.size == tiny.board.firmware.stack_bytes
    assert used.used <= tiny.stack_bytes <= 1.25 * used.used + 64


def test_stale_image_is_refused(tiny: Tiny) -> None:
    newer = tiny.manifest.model_copy(update={"digest": "f" * 64})
    with (
        open_qemu(tiny.board, tiny.elf) as device,
        pytest.raises(McugenError) as caught,
    ):
        run_on(device, newer, random_inputs(1))
    assert "runs another model, or an older image of 'tiny'" in str(caught.value)
    assert "help: mcugen build DIR --board stm32f446" in str(caught.value)


def test_samples_must_fit(tiny: Tiny) -> None:
    with open_qemu(tiny.board, tiny.elf) as device:
        with pytest.raises(McugenError, match=r"got  15 bytes each\n  want  16 bytes each"):
            run_on(device, tiny.manifest, np.zeros((2, 15), np.uint8))
        with pytest.raises(McugenError, match="no samples to run"):
            run_on(device, tiny.manifest, np.zeros((0, 16), np.uint8))


def test_noise_on_the_line(tiny: Tiny) -> None:
    inputs = random_inputs(40, seed=2)
    with open_qemu(tiny.board, tiny.elf) as quiet:
        line = ChangedLine(_line_of(quiet), noise(seed=7, one_in=300))
        timing = Timing(reply_s=0.06, attempts=30, run_s=5)
        noisy = Device(line, timing, emulated=True)
        run = run_on(noisy, tiny.manifest, inputs)
    np.testing.assert_array_equal(run.outputs, expected_outputs(inputs))
    assert run.retries > 0


def test_garbage_before_a_request(tiny: Tiny) -> None:
    with open_qemu(tiny.board, tiny.elf) as device:
        assert device.identity.layer_count == 2
        for garbage in (b"\xff" * 700, b"hello", b"\0\0\x03\0\x02", bytes(range(256))):
            _line_of(device).send(garbage)
            assert device.identify() == device.identity


def test_reset_between_input_and_run_is_refused(tiny: Tiny) -> None:
    with open_qemu(tiny.board, tiny.elf) as device:
        sample = random_inputs(1)[0].tobytes()
        before = device.run(sample)
        device._write_input(sample)
        device.reset()
        with pytest.raises(McugenError, match="it refuses 'run': its input is not the one"):
            device._run_model(protocol.RUN, {"input_crc": 1})
        with pytest.raises(McugenError, match="it refuses 'read_layer_cycles': it has no result"):
            device.layer_cycles()
        assert device.run(sample).output == before.output


def test_a_request_sent_twice_is_done_once(tiny: Tiny) -> None:
    """The model overwrites its input, so that a second run would be refused."""
    with open_qemu(tiny.board, tiny.elf) as device:
        assert device.identity.layer_count == 2
        line = _line_of(device)
        device._write_input(bytes(range(16)))
        payload = protocol.RUN.request.pack({"input_crc": zlib.crc32(bytes(range(16)))})
        frame = protocol.encode_frame(protocol.RUN.code, 77, payload)
        answers = []
        for _ in range(2):
            line.send(frame)
            deadline = time.monotonic() + 2
            data = b""
            while data.count(b"\0") < 2 and time.monotonic() < deadline:
                data += line.receive()
            answers.append(data)
        assert answers[0] == answers[1]
        reply = protocol.decode_frame(answers[0].strip(b"\0"))
        assert reply is not None
        assert reply.payload[0] == protocol.Status.OK


@pytest.mark.parametrize(
    ("type_", "payload", "status"),
    [
        (0x55, b"", protocol.Status.UNKNOWN_MESSAGE),
        (protocol.RUN.code, b"\0", protocol.Status.WRONG_LENGTH),
        (protocol.WRITE_INPUT.code, b"\x10\0\0\0\x01", protocol.Status.OUT_OF_RANGE),
        (protocol.WRITE_INPUT.code, b"\xff\xff\xff\xff\x01", protocol.Status.OUT_OF_RANGE),
        (protocol.READ_OUTPUT.code, b"\0\0\0\0\1\0", protocol.Status.NO_RESULT),
    ],
)
def test_wrong_requests_are_named(
    tiny: Tiny, type_: int, payload: bytes, status: protocol.Status
) -> None:
    with open_qemu(tiny.board, tiny.elf) as device:
        assert device.identity.layer_count == 2
        line = _line_of(device)
        line.send(protocol.encode_frame(type_, 9, payload))
        data = b""
        while data.count(b"\0") < 2:
            data += line.receive()
    reply = protocol.decode_frame(data.strip(b"\0"))
    assert reply is not None
    assert (reply.sequence, reply.payload) == (9, bytes([status]))


def _process_of(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Process ids of the QEMUs started from here on."""
    started: list[int] = []
    popen = qemu_module.subprocess.Popen

    def record(*arguments: object, **options: object) -> object:
        process = popen(*arguments, **options)
        started.append(process.pid)
        return process

    monkeypatch.setattr(qemu_module.subprocess, "Popen", record)
    return started


def _is_running(process: int) -> bool:
    """Whether it is there and no mere entry that waits for its parent to look."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_qemu_is_stopped_whatever_happens(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    started = _process_of(tiny, monkeypatch)
    with contextlib.suppress(error), open_qemu(tiny.board, tiny.elf):
        assert _is_running(started[0])
        raise error
    assert not _is_running(started[0])


def test_qemu_ends_with_a_killed_parent(tiny: Tiny) -> None:
    program = (
        "import sys, time; from pathlib import Path; from mcugen.run import qemu\n"
        "from mcugen.target.boards import load_board\n"
        "start = qemu._start\n"
        "def told(*a):\n    p = start(*a); print(p.pid, flush=True); return p\n"
        "qemu._start = told\n"
        "with qemu.open_qemu(load_board('stm32f446'), Path(sys.argv[1])): time.sleep(60)\n"
    )
    argv = [sys.executable, "-c", program, str(tiny.elf)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        emulator = int(parent.stdout.readline())
        assert _is_running(emulator)
        parent.kill()
    deadline = time.monotonic() + 5
    while _is_running(emulator) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_running(emulator)


def test_qemu_gone_in_the_middle(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    started = _process_of(tiny, monkeypatch)
    with open_qemu(tiny.board, tiny.elf) as device:
        device.run(bytes(16))
        os.kill(started[0], signal.SIGKILL)
        with pytest.raises(McugenError, match="the line to the board broke"):
            device.run(bytes(16))


def test_qemu_says_why_it_does_not_start(tiny: Tiny) -> None:
    machine = Qemu(machine="no-such-machine", serial=0, note="none")
    board = tiny.board.model_copy(update={"qemu": machine})
    with (
        pytest.raises(McugenError, match=r"QEMU ended with exit code 1\n  got  .*machine type"),
        open_qemu(board, tiny.elf),
    ):
        pass


def test_no_machine_and_no_image(tiny: Tiny, tmp_path: Path) -> None:
    none = tiny.board.model_copy(update={"qemu": None})
    with pytest.raises(McugenError, match="QEMU has no machine"), open_qemu(none, tiny.elf):
        pass
    with (
        pytest.raises(McugenError, match=r"no image .*\n  help: mcugen build DIR --board"),
        open_qemu(tiny.board, tmp_path / "firmware.elf"),
    ):
        pass


def test_another_board_with_the_core_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(McugenError, match=r"help: .*--port, or build for .* has: mps2-an500$"),
        open_qemu(load_board("stm32f746"), tmp_path / "firmware.elf"),
    ):
        pass
    with (  # QEMU has no machine with a Cortex-M0+
        pytest.raises(McugenError, match=r"help: run on the board: --port$"),
        open_qemu(load_board("rp2040"), tmp_path / "firmware.elf"),
    ):
        pass


def test_image_that_is_none(tmp_path: Path) -> None:
    elf = tmp_path / "firmware.elf"
    elf.write_text("no image")
    with (
        pytest.raises(McugenError, match=r"cannot read '.*firmware\.elf' as ELF"),
        open_qemu(load_board("stm32f103"), elf),
    ):
        pass


def test_machine_with_less_ram_than_the_board() -> None:
    image = image_for("stm32f103")
    assert image.board.qemu is not None
    small = image.board.qemu.model_copy(update={"ram": 2_560})
    board = image.board.model_copy(update={"qemu": small})
    with (
        pytest.raises(McugenError, match=r"B of RAM, QEMU's stm32vldiscovery has 2,560 B"),
        open_qemu(board, image.report.elf),
    ):
        pass


def test_temporary_folder_with_a_long_name(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with (
        pytest.raises(McugenError, match="set TMPDIR to a shorter path"),
        open_qemu(tiny.board, tiny.elf),
    ):
        pass


def test_missing_qemu_names_its_package(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(McugenError, match="help: sudo apt-get install qemu-system-arm"),
        open_qemu(tiny.board, tiny.elf),
    ):
        pass


def test_argv() -> None:
    machine = Qemu(machine="netduinoplus2", serial=1, note="USART2")
    assert qemu_argv(machine, Path("/x/firmware.elf"), Path("/tmp/line")) == [
        *("qemu-system-arm", "-M", "netduinoplus2", "-nographic", "-monitor", "none"),
        *("-chardev", "socket,id=line,path=/tmp/line", "-serial", "null"),
        *("-serial", "chardev:line", "-kernel", "/x/firmware.elf"),
    ]
