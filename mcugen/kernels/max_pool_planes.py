"""Max pool of bit planes in plain C: the largest code is +1 where any bit is set, word by word."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.step import Step
from mcugen.kernels.window import Geometry, geometry, overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    geometry: Geometry
    channels: int
    """Words of a pixel, which take the place of channels."""
    element: str


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.MaxPool) and not step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About eight cycles a word and tap, and twenty a word."""
    del core
    op = step.op
    assert isinstance(op, ops.MaxPool)
    return step.output.storage.count * (8 * op.window[0] * op.window[1] + 20)


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.MaxPool)
    window, units = geometry(step, op.window), step.output.storage.pixel_units
    context = Context(window, units, f"source[(row + {window.columns.at}) * {units}]")
    return Recipe(
        context=context,
        constants=(),
        overlaps=(overlap(step, op.window, per_channel=True),),
        epilogue=None,
        helpers=frozenset({"taps"} if window.clipped else ()),
    )


KERNEL = Kernel("max_pool_planes", "max_pool of bit planes", accepts, cost, build)
