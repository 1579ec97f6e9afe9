"""Depthwise convolution of integers in plain C: each output channel reads its own input channel."""

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
    channels: int
    taps: int
    weight_c: str
    element: str
    start: Start


def accepts(step: Step, core: Core) -> bool:
    del core
    op = step.op
    if not isinstance(op, ops.Conv2d) or not step.reads_integers:
        return False
    return op.groups == step.inputs[0].type.channels == step.accumulator.channels


def cost(step: Step, core: Core) -> int:
    """Little less than `conv2d`, for the place of each tap is computed."""
    if not core.multiply_long:
        return 18 * step.macs + 80 * step.accumulator.size
    return 14 * step.macs + 30 * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Conv2d)
    weights = step.env.data(op.w)
    channels, height, width, _ = weights.shape
    window = geometry(step, (height, width))
    packed = numbers("weights", weights, "weights", "[channel][row][column]")
    begin = start(step, weights.reshape(channels, -1), op.x_zero, window.clipped)
    context = Context(
        geometry=window,
        channels=channels,
        taps=height * width,
        weight_c=packed.c.name,
        element=centred(f"source[(row + {window.columns.at}) * {channels}]", begin.zero),
        start=begin,
    )
    return Recipe(
        context=context,
        constants=(packed, *begin.constants),
        overlaps=(overlap(step, (height, width), per_channel=True),),
        epilogue=epilogue_of(step),
        helpers=frozenset({"taps"} if window.clipped else ()),
    )


KERNEL = Kernel(
    "depthwise_conv2d", "depthwise conv2d of integers by integers", accepts, cost, build
)
