"""The network of a few neighbouring outputs of one channel: bytes times weights, requantized.

The channel lies alone in memory, line by line, what stands for padding included (a *plane*). A word
of four bytes becomes two words of numbers, bytes 0 and 2 and bytes 1 and 3, so that two taps that
lie two bytes apart take one instruction:

    out[0] = x0·w0 + x2·w2  +  x1·w1        out[1] = x1·w0 + x3·w2  +  x2·w1

Lines come one after the other, each to all outputs that it has a part in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from mcugen.kernels.straight.gates import Gate, Network

_WORD = 4
#: Word and parity of two numbers, and the half of one that comes alone.
_Key = tuple[int, int, int]


@dataclass(frozen=True)
class Reach:
    """Windows along one axis of a plane."""

    size: int
    stride: int
    dilation: int
    outputs: int
    pitch: int
    """Bytes from an output to the next in the result."""

    def span(self, outputs: int) -> int:
        """Positions that `outputs` windows reach."""
        return (outputs - 1) * self.stride + (self.size - 1) * self.dilation + 1


@dataclass(frozen=True)
class Tap:
    """A weight: its line and its place along it."""

    line: int
    along: int


@dataclass(frozen=True)
class Windows:
    """The windows of one channel."""

    across: Reach
    along: Reach
    line: int
    """Bytes of a line of the plane."""
    columns: int
    """Numbers that a sum is finished with (see `finish`): two of them, or three with a shift."""
    shift: int = 0
    """The last shift, where there are two."""
    late: int = 0
    """Bits that sums are shifted up by before they are finished, on cores where products are
    crossed (see `mcugen.kernels.crossed`); 0: weights were, and SMLAD multiplies."""

    @property
    def words(self) -> int:
        """Words of the parameters of a channel."""
        return self.head + len(self.weights)

    @property
    def head(self) -> int:
        """Those ahead of the weights: where sums start, and what finishes them."""
        return 1 + self.columns

    @cached_property
    def weights(self) -> tuple[tuple[Tap, Tap | None], ...]:
        """Taps in both halves of each word of weights; crossed ones have a word of their own for
        what meets one number."""
        pairs: list[tuple[Tap, Tap | None]] = []
        alone: list[Tap] = []
        for line in range(self.across.size):
            for column in range(min(2, self.along.outputs)):
                for taps in self._meet(column):
                    low, high = (Tap(line, at) for at in (taps[0], taps[-1]))
                    if len(taps) == 1:
                        alone.append(low)
                    elif (low, high) not in pairs:
                        pairs.append((low, high))
        if self.late:
            return (*pairs, *((tap, None) for tap in dict.fromkeys(alone)))
        covered = {tap for pair in pairs for tap in pair}
        single = list(dict.fromkeys(tap for tap in alone if tap not in covered))
        return (*pairs, *zip(single[::2], [*single[1::2], None][: len(single[::2])], strict=True))

    def _meet(self, column: int) -> Iterator[tuple[int, ...]]:
        """Taps of an output that meet numbers in one word, one or two."""
        return (tuple(taps.values()) for _, taps in self.meetings(column))

    def meetings(self, column: int) -> list[tuple[tuple[int, int], dict[int, int]]]:
        """Word of bytes and parity, and the taps of output `column` by the half they meet there."""
        found: dict[tuple[int, int], dict[int, int]] = {}
        for tap in range(self.along.size):
            at = column * self.along.stride + tap * self.along.dilation
            found.setdefault((at // _WORD, at % 2), {})[at % _WORD // 2] = tap
        return list(found.items())


def tile(windows: Windows, rows: int, columns: int) -> tuple[Gate, ...]:
    """`rows` × `columns` outputs from the byte at `x` on, put behind `out`."""
    return _Tile(windows, columns).gates(rows)


class _Tile:
    def __init__(self, windows: Windows, columns: int) -> None:
        self._windows, self._columns = windows, columns
        self._net = Network()
        self._words = windows.weights
        self._halves = {
            tap: (index, half)
            for index, word in reversed(list(enumerate(self._words)))
            for half, tap in enumerate(word)
            if not windows.late or word[1] is None
        }
        self._sums: dict[tuple[int, int], int] = {}

    def gates(self, rows: int) -> tuple[Gate, ...]:
        across = self._windows.across
        for line in range(across.span(rows)):
            taken = [
                (row, (line - row * across.stride) // across.dilation)
                for row in range(rows)
                if (line - row * across.stride) % across.dilation == 0
                and 0 <= (line - row * across.stride) // across.dilation < across.size
            ]
            # Crossed pairs come ahead of what is alone, so that fewer numbers wait in registers.
            for alone in (False, True) if self._windows.late else (None,):
                numbers = self._numbers(line, alone) if taken else {}
                for row, tap in taken:
                    self._row(row, tap, numbers, alone)
                    if tap == across.size - 1 and alone is not False:
                        self._finish(row)
        return tuple(self._net.gates)

    def _meetings(
        self, column: int, alone: bool | None
    ) -> list[tuple[tuple[int, int], dict[int, int]]]:
        """Those where a tap is `alone`, or is not, or all."""
        found = self._windows.meetings(column)
        return [item for item in found if alone is None or (len(item[1]) == 1) == alone]

    def _numbers(self, line: int, alone: bool | None) -> dict[_Key, int]:
        """Two numbers by word and parity, and those that are `alone` by their half, too."""
        keys = {
            (*key, half if alone else 0)
            for at in range(self._columns)
            for key, taps in self._meetings(at, alone)
            for half in taps
        }
        net, first = self._net, line * self._windows.line
        if alone is None:
            words = {
                word: net.bytes("x", first + _WORD * word)
                for word in sorted({word for word, *_ in keys})
            }
            return {key: (net.odd if key[1] else net.even)(words[key[0]]) for key in sorted(keys)}
        single = {key: first + _WORD * key[0] + key[1] + 2 * key[2] for key in sorted(keys)}
        lower = {key: net.number("x", at) for key, at in single.items()}
        if alone:
            return lower
        upper = {key: net.number("x", at + 2) for key, at in single.items()}
        return {key: net.joined(lower[key], upper[key]) for key in single}

    def _row(self, row: int, line: int, numbers: dict[_Key, int], alone: bool | None) -> None:
        for column in range(self._columns):
            total = self._sums.pop((row, column), -1)
            if total < 0:
                total = self._net.parameter(0)
            for key, taps in self._meetings(column, alone):
                total = self._add(total, numbers, key, {h: Tap(line, t) for h, t in taps.items()})
            self._sums[row, column] = total

    def _add(
        self, total: int, numbers: dict[_Key, int], key: tuple[int, int], taps: dict[int, Tap]
    ) -> int:
        if len(taps) == 2:
            index = self._words.index((taps[0], taps[1]))
            weights = self._net.parameter(self._windows.head + index)
            return self._net.pair(numbers[*key, 0], weights, total)
        ((half, tap),) = taps.items()
        index, side = self._halves[tap]
        weight = self._net.parameter(self._windows.head + index)
        if self._windows.late:
            return self._net.times(numbers[*key, half], weight, total)
        return self._net.single(numbers[*key, 0], half, weight, side, total)

    def _finish(self, row: int) -> None:
        net, windows = self._net, self._windows
        sums = [self._sums.pop((row, column)) for column in range(self._columns)]
        for column, value in enumerate([self._scaled(total) for total in sums]):
            at = row * windows.across.pitch + column * windows.along.pitch
            net.put(net.saturate(value, windows.shift), "out", at)

    def _scaled(self, total: int) -> int:
        """A sum on the scale of the result, as `finish` says it."""
        net = self._net
        multiplier, addend, *shift = (
            net.parameter(1 + index) for index in range(self._windows.columns)
        )
        if not shift:
            return net.scale(total, multiplier, addend)
        lowered = net.lower(net.round(total, multiplier))
        return net.shift(net.plus(lowered, addend), shift[0])
