"""Chips that QEMU has no machine for: the image on an emulated core, its registers made of Python.

Each family's clock tree and each serial port is described here once more, from the manuals that the
firmware cites and not from the firmware: what the core's clock and the baud rate really are follows
from the values in the registers alone.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcugen.profile.libraries import libraries
from mcugen.target.boards import Board
from tests.build.images import Image

Read = Callable[[int], int]
"""A register's value by its address, as the core would read it."""

_STEP = 20_000
_PERIPHERALS = (0x4000_0000, 0x2000_0000)
_CORE_BLOCKS = ((0xE000_1000, 0x1000), (0xE000_E000, 0x1000))
_SSI = (0x1800_0000, 0x1000)
_BOOT_RAM = 0x2004_1F00
_AIRCR, _SYSTICK_NOW, _CYCCNT = 0xE000_ED0C, 0xE000_E018, 0xE000_1004
_CCR, _CLIDR, _CCSIDR, _DCISW = 0xE000_ED14, 0xE000_ED78, 0xE000_ED80, 0xE000_EF60
_DATA_CACHE = 1 << 16


@dataclass(frozen=True)
class Port:
    """A serial port: its registers as offsets, and flags in its status."""

    status: int
    receive: int
    send: int
    flags: Callable[[bool], int]
    """The status, by whether a byte has arrived."""
    enabled: Callable[[Read], bool]
    baud: Callable[[Read, float], float]
    """From its registers (by offset) and its clock in Hz."""


def _v1_flags(arrived: bool) -> int:
    return 0xC0 | arrived << 5


PORTS: Mapping[str, Port] = {
    "stm32_usart_v1": Port(
        *(0x00, 0x04, 0x04),
        flags=_v1_flags,
        enabled=lambda read: read(0x0C) & 0x200C == 0x200C,
        baud=lambda read, hz: hz / read(0x08),
    ),
    "stm32_usart_v2": Port(
        *(0x1C, 0x24, 0x28),
        flags=_v1_flags,
        enabled=lambda read: read(0x00) & 0xD == 0xD,
        baud=lambda read, hz: hz / read(0x0C),
    ),
    "pl011": Port(
        *(0x18, 0x00, 0x00),
        flags=lambda arrived: 0x80 | (not arrived) << 4,
        enabled=lambda read: read(0x30) & 0x301 == 0x301 and read(0x2C) & 0x60 == 0x60,
        baud=lambda read, hz: hz / 16 / (read(0x24) + read(0x28) / 64),
    ),
    # Its status is an event of the received byte; that of the sent byte stands at another place.
    "nrf_uart": Port(
        *(0x108, 0x518, 0x51C),
        flags=int,
        enabled=lambda read: read(0x500) == 4 and read(0x008) == 1 == read(0x000),
        baud=lambda read, _: 16e6 * read(0x524) / 2**32,
    ),
}
_NRF_SENT = 0x11C


@dataclass(frozen=True)
class Family:
    """A clock tree.

    `ready` gives the flags that a register shows besides what was written, from that and the other
    registers; `flags` are those the set-up waits for; `reset` are the values that are not 0 after
    reset; `core_hz` and `uart_hz` follow from the registers; `wait_states` are those that are set.
    """

    ready: Mapping[int, Callable[[int, Read], int]]
    core_hz: Callable[[Read, Board], float]
    uart_hz: Callable[[Read, Board], float]
    wait_states: Callable[[Read], int | None]
    flags: tuple[tuple[int, int], ...]
    reset: Mapping[int, int] = field(default_factory=dict)


@dataclass
class Chip:
    """`image` running on its core, connected as a `Line`; flags in `stuck` never come up."""

    image: Image
    family: Family
    stuck: Mapping[int, int] = field(default_factory=dict)
    name: str = "simulated chip"
    faults: list[str] = field(default_factory=list)
    """What the image did that the chip does not allow."""

    def __post_init__(self) -> None:
        self._port = PORTS[self.image.board.uart.driver]
        self._base = self.image.board.uart.base
        self._arrived: deque[int] = deque()
        self._sent = bytearray()
        self._modules = libraries()
        self._engine = self._open()
        self.ticks = 0
        self.cleaned: set[int] = set()
        self._power_on()

    def _open(self) -> Any:
        unicorn, arm = self._modules.unicorn, self._modules.unicorn_arm
        board = self.image.board
        engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        model = board.core.instruction_set.replace("m0plus", "m0").replace("-", "_").upper()
        engine.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_{model}"))
        for memory in (board.memory.flash, board.memory.ram, board.memory.fast):
            if memory is not None:
                engine.mem_map(memory.base, memory.size)
        blocks = (*_CORE_BLOCKS, _PERIPHERALS, *([_SSI] if board.memory.flash.boot_bytes else []))
        for base, size in blocks:
            engine.mmio_map(base, size, self._on_read, base, self._on_write, base)
        engine.mem_write(board.memory.flash.base, self.image.report.binary.read_bytes())
        return engine

    def _power_on(self) -> None:
        """Start as the hardware does: from the vector table, or from the boot stage before it."""
        arm, engine, flash = self._modules.unicorn_arm, self._engine, self.image.board.memory.flash
        self._registers = dict(self.family.reset)
        self._reset_due = False
        table = bytes(engine.mem_read(flash.base, 8))
        stack, self._pc = int.from_bytes(table[:4], "little"), int.from_bytes(table[4:], "little")
        if flash.boot_bytes:
            engine.mem_write(_BOOT_RAM, bytes(engine.mem_read(flash.base, flash.boot_bytes)))
            stack, self._pc = _BOOT_RAM, _BOOT_RAM | 1
        engine.reg_write(arm.UC_ARM_REG_SP, stack)

    def send(self, data: bytes) -> None:
        self._arrived.extend(data)

    def receive(self) -> bytes:
        """What was sent while the core ran some thousand instructions."""
        self._engine.emu_start(self._pc, 0, count=_STEP)
        self._pc = self._engine.reg_read(self._modules.unicorn_arm.UC_ARM_REG_PC) | 1
        if self._reset_due:
            self._power_on()
        sent, self._sent = bytes(self._sent), bytearray()
        return sent

    def close(self) -> None:
        self._engine = None

    def read(self, address: int) -> int:
        """A register as the core reads it, without the side effects of a read."""
        value = self._registers.get(address, 0)
        if address in self.family.ready:
            value |= self.family.ready[address](value, self.read)
        return value & ~self.stuck.get(address, 0)

    @property
    def core_hz(self) -> float:
        return self.family.core_hz(self.read, self.image.board)

    @property
    def baud(self) -> float:
        hz = self.family.uart_hz(self.read, self.image.board)
        hz *= self.image.board.uart.settings.get("ticks_per_clock", 1)
        return self._port.baud(self._port_register, hz)

    def _port_register(self, offset: int) -> int:
        return self.read(self._base + offset)

    def _on_read(self, _: Any, offset: int, __: int, block: int) -> int:
        address = block + offset
        if address in (_SYSTICK_NOW, _CYCCNT):
            return self._counter(address)
        if address == _CLIDR:
            return 3 if self.image.board.core.name == "cortex-m7" else 0
        if address == _CCSIDR:
            return (_sets(self.image.board) - 1) << 13 | 3 << 3 | 1
        if address == self._base + self._port.receive and self._arrived:
            return self._arrived.popleft()
        if address == self._base + self._port.status:
            return self._port.flags(bool(self._arrived))
        return self.read(address)

    def _counter(self, address: int) -> int:
        """Time goes on with every look at it."""
        self.ticks += 64
        return self.ticks if address == _CYCCNT else -self.ticks & 0xFF_FFFF

    def _on_write(self, _: Any, offset: int, __: int, value: int, block: int) -> None:
        address = block + offset
        self._registers[address] = value
        if address == self._base + self._port.send:
            self._send(value)
        elif address == _AIRCR:
            self._reset_due = True
            self._engine.emu_stop()
        elif address == _DCISW:
            self.cleaned.add(value)
        else:
            self._check(address)

    def _send(self, value: int) -> None:
        if not self._port.enabled(self._port_register):
            self.faults.append("a byte for a serial port that is off")
        self._registers[self._base + _NRF_SENT] = 1
        self._sent.append(value & 0xFF)

    def _check(self, address: int) -> None:
        """Full speed needs the flash slowed down first, and a data cache's contents dropped."""
        board = self.image.board
        waits = self.family.wait_states(self.read)
        slow = waits is None or waits >= board.memory.flash.wait_states
        if self.core_hz == board.clock.hz and not slow:
            self.faults.append(f"{self.core_hz} Hz with {waits} wait states")
        starts_cache = address == _CCR and self.read(_CCR) & _DATA_CACHE
        if starts_cache and len(self.cleaned) != 4 * _sets(board):
            self.faults.append(f"cache on with {len(self.cleaned)} lines invalidated")


def _sets(board: Board) -> int:
    """Sets of the core's data cache of four ways."""
    cache = board.memory.flash.data_cache
    assert cache is not None
    return cache.lines // 4
