"""Convolution of integers in plain C: any groups, stride, padding and dilation.

Output channels go in turn over a window that stays where it is. `conv2d_blocked` takes the common
shapes; this one takes all.
"""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
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
    depth: int
    """Input channels that one output channel reads."""
    groups: int
    per_group: int
    grouped: bool
    weight_c: str
    element: str
    """One input element, centred."""
    start: Start


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Conv2d) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About nine cycles for two loads, a multiply-accumulate and the loop; more where it waits."""
    if not core.multiply_long:
        return 12 * step.macs + 110 * step.accumulator.size
    return 10 * step.macs + 40 * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Conv2d)
    weights = step.env.data(op.w)
    out, height, width, depth = weights.shape
    window = geometry(step, (height, width))
    packed = numbers("weights", weights, "weights", "[output][row][column][input]")
    begin = start(step, weights.reshape(out, -1), op.x_zero, window.clipped)
    context = Context(
        geometry=window,
        channels_in=step.inputs[0].type.channels,
        channels_out=out,
        depth=depth,
        groups=op.groups,
        per_group=out // op.groups,
        grouped=op.groups > 1,
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


KERNEL = Kernel("conv2d", "conv2d of integers by integers", accepts, cost, build)
