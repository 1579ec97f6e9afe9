"""Average pool of integers in plain C, channel by channel; a multiplication divides.

Bytes are summed four channels at a time, as two words of two sums of 16 bits each.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.errors import fail
from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.clamp import Clamp, clamp
from mcugen.kernels.constants import numbers
from mcugen.kernels.division import Division, division
from mcugen.kernels.step import Step
from mcugen.kernels.storage import INT8, UINT8
from mcugen.kernels.window import Geometry, geometry, overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    geometry: Geometry
    channels: int
    element: str
    division: Division
    varying: bool
    """Windows at the border have fewer taps inside."""
    half: str
    """Of the taps."""
    reciprocal: str
    clamp: Clamp
    together: bool
    """Four channels are summed at a time."""
    flip: bool
    """Their bytes are int8: 128 is added to each, and taken away from the sums."""


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.AveragePool) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About eight cycles a tap, or three and a half in fours, and forty an output."""
    op = step.op
    assert isinstance(op, ops.AveragePool)
    taps = op.window[0] * op.window[1]
    summed = 7 * taps // 2 if _together(step, core) else 8 * taps
    return step.accumulator.size * (summed + 40)


def _together(step: Step, core: Core) -> bool:
    """Words of four channels can be loaded, and 16 bits hold the sums."""
    op, source = step.op, step.inputs[0]
    assert isinstance(op, ops.AveragePool)
    bytes_ = source.storage.c in (INT8, UINT8) and source.type.channels % 4 == 0
    return core.unaligned and bytes_ and UINT8.hi * op.window[0] * op.window[1] < 1 << 16


def build(step: Step, core: Core) -> Recipe:
    op = step.op
    assert isinstance(op, ops.AveragePool)
    kind = step.inputs[0].type
    x, counts = kind.integer, op.counts(kind)
    by = division(counts, max(abs(x.lo), abs(x.hi)))
    if by is None:
        raise fail("plan", f"the mean of {counts[-1]} values of {x.spelling}", at=step.where)
    window, channels = geometry(step, op.window), kind.channels
    table = numbers("reciprocals", np.array(by.reciprocals), "table", "[taps - 1]")
    varying = len(counts) > 1
    context = Context(
        geometry=window,
        channels=channels,
        element=f"source[(row + {window.columns.at}) * {channels}]",
        division=by,
        varying=varying,
        half="taps / 2" if varying else str(counts[0] // 2),
        reciprocal="reciprocal" if varying else str(by.reciprocals[-1]),
        clamp=clamp(op.lo, op.hi, x.lo, x.hi),
        together=_together(step, core),
        flip=step.inputs[0].storage.c is INT8,
    )
    helpers = {"taps"} if window.clipped else set()
    return Recipe(
        context=context,
        constants=(table,) if varying else (),
        overlaps=(overlap(step, op.window, per_channel=True),),
        epilogue=None,
        helpers=frozenset(helpers | ({"product"} if by.wide else set())),
    )


KERNEL = Kernel("average_pool", "average_pool of integers", accepts, cost, build)
