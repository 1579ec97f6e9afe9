"""The outputs of a whole plane (see `windows`) as assembly for Armv7-M and later.

The function takes the first output, the first byte of the plane and the parameters of the channel.
Tiles of two outputs along the lines and of several across them fill the plane; what is left takes
smaller tiles.
"""

from dataclasses import dataclass, replace
from functools import cached_property

from mcugen.kernels.straight.accesses import joined
from mcugen.kernels.straight.allocate import Allocation, Apply, Instruction, Reload, Spill, allocate
from mcugen.kernels.straight.gates import Kind
from mcugen.kernels.straight.multiplied import KEPT, Bytes
from mcugen.kernels.straight.windows import Windows, tile

#: Where output and input are throughout; the rest computes, and counts between tiles.
_OUT, _X, _PARAMETERS, _COUNT = "r0", "r1", "r2", "r3"
_REGISTERS = (KEPT, "r12", "r11", "r10", "r9", "r8", "r7", "r6", "r5", "r4", "r3", "r2")
#: What the stack holds above spilled values and the parameters: tiles and bands left, where the
#: band begins.
_HOMES = ("tiles", "bands", "out", "x")
#: Registers that carry parameters to the stack.
_CARRIED = 9
#: What one addition takes, and what a load or store reaches.
FARTHEST = 4095
_PAIR = 2


@dataclass(frozen=True)
class Plane:
    """Tiles of up to `rows` outputs across the lines; `signed`: bytes are int8, else uint8."""

    windows: Windows
    signed: bool
    signed_out: bool
    rows: int

    @property
    def bands(self) -> list[tuple[int, int]]:
        """Outputs across the lines in the tiles of a band, and how many such bands there are."""
        return _parts(self.windows.across.outputs, self.rows)

    @property
    def row(self) -> list[tuple[int, int]]:
        """Outputs along the lines in the tiles of a band, and how many such tiles there are."""
        return _parts(self.windows.along.outputs, _PAIR)

    @cached_property
    def _tiles(self) -> dict[tuple[int, int], Allocation]:
        sizes = [(rows, columns) for rows, _ in self.bands for columns, _ in self.row]
        pinned = {"out": _OUT, "x": _X}
        free = _REGISTERS[1:] if self.windows.late else _REGISTERS
        made = {size: allocate(tile(self.windows, *size), free, pinned=pinned) for size in sizes}
        return {
            size: replace(it, instructions=joined(it.instructions)) for size, it in made.items()
        }

    @property
    def reach(self) -> int:
        """The farthest byte from where it is that an instruction asks for."""
        windows, rows = self.windows, self.bands[0][0]
        last = (windows.across.span(rows) - 1) * windows.line + windows.along.span(_PAIR)
        put = (rows - 1) * windows.across.pitch + (_PAIR - 1) * windows.along.pitch
        return max(last, put, 4 * (self._slots + windows.words + len(_HOMES)))

    @cached_property
    def lines(self) -> list[str]:
        """The function's body."""
        frame = 4 * (self._slots + self.windows.words + len(_HOMES))
        bands = [line for rows, count in self.bands for line in self._band(rows, count)]
        begin = ["push {r4-r11, lr}", f"sub sp, #{frame}", *self._carry()]
        return [*begin, *bands, f"add sp, #{frame}", "pop {r4-r11, pc}"]

    def _carry(self) -> list[str]:
        """Bring the parameters to the stack, so that no register needs to say where they are."""
        lines = [f"add {_COUNT}, sp, #{4 * self._slots}"]
        for part, count in _parts(self.windows.words, _CARRIED):
            registers = f"{{r4-r{3 + part}}}" if part > 1 else "{r4}"
            lines += [f"ldm {_PARAMETERS}!, {registers}", f"stm {_COUNT}!, {registers}"] * count
        return lines

    @property
    def cycles(self) -> int:
        """Cycles of the function on Cortex-M4, or M3, within a hundredth."""
        total = 40 + 2 * self.windows.words
        for rows, bands in self.bands:
            band = 20
            for columns, tiles in self.row:
                band += tiles * (_cycles(self._tile(rows, columns, tiles)) + 3)
            total += bands * band
        return total

    @property
    def _slots(self) -> int:
        return max(item.slots for item in self._tiles.values())

    def _home(self, name: str) -> str:
        return f"[sp, #{4 * (self._slots + self.windows.words + _HOMES.index(name))}]"

    def _band(self, rows: int, count: int) -> list[str]:
        across = self.windows.across
        tiles = [line for columns, tiles in self.row for line in self._run(rows, columns, tiles)]
        return [
            *self._counting("bands", count),
            "1:",
            f"str {_OUT}, {self._home('out')}",
            f"str {_X}, {self._home('x')}",
            *tiles,
            f"ldr {_OUT}, {self._home('out')}",
            f"ldr {_X}, {self._home('x')}",
            *_advance(_OUT, rows * across.pitch),
            *_advance(_X, rows * across.stride * self.windows.line),
            *(self._counted("bands", 1) if count > 1 else []),
        ]

    def _run(self, rows: int, columns: int, count: int) -> list[str]:
        """So many tiles beside each other."""
        body = self._tile(rows, columns, count)
        return [*self._counting("tiles", count), "2:", *body] if count > 1 else body

    def _counting(self, name: str, count: int) -> list[str]:
        if count == 1:
            return []
        return [f"movw {_COUNT}, #{count}", f"str {_COUNT}, {self._home(name)}"]

    def _counted(self, name: str, label: int) -> list[str]:
        home = self._home(name)
        return [
            f"ldr {_COUNT}, {home}",
            f"subs {_COUNT}, #1",
            f"str {_COUNT}, {home}",
            f"bne.w {label}b",
        ]

    def _tile(self, rows: int, columns: int, count: int) -> list[str]:
        """A tile of `count`; what counts them is loaded behind the last output."""
        along = self.windows.along
        load, *counted = self._counted("tiles", 2)
        return [
            *(
                line
                for item in self._tiles[rows, columns].instructions
                for line in self._line(item)
            ),
            *([load] if count > 1 else []),
            *_advance(_OUT, columns * along.pitch),
            *_advance(_X, columns * along.stride),
            *(counted if count > 1 else []),
        ]

    def _line(self, item: Instruction) -> list[str]:
        if isinstance(item, Spill):
            return [f"str {item.register}, [sp, #{4 * item.slot}]"]
        if isinstance(item, Reload):
            return [f"ldr {item.register}, [sp, #{4 * item.slot}]"]
        assert isinstance(item, Apply)
        if item.gate.kind is Kind.PARAMETER:
            return [f"ldr {item.results[0]}, [sp, #{4 * (self._slots + item.gate.index)}]"]
        result = item.results[0] if item.results else ""
        return Bytes(self.signed, self.signed_out, self.windows.late).lines(
            item.gate, result, item.operands
        )


def _parts(outputs: int, size: int) -> list[tuple[int, int]]:
    whole, rest = divmod(outputs, size)
    return [(part, count) for part, count in ((size, whole), (rest, 1)) if part and count]


def _advance(register: str, bytes_: int) -> list[str]:
    steps = [FARTHEST] * (bytes_ // FARTHEST) + [bytes_ % FARTHEST]
    return [f"add {register}, {register}, #{step}" for step in steps if step]


def _cycles(lines: list[str]) -> int:
    """Cycles of straight lines: a load takes two, or one behind another load or a store.

    A long product takes four where there is no SMMLA.
    """
    total, behind = 0, False
    for line in lines:
        load = line.startswith("ldr")
        slow = 2 if line.startswith("mla ") or (load and not behind) else 1
        total += 4 if line.startswith("smull") else slow
        behind = load or line.startswith("str")
    return total
