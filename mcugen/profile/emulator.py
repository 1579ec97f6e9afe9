"""Functions of an ELF, called one by one on an emulated core.

Without hooks the code runs at the emulator's full speed (hundreds of millions of instructions per
second), so that tests can run the C of every core. What Unicorn lets pass and a core would not is
refused here: instructions that the core lacks, from the disassembly. Not seen: LDRD, LDM and
friends at unaligned addresses from Armv7-M on.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from mcugen.errors import Fault, McugenError, fail
from mcugen.profile.disassembly import disassemble
from mcugen.profile.libraries import libraries
from mcugen.profile.program import Program, Segment, read_program
from mcugen.profile.timing import is_legal
from mcugen.target.cores import Core

STACK_BYTES = 64 * 1024
_STACK_END = 0x3000_0000
_STACK_START = _STACK_END - STACK_BYTES
_PAINT = 0xA5C3_5A3C
_PAINTED = struct.pack("<I", _PAINT) * (STACK_BYTES // 4)
#: Where a called function returns to: mapped, empty, never executed.
_STOP = 0x3000_0000
_PAGE = 4096
#: Far above any model: 10 s or so of full speed.
INSTRUCTION_LIMIT = 4_000_000_000

#: r4 to r11 at entry; a function that returns with other values breaks the call standard (AAPCS32,
#: 6.1.1).
_PRESERVED = tuple(0x0404_0404 * number for number in range(1, 9))

#: `(engine, address, size, _)` for every basic block, before it runs.
BlockHook = Callable[[Any, int, int, Any], None]
#: `(engine, access, address, size, value, _)` for every load, while its block runs.
ReadHook = Callable[[Any, int, int, int, int, Any], None]


def check_instructions(program: Program, core: Core) -> None:
    """Disassemble all code of `program`.

    Raises:
        McugenError: instructions that `core` does not have, one fault each.
    """
    faults = [
        Fault(
            f"{core.name} has no instruction '{item.text}'",
            at=f"{program.function_at(item.address)} at {item.address:#010x}",
        )
        for span in program.code
        for item in disassemble(program.bytes_at(span), span.start)
        if not is_legal(item, core)
    ]
    if faults:
        raise McugenError("profile", faults)


class Emulator:
    """One program in memory on one core.

    Memory keeps its contents from call to call; the program's own start-up code never runs.
    """

    def __init__(
        self, elf: Path, core: Core, *, instruction_limit: int = INSTRUCTION_LIMIT
    ) -> None:
        """Load the segments of `elf` at the addresses they run at.

        Raises:
            McugenError: no ELF for Arm, an instruction that `core` lacks, or Unicorn is not
                installed.
        """
        self.program = read_program(elf)
        self.core = core
        self._limit = instruction_limit
        check_instructions(self.program, core)
        modules = libraries()
        self._unicorn, self._arm = modules.unicorn, modules.unicorn_arm
        self._engine = self._open()
        self._load()
        self._fault = ""

    def _open(self) -> Any:
        # UC_MODE_MCLASS would silently select a Cortex-M33, whatever model is set.
        engine = self._unicorn.Uc(self._unicorn.UC_ARCH_ARM, self._unicorn.UC_MODE_THUMB)
        # Unicorn has no Cortex-M0+; its instruction set is the Cortex-M0's.
        model = self.core.instruction_set.replace("m0plus", "m0").replace("-", "_").upper()
        engine.ctl_set_cpu_model(getattr(self._arm, f"UC_CPU_ARM_{model}"))
        return engine

    def _load(self) -> None:
        for start, end, rights in _pages(self.program.segments):
            self._engine.mem_map(start, end - start, rights)
        for segment in self.program.segments:
            self._engine.mem_write(segment.address, segment.data)
        self._engine.mem_map(_STACK_START, STACK_BYTES)
        self._engine.mem_map(_STOP, _PAGE)

    def call(self, symbol: str, *arguments: int) -> int:
        """Call function `symbol` with up to four words and return r0, unsigned.

        Raises:
            McugenError: no such symbol, a memory fault, an exception of the core, more instructions
                than the limit, or registers not restored; with the function it happened in.
        """
        if len(arguments) > 4:
            raise fail("profile", f"'{symbol}' called with more than four words")
        arm, engine = self._arm, self._engine
        engine.mem_write(_STACK_START, _PAINTED)
        for offset, word in enumerate(arguments):
            engine.reg_write(arm.UC_ARM_REG_R0 + offset, word & 0xFFFF_FFFF)
        for offset, word in enumerate(_PRESERVED):
            engine.reg_write(arm.UC_ARM_REG_R4 + offset, word)
        engine.reg_write(arm.UC_ARM_REG_SP, _STACK_END)
        engine.reg_write(arm.UC_ARM_REG_LR, _STOP | 1)
        self._fault = ""
        entry = self.program.address_of(symbol) | 1
        # Left in place, the hook would tie engine and emulator into a cycle that waits for a full
        # garbage collection, and an engine reserves a gigabyte of address space.
        handle = engine.hook_add(self._unicorn.UC_HOOK_MEM_INVALID, self._on_invalid)
        try:
            engine.emu_start(entry, _STOP, count=self._limit)
        except self._unicorn.UcError as error:
            raise self._stopped(symbol, self._fault or str(error)) from error
        finally:
            engine.hook_del(handle)
        self._check_return(symbol)
        return int(engine.reg_read(arm.UC_ARM_REG_R0))

    def _check_return(self, symbol: str) -> None:
        arm, engine = self._arm, self._engine
        if engine.reg_read(arm.UC_ARM_REG_PC) != _STOP:
            raise self._stopped(symbol, f"no return within {self._limit} instructions")
        kept = tuple(engine.reg_read(arm.UC_ARM_REG_R4 + offset) for offset in range(8))
        if kept != _PRESERVED or engine.reg_read(arm.UC_ARM_REG_SP) != _STACK_END:
            raise fail(
                "profile", f"'{symbol}' returned without restoring r4 to r11 and sp", got=f"{kept}"
            )

    def _stopped(self, symbol: str, reason: str) -> McugenError:
        pc = self._engine.reg_read(self._arm.UC_ARM_REG_PC)
        return fail(
            "profile",
            f"call of '{symbol}' on {self.core.name} did not end: {reason}",
            at=f"{self.program.function_at(pc)} at {pc:#010x}",
        )

    def _on_invalid(self, _: Any, access: int, address: int, size: int, *__: Any) -> bool:
        unicorn = self._unicorn
        writes = (unicorn.UC_MEM_WRITE_UNMAPPED, unicorn.UC_MEM_WRITE_PROT)
        reads = (unicorn.UC_MEM_READ_UNMAPPED, unicorn.UC_MEM_READ_PROT)
        kind = "write" if access in writes else "read" if access in reads else "fetch"
        self._fault = f"memory fault, {kind} of {size} bytes at {address:#010x}"
        return False

    def stack_peak_bytes(self) -> int:
        """Stack of the last call in bytes, down to the deepest word that it wrote."""
        painted = self._engine.mem_read(_STACK_START, STACK_BYTES)
        words = memoryview(bytes(painted)).cast("I")
        for index, word in enumerate(words):
            if word != _PAINT:
                return STACK_BYTES - 4 * index
        return 0

    def read(self, place: int | str, size: int) -> bytes:
        """`size` bytes at an address or symbol.

        Raises:
            McugenError: no such symbol, or nothing is mapped there.
        """
        address = self._address(place)
        try:
            return bytes(self._engine.mem_read(address, size))
        except self._unicorn.UcError as error:
            raise fail("profile", f"no memory of {size} bytes at {address:#010x}") from error

    def write(self, place: int | str, data: bytes) -> None:
        """Put `data` at an address or symbol, read-only memory included.

        Raises:
            McugenError: no such symbol, or nothing is mapped there.
        """
        address = self._address(place)
        try:
            self._engine.mem_write(address, data)
        except self._unicorn.UcError as error:
            raise fail("profile", f"no memory of {len(data)} bytes at {address:#010x}") from error

    def _address(self, place: int | str) -> int:
        return self.program.address_of(place) if isinstance(place, str) else place

    def return_address(self) -> int:
        """LR without the Thumb bit: in a block hook at a function's entry, where it returns to."""
        return int(self._engine.reg_read(self._arm.UC_ARM_REG_LR)) & ~1

    def hooks(
        self, block: BlockHook, read: ReadHook | None = None, memory: range | None = None
    ) -> AbstractContextManager[None]:
        """Have `block` called for every basic block, and `read` for every load from `memory`."""
        unicorn = self._unicorn
        wanted: list[tuple[Any, ...]] = [(unicorn.UC_HOOK_BLOCK, block)]
        if read is not None and memory is not None:
            span = (memory.start, memory.stop - 1)
            wanted.append((unicorn.UC_HOOK_MEM_READ, read, None, *span))
        return self._hooked(wanted)

    def at_entry(
        self, symbols: Iterable[str], entered: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """Have `entered` called whenever one of these functions begins, at almost full speed.

        Raises:
            McugenError: no such symbol.
        """
        places = {self.program.address_of(symbol) & ~1 for symbol in symbols}
        kind = self._unicorn.UC_HOOK_CODE
        return self._hooked([(kind, lambda *_: entered(), None, at, at) for at in places])

    @contextmanager
    def _hooked(self, wanted: Iterable[tuple[Any, ...]]) -> Iterator[None]:
        """`wanted` are arguments of Unicorn's `hook_add`."""
        handles = [self._engine.hook_add(*arguments) for arguments in wanted]
        # Blocks translated before a hook was added would run without it.
        self._engine.ctl_flush_tb()
        try:
            yield
        finally:
            for handle in handles:
                self._engine.hook_del(handle)


def _pages(segments: tuple[Segment, ...]) -> list[tuple[int, int, int]]:
    """Disjoint page ranges over `segments`: start, end, rights (1 read, 2 write, 4 execute)."""
    ranges: list[tuple[int, int, int]] = []
    for segment in sorted(segments, key=lambda item: item.address):
        start = segment.address // _PAGE * _PAGE
        end = -(-segment.end // _PAGE) * _PAGE
        rights = segment.readable | segment.writable << 1 | segment.executable << 2
        if ranges and start < ranges[-1][1]:
            first, last, shared = ranges.pop()
            start, end, rights = first, max(last, end), shared | rights
        ranges.append((start, end, rights))
    return ranges
