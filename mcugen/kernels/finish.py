"""From sums to outputs of 8 bits in registers: which of the ways there are, and its tables.

* `once`, for what is requantized: one product and a shift (see `upper`).
* `twice`, for what is rescaled with two roundings. With v = (acc·m + 2^30) >> 31 (SMMULR), the
  result is saturate((v − [v < 0] + B) >> n), B = 2^(n − 1) + zero·2^n, as `fixed_point` says it.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.kernels.step import Step
from mcugen.kernels.storage import INT8, INT32, UINT8
from mcugen.kernels.upper import upper

Bounds = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Finish:
    """One way; arrays are int64 and have a row for each channel."""

    way: str
    start: np.ndarray
    """What is added to the accumulator."""
    columns: np.ndarray
    """Multiplier and addend, and for `twice` the shift."""
    shift: int | None = None
    """That of all channels, for `once`."""


def saturates(step: Step) -> bool:
    """The step scales its accumulators onto all of int8 or of uint8."""
    epilogue = step.epilogue.op if step.epilogue else None
    c = step.output.storage.c
    if not isinstance(epilogue, ops.Requantize | ops.Rescale) or c not in (INT8, UINT8):
        return False
    return (epilogue.lo, epilogue.hi) == (c.lo, c.hi)


def finish(step: Step, bounds: Bounds, bits: int) -> Finish | None:
    """The way to finish `step`, None where there is none.

    `bounds`: the least and the greatest accumulator of each channel; sums are formed 2^`bits`
    times too large, modulo 2^32.
    """
    if not saturates(step):
        return None
    assert step.epilogue is not None
    op = step.epilogue.op
    if isinstance(op, ops.Rescale):
        return _twice(step, op, bounds, bits)
    found = upper(step, bounds, bits)
    if found is None:
        return None
    columns = np.stack([found.multiplier, found.addend], axis=1)
    return Finish("once", found.start, columns, found.shift)


def _twice(step: Step, op: ops.Rescale, bounds: Bounds, bits: int) -> Finish | None:
    channels = step.accumulator.channels
    refs = op.bias, op.multiplier, op.exponent
    bias, multiplier, exponent = (
        np.broadcast_to(step.env.data(ref), channels).astype(np.int64) for ref in refs
    )
    right = -exponent
    if op.left or right.min() < 1:
        return None
    addend = (1 << (right - 1)) + (op.zero << right)
    sums = [end + bias for end in bounds]
    upper_halves = [((end * multiplier + 2**30) >> 31) for end in sums]
    ends = [addend, *(part + addend + less for part in upper_halves for less in (-1, 0))]
    if max(np.abs(end).max() for end in ends) > INT32.hi:
        return None
    if max(np.abs(end).max() for end in sums) >= INT32.hi >> bits:
        return None
    return Finish("twice", bias, np.stack([multiplier, addend, right], axis=1))
