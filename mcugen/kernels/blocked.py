"""Several output channels at once: an input element is loaded once for all of a block.

The weights of a block lie side by side, so that the inner loop reads both arrays in order.
Channels that fill no block go one by one, behind the blocks.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.target.cores import Core

#: With eight low registers, four accumulators and their operands spill; two do not.
LANES_ARMV6 = 2
LANES = 4


@dataclass(frozen=True)
class Blocks:
    """Output channels in blocks of `lanes`, the rest single; templates/blocked.j2 lays it out."""

    lanes: tuple[int, ...]
    """0 .. lanes − 1."""
    blocked: int
    """Channels in whole blocks; the rest begins here."""
    rest: bool


def lanes_on(core: Core) -> int:
    return LANES_ARMV6 if core.architecture == "armv6-m" else LANES


def blocks(channels: int, core: Core) -> Blocks:
    lanes = lanes_on(core)
    blocked = channels - channels % lanes
    return Blocks(tuple(range(lanes)), blocked, blocked < channels)


def interleaved(rows: np.ndarray, lanes: int) -> np.ndarray:
    """Weights [channel, tap] with each block as [tap, lane], then the single channels; flat."""
    blocked = len(rows) - len(rows) % lanes
    whole = rows[:blocked].reshape(-1, lanes, rows.shape[1]).transpose(0, 2, 1)
    return np.concatenate([whole.ravel(), rows[blocked:].ravel()])
