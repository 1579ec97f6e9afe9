"""Max pool of bit planes in plain C, 32 channels at a time.

The codes rise with their numbers (`Planes.ordered`), so numbers are compared: from the highest
plane down, the first that differs decides. Of one plane the maximum is set where any bit is.
"""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.ir.types import Planes
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.step import Step
from mcugen.kernels.storage import words
from mcugen.kernels.window import Geometry, geometry, overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    geometry: Geometry
    words: int
    """Words of one plane of a pixel."""
    pixel_words: int
    planes: tuple[int, ...]
    """Where each plane's word lies from that of the first."""


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.MaxPool) and not step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About ten cycles a word and tap, and twenty a word."""
    del core
    op = step.op
    assert isinstance(op, ops.MaxPool)
    return step.output.storage.count * (10 * op.window[0] * op.window[1] + 20)


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.MaxPool)
    window, kind = geometry(step, op.window), step.output.type
    assert isinstance(kind.element, Planes)
    count, per_plane = kind.element.count, words(kind.channels)
    return Recipe(
        context=Context(
            geometry=window,
            words=per_plane,
            pixel_words=step.output.storage.pixel_units,
            planes=tuple(plane * per_plane for plane in range(count)),
        ),
        constants=(),
        overlaps=(overlap(step, op.window, per_channel=count == 1),),
        epilogue=None,
        helpers=frozenset({"taps"} if window.clipped else ()),
    )


KERNEL = Kernel("max_pool_planes", "max_pool of bit planes", accepts, cost, build)
