"""Boards: one TOML file each under `boards/`, read into frozen records.

Everything the firmware, the linker, QEMU, the flashers and the cycle model know about a board comes
from here. Addresses and sizes are in bytes, frequencies in hertz.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mcugen.errors import Fault, McugenError, fail
from mcugen.resources import data_root
from mcugen.target.cores import CORES, Core, core_named

#: Identifiers that become file names and C macros; the names of boards are no macros.
_NAME = r"^[a-z][a-z0-9_]*$"
_BOARD_NAME = r"^[a-z][a-z0-9_-]*$"

Name = Annotated[str, Field(pattern=_NAME)]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, lt=2**32)]
Address = Annotated[int, Field(ge=0, lt=2**32)]
Settings = dict[Name, Annotated[int, Field(ge=0, lt=2**32)]]
UsbId = Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]

Runner = Literal[
    "openocd",
    "stlink",
    "pyocd",
    "stm32cubeprogrammer",
    "probe_rs",
    "jlink",
    "picotool",
    "uf2",
    "stm32flash",
]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Identity(_Record):
    """What a person calls the board, and the `vendor:product` ids of its serial port on USB."""

    name: Annotated[str, Field(pattern=_BOARD_NAME, max_length=23)]
    title: Text
    usb: Annotated[tuple[UsbId, ...], Field(strict=False)] = ()
    source: Text


class Mcu(_Record):
    """The chip; `family` names the clock and pin set-up, firmware/mcu/FAMILY.c.

    `uf2_family` is its number in UF2 files, where its boot loader takes them.
    """

    name: Text
    family: Name
    core: str
    fpu: bool
    uf2_family: Address | None = None
    source: Text

    @field_validator("core")
    @classmethod
    def _known_core(cls, core: str) -> str:
        if core not in CORES:
            raise ValueError(f"unknown core '{core}'; known: {', '.join(CORES)}")
        return core


class Clock(_Record):
    """Core clock. Each setting is the family's own and reaches its C as the macro CLOCK_<NAME>."""

    hz: Count
    fallback_hz: Count
    settings: Settings = {}
    source: Text


class Cache(_Record):
    """Lines of a read cache in front of the flash."""

    lines: Count
    line_bytes: Count


class Flash(_Record):
    """Program memory; wait states hold at `clock.hz`, none at the fallback clock.

    `boot_bytes` come before the vector table: firmware/startup/FAMILY_boot.c, and in the last four
    the CRC-32 that the RP2040's boot ROM asks for.
    """

    base: Address
    size: Count
    boot_bytes: Annotated[int, Field(ge=0, le=4096, multiple_of=256)] = 0
    wait_states: Annotated[int, Field(ge=0, le=1023)]
    prefetch: bool
    instruction_cache: Cache | None = None
    data_cache: Cache | None = None
    source: Text


class Ram(_Record):
    """One contiguous RAM."""

    base: Address
    size: Count
    source: Text


class Memory(_Record):
    """Stack, firmware and model share `ram`, unless stack and firmware lie in `fast`: RAM at the
    core's own port, where the model's arena would not fit."""

    flash: Flash
    ram: Ram
    fast: Ram | None = None

    @property
    def own(self) -> Ram:
        """Where stack and variables of the firmware lie."""
        return self.fast or self.ram

    @property
    def ram_size(self) -> int:
        """Bytes of RAM in all."""
        return self.ram.size + (self.fast.size if self.fast else 0)


class Firmware(_Record):
    """RAM that the image keeps for itself, bytes."""

    stack_bytes: Annotated[int, Field(ge=256, multiple_of=8)]
    static_bytes: Count


class Uart(_Record):
    """The serial port; `driver` names firmware/uart/DRIVER.c, settings reach it as UART_<NAME>.

    Without `tx` and `rx` its pins are fixed.
    """

    driver: Name
    base: Address
    tx: Text | None = None
    rx: Text | None = None
    baud: Count
    settings: Settings = {}
    source: Text

    @field_validator("tx", "rx")
    @classmethod
    def _readable_pin(cls, pin: str) -> str:
        pin_numbers(pin)
        return pin


class Qemu(_Record):
    """The closest machine QEMU has; `serial` is the index of its serial port that is our UART,
    `ram` its bytes of RAM where they are fewer than the board's."""

    machine: Text
    serial: Annotated[int, Field(ge=0, le=7)]
    ram: Count | None = None
    note: Text


class Chip(_Record):
    """How a probe tells this chip from others: the word at `address`, under `mask`, is `value`."""

    address: Address
    mask: Address
    value: Address
    source: Text


class OpenOcd(_Record):
    """Configuration files, the interface first; `unlock` erases a protected chip."""

    config: Annotated[tuple[Text, ...], Field(strict=False, min_length=2)]
    transport: Text | None = None
    speed_khz: Count | None = None
    unlock: Text | None = None


class PyOcd(_Record):
    target: Text


class JLink(_Record):
    device: Text


class ProbeRs(_Record):
    chip: Text


class Drive(_Record):
    """The drive that the board shows up as, and the kind of image it takes."""

    label: Text
    image: Literal["uf2", "bin", "hex"]


class BootLoader(_Record):
    """The serial boot loader in ROM: 8 data bits, even parity."""

    baud: Count


class Flashing(_Record):
    """Programs that can write this board's flash, in order of preference, and what each needs."""

    runners: Annotated[tuple[Runner, ...], Field(strict=False, min_length=1)]
    chip: Chip | None = None
    openocd: OpenOcd | None = None
    pyocd: PyOcd | None = None
    jlink: JLink | None = None
    probe_rs: ProbeRs | None = None
    uf2: Drive | None = None
    stm32flash: BootLoader | None = None

    @model_validator(mode="after")
    def _settings_are_there(self) -> "Flashing":
        tables = type(self).model_fields.keys() - {"runners", "chip"}
        for name in sorted(tables):
            if (getattr(self, name) is not None) != (name in self.runners):
                raise ValueError(
                    f"'{name}' needs both a place in runners and a table [flash.{name}]"
                )
        return self


class Board(_Record):
    """One board, whole."""

    board: Identity
    mcu: Mcu
    clock: Clock
    memory: Memory
    firmware: Firmware
    uart: Uart
    qemu: Qemu | None = None
    #: None: it exists in the emulator only.
    flash: Flashing | None = None

    @model_validator(mode="after")
    def _firmware_fits(self) -> "Board":
        if self.firmware.stack_bytes + self.firmware.static_bytes >= self.memory.own.size:
            raise ValueError("the firmware keeps more RAM than the board has")
        return self

    @property
    def name(self) -> str:
        return self.board.name

    @property
    def core(self) -> Core:
        return core_named(self.mcu.core)

    @property
    def ram_reserved(self) -> int:
        """Bytes of `memory.ram` that stack and firmware keep."""
        if self.memory.fast is not None:
            return 0
        return self.firmware.stack_bytes + self.firmware.static_bytes

    @property
    def ram_available(self) -> int:
        """Bytes of RAM that are left for the model's context."""
        return self.memory.ram.size - self.ram_reserved


#: Pins as makers write them: port and number, the range of numbers.
_PINS = (
    (re.compile(r"P([A-K])(\d+)"), range(16)),  # STM32: PA2
    (re.compile(r"P([01])\.(\d+)"), range(32)),  # nRF: P0.06
    (re.compile(r"GP()(\d+)"), range(30)),  # RP2040: GP0
)


def pin_numbers(pin: str) -> tuple[int, int]:
    """Port (A is 0) and number of a pin as its maker writes it: `PA2` is (0, 2), `P1.10` (1, 10).

    Raises:
        ValueError: it is not written in any of the known ways.
    """
    for pattern, numbers in _PINS:
        match = pattern.fullmatch(pin)
        if match is not None and int(match[2]) in numbers:
            port = match[1] or "0"
            return (int(port) if port.isdigit() else ord(port) - ord("A")), int(match[2])
    raise ValueError(f"'{pin}' is no pin; want a port and a number, such as PA2, P0.06 or GP0")


def boards_folder() -> Path:
    return data_root() / "boards"


def read_board(path: Path) -> Board:
    """The board described in `path`.

    Raises:
        McugenError: not TOML, or fields are missing, unknown or wrong: all of them at once.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise fail("target", f"cannot read board file '{path.name}': {error}") from error
    try:
        board = Board.model_validate(document)
    except ValidationError as error:
        raise McugenError("target", [_fault(path, item) for item in error.errors()]) from error
    if board.name != path.stem:
        raise fail(
            "target",
            "board name and file name differ",
            at=path.name,
            got=board.name,
            want=path.stem,
        )
    return board


def _fault(path: Path, item: object) -> Fault:
    """One field's fault: pydantic's words, the field's path, and the value where it is short."""
    assert isinstance(item, dict)
    field = ".".join(str(part) for part in item["loc"])
    value = item.get("input")
    got = repr(value) if isinstance(value, str | int | float | bool) else None
    return Fault(
        f"board file '{path.name}': {item['msg'][:1].lower()}{item['msg'][1:]}", at=field, got=got
    )


def board_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in boards_folder().glob("*.toml")))


def load_board(name: str) -> Board:
    """The board called `name`, or the one that the file `name`, which ends in .toml, describes.

    Raises:
        McugenError: there is no such board, or its file is wrong.
    """
    if name.endswith(".toml"):
        return read_board(Path(name))
    names = board_names()
    if name not in names:
        help_ = f"known boards: {', '.join(names)}; or name a .toml file"
        raise fail("target", f"unknown board '{name}'", help=help_)
    return read_board(boards_folder() / f"{name}.toml")


def all_boards() -> tuple[Board, ...]:
    """Every board, by name.

    Raises:
        McugenError: a board file is wrong.
    """
    return tuple(load_board(name) for name in board_names())
