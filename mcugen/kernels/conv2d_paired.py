"""Convolution of 8-bit integers by pairs of weights (see `paired`).

The windows of four output pixels, or of one, are expanded into scratch memory; then all outputs of
those pixels are computed. Where a pixel has no whole words, bytes are lined up there first.
"""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels import paired
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.paired import Paired
from mcugen.kernels.step import Step
from mcugen.kernels.window import Geometry, geometry, grouped_overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    paired: Paired
    geometry: Geometry
    pixels: int
    outputs: int
    channels_in: int
    flat: bool
    """Output pixel n reads input pixel n and no other."""
    tap: int
    """Units of a tap, and of a window's row: words, or bytes."""
    row: int
    bytes_at: int | None
    """Where bytes are lined up in scratch memory; None where pixels are whole words."""
    zero: int
    """The byte that stands for taps outside of the image."""


def accepts(step: Step, core: Core) -> bool:
    if not paired.accepts(step, core, ops.Conv2d):
        return False
    op = step.op
    assert isinstance(op, ops.Conv2d)
    return op.groups == 1


def pixels_of(step: Step) -> int:
    """Pixels of the output."""
    return step.accumulator.size // step.accumulator.channels


def _window(step: Step) -> tuple[int, int]:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    height, width = step.env.type(op.w).shape[1:3]
    return height, width


def cost(step: Step, core: Core) -> int:
    del core
    op, channels, pixels = step.op, step.inputs[0].type.channels, pixels_of(step)
    assert isinstance(op, ops.Conv2d)
    height, width = _window(step)
    gathered = 0 if height * width == 1 and op.stride == (1, 1) else 90
    gathered += height * (10 + width * channels) if channels % 4 else 0
    return paired.cost(step, paired.shape_of(step, pixels), pixels, gathered)


def build(step: Step, core: Core) -> Recipe:
    del core
    return recipe(step, paired.paired(step, paired.shape_of(step, pixels_of(step))))


def recipe(step: Step, made: Paired) -> Recipe:
    """The convolution `step` as `made` packs it, laid out by this kernel's template."""
    op, shape = step.op, made.shape
    assert isinstance(op, ops.Conv2d)
    window = geometry(step, _window(step))
    channels = step.inputs[0].type.channels
    tap = channels if channels % 4 else channels // 4
    width = window.columns.size
    context = Context(
        paired=made,
        geometry=window,
        pixels=pixels_of(step),
        outputs=step.accumulator.channels,
        channels_in=channels,
        flat=not window.clipped and op.stride == (1, 1) and window.rows.size == width == 1,
        tap=tap,
        row=width * tap,
        bytes_at=made.scratch_words if channels % 4 else None,
        zero=op.x_zero,
    )
    return Recipe(
        context=context,
        constants=(made.weights,),
        overlaps=(grouped_overlap(step, _window(step), shape.together),),
        epilogue=made.epilogue,
        # The loops are shared by all layers.
        code_bytes=600,
        scratch_bytes=4 * (made.scratch_words + (shape.words if channels % 4 else 0)),
        helpers=made.helpers | frozenset({"taps"} if window.clipped else ()),
    )


KERNEL = Kernel(
    "conv2d_paired",
    "conv2d of 8-bit integers by 8-bit integers without groups, two products at a time",
    accepts,
    cost,
    build,
)
