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

#: Identifiers that become file names and C macros.
_NAME = r"^[a-z][a-z0-9_]*$"

Name = Annotated[str, Field(pattern=_NAME)]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, lt=2**32)]
Address = Annotated[int, Field(ge=0, lt=2**32)]
Settings = dict[Name, Annotated[int, Field(ge=0, lt=2**32)]]
UsbId = Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]
Names = Annotated[tuple[Text, ...], Field(strict=False)]

Runner = Literal["openocd", "stlink", "pyocd", "stm32cubeprogrammer"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Identity(_Record):
    """What a person calls the board, and the `vendor:product` ids of its serial port on USB."""

    name: Annotated[str, Field(pattern=_NAME, max_length=23)]
    title: Text
    usb: Annotated[tuple[UsbId, ...], Field(strict=False)] = ()
    source: Text


class Mcu(_Record):
    """The chip; `family` names the clock and pin set-up, firmware/mcu/FAMILY.c."""

    name: Text
    family: Name
    core: str
    fpu: bool
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
    settings: Settings
    source: Text


class Cache(_Record):
    """Lines of a read cache in front of the flash."""

    lines: Count
    line_bytes: Count


class Flash(_Record):
    """Program memory; wait states hold at `clock.hz`, none at the fallback clock."""

    base: Address
    size: Count
    wait_states: Annotated[int, Field(ge=0, le=63)]
    prefetch: bool
    instruction_cache: Cache | None = None
    data_cache: Cache | None = None
    source: Text


class Ram(_Record):
    """The contiguous RAM that stack, firmware and model share."""

    base: Address
    size: Count
    source: Text


class Memory(_Record):
    flash: Flash
    ram: Ram


class Firmware(_Record):
    """RAM that the image keeps for itself, bytes."""

    stack_bytes: Annotated[int, Field(ge=256, multiple_of=8)]
    static_bytes: Count


class Uart(_Record):
    """The serial port; `driver` names firmware/uart/DRIVER.c, settings reach it as UART_<NAME>."""

    driver: Name
    base: Address
    tx: Text
    rx: Text
    baud: Count
    settings: Settings
    source: Text

    @field_validator("tx", "rx")
    @classmethod
    def _readable_pin(cls, pin: str) -> str:
        pin_numbers(pin)
        return pin


class Qemu(_Record):
    """The closest machine QEMU has; `serial` is the index of its serial port that is our UART."""

    machine: Text
    serial: Annotated[int, Field(ge=0, le=7)]
    note: Text


class OpenOcd(_Record):
    config: Names


class Flashing(_Record):
    """Programs that can write this board's flash, in order of preference."""

    runners: Annotated[tuple[Runner, ...], Field(strict=False)]
    openocd: OpenOcd | None = None


class Board(_Record):
    """One board, whole."""

    board: Identity
    mcu: Mcu
    clock: Clock
    memory: Memory
    firmware: Firmware
    uart: Uart
    qemu: Qemu | None = None
    flash: Flashing

    @model_validator(mode="after")
    def _firmware_fits(self) -> "Board":
        if self.ram_reserved >= self.memory.ram.size:
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
        """Bytes of RAM that stack and firmware keep."""
        return self.firmware.stack_bytes + self.firmware.static_bytes

    @property
    def ram_available(self) -> int:
        """Bytes of RAM that are left for the model's context."""
        return self.memory.ram.size - self.ram_reserved


def pin_numbers(pin: str) -> tuple[int, int]:
    """Port (A is 0) and number of a pin written the STM32 way: `PA2` is (0, 2).

    Raises:
        ValueError: it is not written that way.
    """
    match = re.fullmatch(r"P([A-K])(1[0-5]|[0-9])", pin)
    if match is None:
        raise ValueError(f"'{pin}' is no pin; want a port and a number, such as PA2")
    return ord(match[1]) - ord("A"), int(match[2])


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
    """The board called `name`.

    Raises:
        McugenError: there is no such board, or its file is wrong.
    """
    names = board_names()
    if name not in names:
        raise fail("target", f"unknown board '{name}'", help=f"known boards: {', '.join(names)}")
    return read_board(boards_folder() / f"{name}.toml")


def all_boards() -> tuple[Board, ...]:
    """Every board, by name.

    Raises:
        McugenError: a board file is wrong.
    """
    return tuple(load_board(name) for name in board_names())
