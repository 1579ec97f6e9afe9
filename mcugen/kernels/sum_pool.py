"""Sum pool of integers in plain C, channel by channel."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import literal, within_32_bits
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.initial import centred
from mcugen.kernels.step import Step
from mcugen.kernels.window import Geometry, geometry, overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    geometry: Geometry
    channels: int
    element: str


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.SumPool) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About eight cycles a tap and thirty an output."""
    del core
    op = step.op
    assert isinstance(op, ops.SumPool)
    return step.accumulator.size * (8 * op.window[0] * op.window[1] + 30)


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.SumPool)
    window, channels = geometry(step, op.window), step.accumulator.channels
    element = step.inputs[0].type.integer
    within_32_bits(
        step, "the input minus its zero point", element.lo - op.x_zero, element.hi - op.x_zero
    )
    zero = literal(op.x_zero) if op.x_zero else ""
    context = Context(
        geometry=window,
        channels=channels,
        element=centred(f"source[(row + {window.columns.at}) * {channels}]", zero),
    )
    return Recipe(
        context=context,
        constants=(),
        overlaps=(overlap(step, op.window, per_channel=True),),
        epilogue=epilogue_of(step),
        helpers=frozenset({"taps"} if window.clipped else ()),
    )


KERNEL = Kernel("sum_pool", "sum_pool of integers", accepts, cost, build)
