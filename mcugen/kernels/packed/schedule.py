"""How long limbs may grow: pieces of a sum, after which of them limbs become sums, and the proof.

An output's products come in steps, one multiplication each; steps that read the input one word
behind the other are a run, and runs are cut into pieces of equal length. A limb's interval is known
from the interval of the input and the actual weights: it may grow until one limb of one output
could leave its B bits.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.errors import fail
from mcugen.kernels.packed.packing import Packing, unpacked


@dataclass(frozen=True)
class Schedule:
    piece: int
    """Steps of a piece."""
    ends: tuple[bool, ...]
    """Whether limbs become sums after each piece; the last is true."""

    @property
    def pieces(self) -> int:
        return len(self.ends)

    @property
    def segments(self) -> int:
        return sum(self.ends)


def schedules(packing: Packing, v: np.ndarray, u: tuple[int, int]) -> list[Schedule]:
    """For lengths of pieces, the longest first, the schedule with the fewest segments.

    Shorter pieces are tried while they lead to fewer segments.

    Args:
        packing: its Q divides the outputs of `v`.
        v: weights [O, run, step, half, T].
        u: the least and the greatest input.
    """
    steps = v.shape[2]
    growth = _growth(packing, v, u)
    found: list[Schedule] = []
    for piece in (size for size in range(steps, 0, -1) if steps % size == 0):
        ends = _ends(packing, growth.reshape(*growth.shape[:-1], -1, piece).sum(axis=-1))
        if found and sum(ends) == found[-1].segments:
            break
        if ends:
            found.append(Schedule(piece, ends))
    return found


def at_best(packing: Packing, v: np.ndarray, u: tuple[int, int]) -> Schedule:
    """What no schedule is cheaper than: the fullest limb of an output takes nearly all products."""
    out, runs, steps = v.shape[:3]
    share = min(packing.pixels, packing.taps) / packing.taps
    reach = share * (u[1] - u[0]) * np.abs(v).reshape(out, -1).sum(axis=1).max()
    segments = min(runs * steps, int(reach / 2**packing.bits) + 1)
    if segments > runs:
        return Schedule(runs * steps // segments, (True,) * segments)
    return Schedule(steps, (False,) * (runs - segments) + (True,) * segments)


def _growth(packing: Packing, v: np.ndarray, u: tuple[int, int]) -> np.ndarray:
    """How far each step can move each limb down and up: int64 [limb, 2, O / Q, step]."""
    flat = v.reshape(-1, packing.outputs, v.shape[1] * v.shape[2], packing.halves, packing.taps)
    least, greatest = np.minimum(flat * u[0], flat * u[1]), np.maximum(flat * u[0], flat * u[1])
    return np.stack(
        [
            [
                ends[:, limb.output][..., list(limb.taps)].sum(axis=(-1, -2))
                for ends in (least, greatest)
            ]
            for limb in packing.limbs
        ]
    )


def _ends(packing: Packing, growth: np.ndarray) -> tuple[bool, ...]:
    """As many pieces as possible one after the other; none where a piece alone is too much."""
    bias = np.array([limb.bias for limb in packing.limbs])[:, None]
    most = np.array([2**limb.bits for limb in packing.limbs])[:, None]
    low, high = bias, bias
    ends: list[bool] = []
    for piece in range(growth.shape[-1]):
        low, high = low + growth[:, 0, :, piece], high + growth[:, 1, :, piece]
        if ends and (low.min() < 0 or (high >= most).any()):
            ends[-1] = True
            low, high = bias + growth[:, 0, :, piece], bias + growth[:, 1, :, piece]
        if low.min() < 0 or (high >= most).any():
            return ()
        ends.append(False)
    return (*ends[:-1], True)


def prove(packing: Packing, schedule: Schedule, words: np.ndarray, u: tuple[int, int]) -> None:
    """Check from the packed words themselves that every limb stays within its bits.

    Args:
        packing: how `words` were packed.
        schedule: what is to be proved.
        words: words of weights as numbers [..., step of all runs], in the order of the loop.
        u: the least and the greatest input.

    Raises:
        McugenError: some input would make a limb overflow, or the last sums would be lost.
    """
    v = unpacked(packing, words)
    lengths = np.diff([0, *(np.flatnonzero(schedule.ends) + 1)]) * schedule.piece
    if lengths.sum() != words.shape[-1]:
        raise fail("plan", "a schedule does not take in all products")
    first = 0
    for length in lengths:
        part = v[..., first : first + length, :, :, :]
        first += length
        for limb in packing.limbs:
            taps = part[..., limb.output, :, :][..., list(limb.taps)]
            low = limb.bias + np.minimum(taps * u[0], taps * u[1]).sum(axis=(-1, -2, -3)).min()
            high = limb.bias + np.maximum(taps * u[0], taps * u[1]).sum(axis=(-1, -2, -3)).max()
            if low < 0 or high >= 2**limb.bits:
                raise fail(
                    "plan",
                    f"limb {limb.index} could overflow within {length} products",
                    got=f"[{low}..{high}]",
                    want=f"[0..{2**limb.bits - 1}]",
                )
