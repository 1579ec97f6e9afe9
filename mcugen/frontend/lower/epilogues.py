"""From a real function between two quantizers to integer thresholds, multipliers or a table.

Everything here is decided in exact arithmetic: real(q) = functions(scale·(q − zero) + offset) is a
rational function of the integer q (sigmoid and tanh to 50 digits), and so is the border between two
levels of the target grid.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.lower.functions import (
    Function,
    affine,
    channels_of,
    clamped_affine,
    directions,
    evaluate,
    evaluate_exact,
)
from mcugen.frontend.lower.grids import BasisGrid, Grid, Ties, UniformGrid
from mcugen.ir.program import Meaning
from mcugen.ir.types import Int

#: Up to this many levels an accumulator is compared with thresholds; above, multiplied and shifted.
THRESHOLD_LEVELS = 32
#: A table costs a byte or two per input level: up to this many it replaces arithmetic.
LOOKUP_LEVELS = 256
_MULTIPLIER_BITS = 31
_MAX_SHIFT = 62
_CLOSE = 1e-9


@dataclass(frozen=True, eq=False)
class ThresholdTable:
    """Arrays of an `ir.Threshold`: table [1|C, L−1], direction [1|C]."""

    table: np.ndarray
    direction: np.ndarray


@dataclass(frozen=True, eq=False)
class Multiplier:
    """Arrays and attributes of an `ir.Requantize`."""

    multiplier: np.ndarray
    bias: np.ndarray
    shift: int
    lo: int
    hi: int


@dataclass(frozen=True, eq=False)
class Table:
    """Array of an `ir.Lookup`: [1|C, levels of x]."""

    table: np.ndarray


Epilogue = ThresholdTable | Multiplier | Table


def real_functions(meaning: Meaning, functions: Sequence[Function]) -> tuple[Function, ...]:
    """The chain from the integer q itself: its meaning first, then `functions`."""
    scale, offset = np.array(meaning.scale), np.array(meaning.offset)
    centre = affine(1.0, -float(meaning.zero))
    return (centre, affine(scale, offset), *functions)


def choose(element: Int, chain: Sequence[Function], grid: Grid) -> Epilogue | None:
    """The epilogue that takes integers of `element` onto `grid` through `chain`.

    Returns None where no single epilogue does: a function that is no clamped affine, onto more
    than 32 levels, different per channel. `through_fine_grid` splits that one.

    Raises:
        McugenError: the function is not monotone and its domain too large for a table.
    """
    monotone = bool((directions(chain) != 0).all())
    shared = max(channels_of(chain), _grid_channels(grid)) == 1
    if isinstance(grid, BasisGrid) and monotone:
        return thresholds(element, chain, grid)
    if element.levels <= LOOKUP_LEVELS and (shared or not monotone):
        return lookup(element, chain, grid)
    if not monotone:
        raise fail(
            "lower",
            f"a function that rises and falls needs a table of {element.levels} entries",
            want=f"at most {LOOKUP_LEVELS}",
            help="put a quantizer of at most 8 bits in front of the activation function",
        )
    if grid.levels <= THRESHOLD_LEVELS:
        return thresholds(element, chain, grid)
    if isinstance(grid, UniformGrid) and (found := multiplier(element, chain, grid)):
        return found
    return thresholds(element, chain, grid) if shared else None


def _grid_channels(grid: Grid) -> int:
    return len(grid.scale) if isinstance(grid, UniformGrid) else 1


def thresholds(element: Int, chain: Sequence[Function], grid: Grid) -> ThresholdTable:
    """For each channel and level, the smallest direction·q whose real value reaches the level."""
    direction = directions(chain)
    channels = max(channels_of(chain), _grid_channels(grid), len(direction))
    direction = np.broadcast_to(direction, channels)
    first = np.where(direction > 0, element.lo, -element.hi)
    last = np.where(direction > 0, element.hi, -element.lo)
    border = np.broadcast_to(grid.boundaries(), (channels, grid.levels - 1))
    table = _bisect(chain, border, direction, first, last)
    for channel, index in _uncertain(chain, border, direction, table):
        bounds = int(first[channel]), int(last[channel]) + 1
        table[channel, index] = _settle(
            chain,
            grid,
            channel,
            grid.lo + 1 + index,
            int(direction[channel]),
            int(table[channel, index]),
            bounds,
        )
    return ThresholdTable(*_shared(np.maximum.accumulate(table, axis=1), direction))


def _shared(table: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row for all channels where they are equal."""
    if (direction == direction[0]).all():
        direction = direction[:1]
        if (table == table[0]).all():
            table = table[:1]
    return table, direction.copy()


def _bisect(
    chain: Sequence[Function],
    border: np.ndarray,
    direction: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
) -> np.ndarray:
    """Smallest y in [first, last + 1] with chain(direction·y) ≥ border, in float64: [C, L−1]."""
    low = np.broadcast_to(first[:, None], border.shape).astype(np.int64)
    high = np.broadcast_to(last[:, None] + 1, border.shape).astype(np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        reached = _at(chain, direction, middle) >= border
        high = np.where(reached, middle, high)
        low = np.where(reached, low, np.minimum(middle + 1, high))
    return low.copy()


def _at(chain: Sequence[Function], direction: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The chain in float64 at direction·y, y of shape [C, L−1]."""
    return evaluate(chain, (y * direction[:, None]).T.astype(np.float64)).T


def _uncertain(
    chain: Sequence[Function], border: np.ndarray, direction: np.ndarray, table: np.ndarray
) -> list[tuple[int, int]]:
    """Entries whose border is too close to the function for float64 to decide."""
    near = np.zeros(table.shape, dtype=bool)
    for step in (-1, 0):
        value = _at(chain, direction, table + step)
        near |= np.abs(value - border) <= _CLOSE * (np.abs(value) + np.abs(border) + 1e-30)
    return [(int(c), int(i)) for c, i in np.argwhere(near)]


def _settle(
    chain: Sequence[Function],
    grid: Grid,
    channel: int,
    level: int,
    direction: int,
    guess: int,
    bounds: tuple[int, int],
) -> int:
    """The exact threshold near `guess`."""

    def reached(y: int) -> bool:
        return grid.reaches(evaluate_exact(chain, Fraction(direction * y), channel), level, channel)

    while guess > bounds[0] and reached(guess - 1):
        guess -= 1
    while guess < bounds[1] and not reached(guess):
        guess += 1
    return guess


def lookup(element: Int, chain: Sequence[Function], grid: Grid) -> Table:
    """The level of every integer of `element`: where float64 is close to a border, exactly."""
    channels = max(channels_of(chain), _grid_channels(grid))
    domain = np.arange(element.lo, element.hi + 1)
    table = np.zeros((channels, len(domain)), dtype=np.int64)
    sure = np.zeros(table.shape, dtype=bool)
    if isinstance(grid, UniformGrid):
        with np.errstate(over="ignore", invalid="ignore"):
            values = evaluate(chain, domain[:, None].astype(np.float64))
            steps = np.broadcast_to(values / grid.scale, (len(domain), channels)).T
            distance = np.abs(steps - np.floor(steps) - 0.5)
            sure = distance > _CLOSE * (np.abs(steps) + 1)  # not where it is no number
        table[sure] = grid.quantize_steps(steps[sure])
    for c, index in np.argwhere(~sure):
        exact = evaluate_exact(chain, Fraction(int(domain[index])), int(c))
        table[c, index] = grid.quantize(exact, int(c))
    return Table(table)


def multiplier(element: Int, chain: Sequence[Function], grid: UniformGrid) -> Multiplier | None:
    """A fixed-point clamped affine map onto `grid`, or None where the chain is no such map.

    floor((q·m + b) / 2^s) with m of 31 bits: off from the exact level by less than
    max|q|/2^(s+1) + 2^-s of a level before rounding. Ties go up.
    """
    form = clamped_affine(chain)
    if form is None:
        return None
    lo, hi = _clamp_levels(form.lo, grid), _clamp_levels(form.hi, grid)
    if len(set(lo.tolist())) != 1 or len(set(hi.tolist())) != 1:
        return None
    slope = np.atleast_1d(form.scale / grid.scale)
    offset = np.atleast_1d(form.offset / grid.scale) + grid.zero + 0.5
    slope, offset = np.broadcast_arrays(slope, offset)
    shift = _shift(slope, offset, max(abs(element.lo), abs(element.hi)))
    rounded = [_round_scaled(value, shift) for value in (slope, offset)]
    return Multiplier(rounded[0], rounded[1], shift, int(lo[0]), int(hi[0]))


def _clamp_levels(bound: np.ndarray, grid: UniformGrid) -> np.ndarray:
    """Levels of the clamp's end; infinities take the grid's own ends."""
    finite = np.clip(np.nan_to_num(bound, posinf=1e300, neginf=-1e300), -1e300, 1e300)
    with np.errstate(over="ignore"):
        return np.atleast_1d(grid.quantize_array(np.atleast_1d(finite)))


def _shift(slope: np.ndarray, offset: np.ndarray, largest: int) -> int:
    """Largest shift for which multiplier and 64-bit sum fit."""
    steepest = float(np.abs(slope).max())
    reach = largest * steepest + float(np.abs(offset).max()) + 1.0
    by_multiplier = _MULTIPLIER_BITS - 1 - math.frexp(steepest)[1] if steepest else _MAX_SHIFT
    by_sum = 61 - math.frexp(reach)[1]
    shift = min(by_multiplier, by_sum, _MAX_SHIFT)
    if shift < 0:
        raise fail("lower", f"the scales of this layer differ by a factor of {steepest:g}")
    return shift


def _round_scaled(values: np.ndarray, shift: int) -> np.ndarray:
    """round(value·2^shift) exactly, as int64."""
    scaled = [math.floor(Fraction(float(v)) * (1 << shift) + Fraction(1, 2)) for v in values]
    unique = scaled[:1] if len(set(scaled)) == 1 else scaled
    return np.array(unique, dtype=np.int64)


FINE_LEVELS = 2**15 - 1


def fine_grid(chain: Sequence[Function], prefix: Sequence[Function], grid: Grid) -> UniformGrid:
    """A 16-bit grid for `prefix`'s result that resolves what the rest of `chain` makes of it.

    The rest is monotone and equal in all channels; beyond the first and last border of `grid` it
    no longer changes the level, so only the stretch between them needs steps.
    """
    rest = tuple(chain[len(prefix) :])
    direction = int(directions(rest)[0])
    border = grid.boundaries()[0]
    low, high = np.full(border.shape, -1e6), np.full(border.shape, 1e6)
    for _ in range(100):
        middle = (low + high) / 2
        reached = evaluate(rest, direction * middle[:, None])[:, 0] >= border
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    inside = high[np.abs(high) < 9e5]
    largest = float(np.abs(inside).max(initial=1e-6))
    return UniformGrid(
        np.array([largest * 1.01 / FINE_LEVELS]), 0, -FINE_LEVELS, FINE_LEVELS, Ties.UP
    )
