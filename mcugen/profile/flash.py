"""Cycles lost to slow flash: an estimate, kept apart from the cycle model.

The model is the STM32F4's accelerator (RM0390, 3.4.2), with its sizes as data:

* flash is read a line at a time, and a read stalls the core for `wait_states` cycles;
* the current line is free, and so is a line in the instruction cache (fully associative, least
  recently used leaves);
* with `prefetch`, entering a line starts the read of the next one, which is ready `wait_states + 1`
  cycles later; what is left of that time when the core gets there is the stall. Only lines that
  missed go into the cache, not prefetched ones;
* data reads (weights, tables, literals) have their own lines, handled alike and without prefetch;
* instruction and data reads do not wait for each other, RAM never waits, a block is fetched before
  its data is read.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from mcugen.errors import fail
from mcugen.profile.emulator import Emulator
from mcugen.profile.trace import Blocks
from mcugen.target.boards import Flash

_BUS_BYTES = 4


@dataclass(frozen=True)
class FlashModel:
    """Flash and the buffers in front of it. STM32F446 at 180 MHz: 5, 16, 64, 8, with prefetch."""

    wait_states: int
    line_bytes: int
    instruction_lines: int
    """0: no instruction cache."""
    data_lines: int
    """0: no data cache, each load reads the flash."""
    prefetch: bool


def flash_model(flash: Flash) -> FlashModel:
    """The model of a board's flash; without caches it is read a bus word at a time.

    Raises:
        McugenError: caches with lines of different sizes, which this model does not have.
    """
    caches = (flash.instruction_cache, flash.data_cache)
    widths = {cache.line_bytes for cache in caches if cache}
    if len(widths) > 1:
        raise fail("profile", "flash caches with lines of different sizes", got=f"{sorted(widths)}")
    instructions, data = (cache.lines if cache else 0 for cache in caches)
    width = widths.pop() if widths else _BUS_BYTES
    return FlashModel(flash.wait_states, width, instructions, data, flash.prefetch)


class LineCache:
    """Which lines are held; the least recently used one makes room."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._held: OrderedDict[int, None] = OrderedDict()

    def holds(self, line: int) -> bool:
        """Whether `line` is held, which counts as a use of it."""
        if line in self._held:
            self._held.move_to_end(line)
            return True
        return False

    def insert(self, line: int) -> None:
        self._held[line] = None
        if len(self._held) > self._lines:
            self._held.popitem(last=False)


class FlashSimulator:
    """Time of one run, from its blocks and loads in order; `cycles` grows as they come."""

    def __init__(self, model: FlashModel, memory: range, blocks: Blocks) -> None:
        """`memory`: the addresses that are flash."""
        self.cycles = 0
        self._model = model
        self._memory = memory
        self._blocks = blocks
        self._instructions = LineCache(model.instruction_lines)
        self._data = LineCache(model.data_lines)
        self._line = -1
        self._prefetched = -1
        self._prefetch_ready = 0
        self._previous: tuple[int, int] | None = None
        self._runs: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def on_block(self, _: Any, address: int, size: int, __: Any) -> None:
        self._leave(address)
        for line, cycles in self._lines_of(address, size):
            self._fetch(line)
            self.cycles += cycles
        self._previous = (address, size)

    def on_read(self, _: Any, __: int, address: int, size: int, *___: Any) -> None:
        width = self._model.line_bytes
        for line in range(address // width, (address + size - 1) // width + 1):
            if not self._data.holds(line):
                self._data.insert(line)
                self.cycles += self._model.wait_states

    def end(self) -> None:
        """Account for the return of the last block."""
        self._leave(-1)

    def _leave(self, following: int) -> None:
        if self._previous is not None:
            self.cycles += self._blocks.transition(self._blocks.at(*self._previous), following)

    def _lines_of(self, address: int, size: int) -> list[tuple[int, int]]:
        """The block's lines in order, with the cycles of the instructions that begin in each."""
        key = (address, size)
        if key not in self._runs:
            runs: dict[int, int] = {}
            for start, cycles in self._blocks.at(address, size).costs:
                line = start // self._model.line_bytes
                runs[line] = runs.get(line, 0) + cycles
            self._runs[key] = list(runs.items())
        return self._runs[key]

    def _fetch(self, line: int) -> None:
        model = self._model
        if line == self._line or line * model.line_bytes not in self._memory:
            return
        if line == self._prefetched:
            self.cycles += max(0, self._prefetch_ready - self.cycles)
        elif not self._instructions.holds(line):
            self.cycles += model.wait_states
            self._instructions.insert(line)
        self._line = line
        if model.prefetch:
            self._prefetched = line + 1
            self._prefetch_ready = self.cycles + model.wait_states + 1


def flash_cycles(emulator: Emulator, model: FlashModel, symbol: str, *arguments: int) -> int:
    """Cycles of a call of `symbol` whose code and constants lie in flash like `model`, caches cold.

    Raises:
        McugenError: as `Emulator.call`.
    """
    constant = [item for item in emulator.program.segments if not item.writable]
    memory = range(
        min(item.address for item in constant) // model.line_bytes * model.line_bytes,
        max(item.end for item in constant),
    )
    simulator = FlashSimulator(model, memory, Blocks(emulator))
    with emulator.hooks(simulator.on_block, simulator.on_read, memory):
        emulator.call(symbol, *arguments)
    simulator.end()
    return simulator.cycles
