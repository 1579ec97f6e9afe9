"""Several output channels at once: an input element is loaded once for all of a block.

The weights of a block lie side by side, so that the inner loop reads both arrays in order.
Channels that fill no block go one by one, behind the blocks.
"""

from dataclasses import dataclass

import numpy as np

#: Four accumulators and their operands fit the registers of Armv7-M. On Armv6-M they spill, yet
#: four measured faster than two or three (lenet_w8a8 on Cortex-M0+: 3.17 against 3.65 and 3.35 M).
LANES = 4


@dataclass(frozen=True)
class Blocks:
    """Output channels in blocks of LANES, the rest single; templates/blocked.j2 lays it out."""

    lanes: tuple[int, ...]
    """0 .. LANES − 1."""
    blocked: int
    """Channels in whole blocks; the rest begins here."""
    rest: bool


def blocks(channels: int) -> Blocks:
    blocked = channels - channels % LANES
    return Blocks(tuple(range(LANES)), blocked, blocked < channels)


def interleaved(rows: np.ndarray) -> np.ndarray:
    """Weights [channel, tap] with each block as [tap, lane], then the single channels; flat."""
    blocked = len(rows) - len(rows) % LANES
    whole = rows[:blocked].reshape(-1, LANES, rows.shape[1]).transpose(0, 2, 1)
    return np.concatenate([whole.ravel(), rows[blocked:].ravel()])
