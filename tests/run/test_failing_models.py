"""Models that never end, or that crash the processor: an error in time, and the next run works."""

from pathlib import Path

import pytest

from mcugen.build.firmware import build_firmware
from mcugen.errors import McugenError
from mcugen.run.device import Device, Timing
from mcugen.run.qemu import open_qemu
from mcugen.target.boards import load_board
from tests.build.tiny_model import write_tiny_model

_HANGS = (1).to_bytes(16, "little")
_FAULTS = (2).to_bytes(16, "little")
_WORKS = (3).to_bytes(16, "little")

_TRAPS = """
    const volatile uint32_t *const kind = net->arena;
    while (*kind == 1u) {
    }
    if (*kind == 2u) {
        *(volatile uint32_t *)0x60000000u = 1u;
    }
    LAYER(0u);"""


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traps")
    write_tiny_model(folder, edits={"\n    LAYER(0u);": _TRAPS})
    return build_firmware(folder, load_board("stm32f446")).elf


def _run(device: Device, data: bytes) -> int:
    return len(device.run(data).output)


def test_a_model_that_hangs(elf: Path) -> None:
    board = load_board("stm32f446")
    with (
        open_qemu(board, elf, Timing(reply_s=0.2, run_s=0.6)) as device,
        pytest.raises(McugenError, match="no answer from the board on QEMU"),
    ):
        _run(device, _HANGS)
    with open_qemu(board, elf) as device:
        assert _run(device, _WORKS) == 16


def test_a_model_that_crashes(elf: Path) -> None:
    """The fault handler restarts the board, which has lost its input and says so."""
    with open_qemu(load_board("stm32f446"), elf) as device:
        with pytest.raises(McugenError, match="it refuses 'run': its input is not the one"):
            _run(device, _FAULTS)
        assert _run(device, _WORKS) == 16
