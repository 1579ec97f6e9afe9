"""Every real board's image on its simulated chip: the host's bytes, and the clock it reports."""

from pathlib import Path

import numpy as np
import pytest

from mcugen.run.device import Device, Timing
from mcugen.run.protocol import ClockSource
from mcugen.run.target import run_on
from mcugen.target.boards import all_boards, load_board
from tests.build.images import image_for
from tests.build.tiny_model import expected_outputs, random_inputs
from tests.run.chip_families import FAMILIES
from tests.run.chips import Chip
from tests.run.trained import trained

_TIMING = Timing(reply_s=20, attempts=2, run_s=60)
#: Sender and receiver may be off by 2 % each and still agree on the last bit; a divider that is
#: rounded to the nearest does better.
_BAUD_TOLERANCE = 0.01
_BOARDS = [board.name for board in all_boards() if board.mcu.family in FAMILIES]


def _chip(name: str, stuck: dict[int, int] | None = None) -> Chip:
    image = image_for(name)
    return Chip(image, FAMILIES[image.board.mcu.family], stuck or {})


def _baud_is_right(chip: Chip) -> bool:
    return abs(chip.baud / chip.image.board.uart.baud - 1) < _BAUD_TOLERANCE


def test_every_family_of_a_real_board_is_simulated() -> None:
    real = {board.mcu.family for board in all_boards() if board.mcu.family != "mps"}
    assert real == FAMILIES.keys()


@pytest.mark.parametrize("name", _BOARDS)
def test_full_speed_and_the_hosts_bytes(name: str) -> None:
    chip, inputs = _chip(name), random_inputs(3)
    with Device(chip, _TIMING, emulated=True) as device:
        run = run_on(device, chip.image.manifest, inputs)
        assert chip.core_hz == chip.image.board.clock.hz
        assert _baud_is_right(chip)
        device.reset()
        again = device.run(inputs[0].tobytes())
        layers = device.layer_cycles()
    np.testing.assert_array_equal(run.outputs, expected_outputs(inputs))
    assert again.output == run.outputs[0].tobytes()
    assert run.identity.clock_hz == chip.image.board.clock.hz
    assert run.identity.clock_source != ClockSource.INTERNAL
    assert run.stack_bytes <= chip.image.report.stack.bytes
    assert all(cycles > 0 for cycles in layers)
    assert chip.faults == []


def test_a_trained_model_on_cortex_m0plus(tmp_path: Path) -> None:
    """The one core that QEMU does not have."""
    model = trained("digits_mlp", "rp2040", tmp_path)
    with Device(Chip(model.image, FAMILIES["rp2040"]), _TIMING, emulated=True) as device:
        assert model.agrees(device)


def test_boot_stage_sets_the_flash_up_for_plain_reads() -> None:
    """RP2040 Datasheet, 4.10.13: command 03h of 8 bits, address of 24, then a word a frame."""
    chip = _chip("rp2040")
    with Device(chip, _TIMING, emulated=True) as device:
        assert device.identify().board == "rp2040"
        registers = {at: chip.read(0x1800_0000 + at) for at in (0x00, 0x04, 0x08, 0x14, 0xF4)}
    assert registers == {0x00: 0x001F_0300, 0x04: 0, 0x08: 1, 0x14: 4, 0xF4: 0x0300_0218}


@pytest.mark.parametrize("name", _BOARDS)
def test_nothing_comes_up(name: str) -> None:
    """The image stays on the oscillator it started with, and says so at the right baud rate."""
    family = FAMILIES[load_board(name).mcu.family]
    stuck: dict[int, int] = {}
    for register, bits in family.flags:
        stuck[register] = stuck.get(register, 0) | bits
    chip = _chip(name, stuck)
    with Device(chip, _TIMING, emulated=True) as device:
        identity = device.identify()
        assert _baud_is_right(chip)
    assert identity.clock_hz == chip.image.board.clock.fallback_hz
    assert identity.clock_source == ClockSource.INTERNAL
    assert chip.faults == []


@pytest.mark.parametrize(
    ("name", "register", "bits"),
    [
        (name, register, bits)
        for name in _BOARDS
        for register, bits in FAMILIES[load_board(name).mcu.family].flags
    ],
)
def test_one_thing_does_not_come_up(name: str, register: int, bits: int) -> None:
    """What the image reports is the clock that the registers say it runs at."""
    chip = _chip(name, {register: bits})
    with Device(chip, _TIMING, emulated=True) as device:
        identity = device.identify()
        assert identity.clock_hz == chip.core_hz
        assert _baud_is_right(chip)
    assert chip.faults == []
