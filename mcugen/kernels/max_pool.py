"""Max pool of integers in plain C, channel by channel."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.select import difference_fits
from mcugen.kernels.step import Step
from mcugen.kernels.window import Geometry, geometry, overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    geometry: Geometry
    channels: int
    element: str
    by_sign: bool


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.MaxPool) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About ten cycles a tap and twenty an output."""
    del core
    op = step.op
    assert isinstance(op, ops.MaxPool)
    return step.accumulator.size * (10 * op.window[0] * op.window[1] + 20)


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.MaxPool)
    window, channels = geometry(step, op.window), step.output.type.channels
    context = Context(
        geometry=window,
        channels=channels,
        element=f"source[(row + {window.columns.at}) * {channels}]",
        by_sign=difference_fits(step.inputs[0]),
    )
    return Recipe(
        context=context,
        constants=(),
        overlaps=(overlap(step, op.window, per_channel=True),),
        epilogue=None,
        helpers=frozenset({"taps"} if window.clipped else ()),
    )


KERNEL = Kernel("max_pool", "max_pool of integers", accepts, cost, build)
