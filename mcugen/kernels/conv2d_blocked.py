"""Convolution of integers in plain C, several output channels at once (see `blocked`).

For windows whose rows are one run of memory: no groups, no dilation along the row.
"""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.blocked import LANES, Blocks, blocks, interleaved
from mcugen.kernels.constants import numbers
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.initial import Start, centred, start
from mcugen.kernels.step import Step
from mcugen.kernels.window import Geometry, geometry, overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    geometry: Geometry
    channels_in: int
    channels_out: int
    blocks: Blocks
    row_taps: int
    """Weights of one channel for one row of the window."""
    weight_c: str
    element: str
    """One input element, centred."""
    start: Start


def accepts(step: Step, core: Core) -> bool:
    del core
    if not step.main_is(ops.Conv2d) or not step.reads_integers:
        return False
    op = step.op
    assert isinstance(op, ops.Conv2d)
    run = op.groups == 1 and geometry(step, _window(step)).row_is_run
    return run and step.accumulator.channels >= LANES


def _window(step: Step) -> tuple[int, int]:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    _, height, width, _ = step.env.type(op.w).shape
    return height, width


def cost(step: Step, core: Core) -> int:
    """About five cycles for a load, a multiply-accumulate and a share of the rest."""
    if not core.multiply_long:
        return 6 * step.macs + 110 * step.accumulator.size
    return (4 if core.dsp else 5) * step.macs + 50 * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Conv2d)
    weights = step.env.data(op.w)
    out, height, width, depth = weights.shape
    window = geometry(step, (height, width))
    rows = weights.reshape(out, -1)
    layout = "[block of outputs][row][column][input][output], then [output][row][column][input]"
    packed = numbers("weights", interleaved(rows), "weights", layout)
    begin = start(step, rows, op.x_zero, window.clipped)
    context = Context(
        geometry=window,
        channels_in=step.inputs[0].type.channels,
        channels_out=out,
        blocks=blocks(out),
        row_taps=width * depth,
        weight_c=packed.c.name,
        element=centred("source[i]", begin.zero),
        start=begin,
    )
    return Recipe(
        context=context,
        constants=(packed, *begin.constants),
        overlaps=(overlap(step, (height, width), per_channel=False),),
        epilogue=epilogue_of(step),
        helpers=frozenset({"taps"} if window.clipped else ()),
    )


KERNEL = Kernel(
    "conv2d_blocked",
    "conv2d of integers by integers without groups, several outputs at once",
    accepts,
    cost,
    build,
)
