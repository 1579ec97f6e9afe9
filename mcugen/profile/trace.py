"""Which blocks ran, how often, and what they cost.

A hook counts edges (block, address it continued at) and nothing else; costs are added up
afterwards, one multiplication per distinct edge. A block's refill belongs to the function that
branched.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mcugen.profile.disassembly import disassemble
from mcugen.profile.emulator import Emulator
from mcugen.profile.timing import SINGLE_ACCESSES, SINGLE_LOADS, TIMINGS

#: Address and size in bytes of a block, and the address that ran next.
Edge = tuple[int, int, int]


@dataclass(frozen=True)
class Counts:
    """What one stretch of execution took."""

    instructions: int = 0
    cycles: int = 0
    taken_branches: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.instructions + other.instructions,
            self.cycles + other.cycles,
            self.taken_branches + other.taken_branches,
        )


@dataclass(frozen=True)
class Block:
    """A run of instructions with one entry, as the emulator split them."""

    end: int
    costs: tuple[tuple[int, int], ...]
    """Address and cycles of each instruction."""
    cycles: int
    ends_with_access: bool


class Blocks:
    """The program's blocks, disassembled on first use."""

    def __init__(self, emulator: Emulator) -> None:
        self.timing = TIMINGS[emulator.core.name]
        self._emulator = emulator
        self._blocks: dict[tuple[int, int], Block] = {}
        self._loads: dict[int, bool] = {}

    def at(self, address: int, size: int) -> Block:
        """The block of `size` bytes at `address`."""
        key = (address, size)
        if key not in self._blocks:
            self._blocks[key] = self._analyse(address, size)
        return self._blocks[key]

    def _analyse(self, address: int, size: int) -> Block:
        instructions = list(disassemble(self._emulator.read(address, size), address))
        accesses = [item.name in SINGLE_ACCESSES for item in instructions]
        costs = tuple(
            (item.address, self.timing.cycles(item, after_access=after))
            for item, after in zip(instructions, [False, *accesses], strict=False)
        )
        return Block(
            end=address + size,
            costs=costs,
            cycles=sum(cycles for _, cycles in costs),
            ends_with_access=accesses[-1],
        )

    def transition(self, block: Block, following: int) -> int:
        """Cycles between `block` and what runs next: a refill, or an overlap of loads across the
        seam.

        Blocks also end where nothing branches (at a page, say), and there a load pipelines as
        anywhere else.
        """
        if following != block.end:
            return self.timing.refill
        if block.ends_with_access and self._starts_with_load(following):
            return self.timing.load_after_access - self.timing.load
        return 0

    def _starts_with_load(self, address: int) -> bool:
        if address not in self._loads:
            first = next(disassemble(self._emulator.read(address, 4), address))
            self._loads[address] = first.name in SINGLE_LOADS
        return self._loads[address]

    def cost(self, edge: Edge, times: int) -> Counts:
        """What `times` passes over `edge` took."""
        address, size, following = edge
        block = self.at(address, size)
        return Counts(
            instructions=times * len(block.costs),
            cycles=times * (block.cycles + self.transition(block, following)),
            taken_branches=times * (following != block.end),
        )


@dataclass(frozen=True)
class Trace:
    """What one call executed."""

    total: Counts
    regions: tuple[Counts, ...]
    """One for each call of a watched function, callees included, in order."""
    entered: tuple[int, ...]
    """The address of the watched function, for each region."""
    functions: Mapping[str, Counts]
    """By function, callees not included."""


class _Recorder:
    def __init__(self, emulator: Emulator, entries: Iterable[int]) -> None:
        self._emulator = emulator
        self._entries = frozenset(entries)
        self._watched = self._entries
        self.outside: Counter[Edge] = Counter()
        self.inside: list[Counter[Edge]] = []
        self.entered: list[int] = []
        self._edges = self.outside
        self._address = self._size = 0

    def on_block(self, _: Any, address: int, size: int, __: Any) -> None:
        if self._size:
            self._edges[self._address, self._size, address] += 1
        if address in self._watched:
            self._cross(address)
        self._address, self._size = address, size

    def _cross(self, address: int) -> None:
        """Enter a watched function, or come back from one: they do not nest."""
        if self._edges is self.outside:
            self._edges = Counter()
            self.inside.append(self._edges)
            self.entered.append(address)
            self._watched = frozenset((self._emulator.return_address(),))
        else:
            self._edges = self.outside
            self._watched = self._entries

    def end(self) -> None:
        """Count the last block, which left the program: its return is a taken branch."""
        self._edges[self._address, self._size, -1] += 1


class Tracer:
    """Calls functions and counts what they execute; blocks once disassembled are kept."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._blocks = Blocks(emulator)

    def call(self, symbol: str, *arguments: int, watch: Iterable[int] = ()) -> Trace:
        """Call `symbol`. `watch`: entry addresses of functions that get a region of their own.

        Raises:
            McugenError: as `Emulator.call`.
        """
        recorder = _Recorder(self._emulator, watch)
        with self._emulator.hooks(recorder.on_block):
            self._emulator.call(symbol, *arguments)
        recorder.end()
        return self._add_up(recorder)

    def _add_up(self, recorder: _Recorder) -> Trace:
        sums: list[Counts] = []
        functions: dict[str, Counts] = {}
        for edges in (recorder.outside, *recorder.inside):
            sums.append(Counts())
            for edge, times in edges.items():
                cost = self._blocks.cost(edge, times)
                sums[-1] += cost
                name = self._emulator.program.function_at(edge[0])
                functions[name] = functions.get(name, Counts()) + cost
        return Trace(
            total=sum(sums, Counts()),
            regions=tuple(sums[1:]),
            entered=tuple(recorder.entered),
            functions=functions,
        )
