"""Convolution of bit planes by bit planes as a convolution of integers (see `levels`).

Each row of the image is expanded to numbers once, with what stands for padding around it, and kept
while windows reach it; two neighbouring outputs at a time go over them. Wins over counting bits
where there are many planes.
"""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.ir.ops import Window
from mcugen.kernels import levels
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.levels import Levels
from mcugen.kernels.ring import Ring, ring
from mcugen.kernels.step import Step
from mcugen.kernels.window import geometry, overlap_by_rows
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    levels: Levels
    ring: Ring
    channels_out: int
    runs_per_row: int
    """Runs of memory that a row of the window lies in."""
    left_words: int
    """Words of an expanded row before the image's first pixel."""
    step_words: int
    """Words from the input of an output to that of the next."""
    runs_at: int
    """Where the places of runs lie in scratch memory, and the sums."""
    sums_at: int


def accepts(step: Step, core: Core) -> bool:
    del core
    if not levels.accepts(step, ops.Conv2d):
        return False
    op = step.op
    assert isinstance(op, ops.Conv2d)
    return op.groups == 1


def _window(step: Step) -> tuple[int, int]:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    height, width = step.env.type(op.w).shape[1:3]
    return height, width


def _windows(step: Step) -> tuple[Window, Window]:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    return op.windows(_window(step))


def _levels(step: Step, core: Core) -> Levels:
    vertical, horizontal = _windows(step)
    dense = horizontal.dilation == 1
    return levels.levels(
        step,
        core,
        runs=vertical.size * (1 if dense else horizontal.size),
        run_pixels=horizontal.size if dense else 1,
        stride=horizontal.stride if step.accumulator.shape[2] > 1 else 0,
    )


def cost(step: Step, core: Core) -> int:
    made = _levels(step, core)
    _, rows, columns, _ = step.accumulator.shape
    return levels.cost(step, made, positions=rows * -(-columns // made.together))


def build(step: Step, core: Core) -> Recipe:
    window, made = geometry(step, _window(step)), _levels(step, core)
    vertical, horizontal = _windows(step)
    columns = -(-window.columns.output // made.together) * made.together
    width = max(
        window.columns.input + horizontal.before,
        (columns - 1) * horizontal.stride + (horizontal.size - 1) * horizontal.dilation + 1,
    )
    rows = ring(window, vertical, width * made.tap_words)
    runs_at = rows.words
    context = Context(
        levels=made,
        ring=rows,
        channels_out=step.accumulator.channels,
        runs_per_row=made.runs // vertical.size,
        left_words=horizontal.before * made.tap_words,
        step_words=horizontal.stride * made.tap_words,
        runs_at=runs_at,
        sums_at=runs_at + made.runs,
    )
    return Recipe(
        context=context,
        constants=(levels.packed_weights(step),),
        overlaps=(overlap_by_rows(step, _window(step)),),
        epilogue=epilogue_of(step),
        code_bytes=1250,
        scratch_bytes=4 * (context.sums_at + made.sum_words),
    )


KERNEL = Kernel(
    "conv2d_levels",
    "conv2d of bit planes by bit planes without groups, as integers of 16 bits",
    accepts,
    cost,
    build,
)
