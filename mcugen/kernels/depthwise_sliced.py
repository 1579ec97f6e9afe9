"""Depthwise convolution of bit planes by bit planes: both have their channels in the lanes.

The words under a window are gathered; a tap outside of the image gets the word of the weights
itself, from which no bit differs, so that it counts nothing.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import bit_words
from mcugen.kernels.counts import counts_of
from mcugen.kernels.sliced import Sliced, case_constants, lanes, layer_of, thresholds
from mcugen.kernels.step import Step
from mcugen.kernels.storage import WORD_BITS, words
from mcugen.kernels.straight.routine import lanewise_counts
from mcugen.kernels.taps import Cases, cases_of
from mcugen.kernels.window import Geometry, geometry
from mcugen.target.cores import Core

#: As far as loads reach on Armv6-M.
MOST_TAPS = 31


@dataclass(frozen=True)
class Context:
    sliced: Sliced
    geometry: Geometry
    routine: str
    taps: int
    inner: tuple[int, int] | None
    """Rows and columns of the image at which a window that lies inside may begin."""
    offsets: tuple[int, ...]
    """Where its words lie from the first."""
    cases: bool
    """Windows differ in their taps inside the image."""
    plane_words: int
    pixel_words: int
    output_units: int


def accepts(step: Step, core: Core) -> bool:
    del core
    op = step.op
    if not isinstance(op, ops.Conv2d) or step.reads_integers:
        return False
    out, height, width, depth = step.env.type(op.w).shape
    return op.groups == out and depth == 1 and op.groups > 1 and height * width <= MOST_TAPS


def _cases(step: Step) -> Cases:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    size = step.env.type(op.w).shape[1:3]
    return cases_of(op, step.inputs[0].type, (size[0], size[1]), by_number=op.x_zero == 0)


def cost(step: Step, core: Core) -> int:
    """Measured on Cortex-M4 and M0+: gathering, the network, and what makes outputs."""
    op = step.op
    assert isinstance(op, ops.Conv2d)
    taps = int(np.prod(step.env.type(op.w).shape[1:3]))
    counts = counts_of(step, may_share=True)
    passed = thresholds(step, counts)
    planes = counts.most.bit_length() + 1
    terms = 1 if counts.shared else counts.shifts.size
    finish = passed * planes * 7 + 60 if passed else 32 * (25 + 15 * terms)
    window = counts.shifts.size * (taps * 10 + 100) + finish
    _, height, width, channels = step.accumulator.shape
    cycles = height * width * words(channels) * window
    return cycles * 3 // 2 if core.architecture == "armv6-m" else cycles


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Conv2d)
    _, height, width, _ = step.env.type(op.w).shape
    cases = _cases(step)
    made = layer_of(step, cases, may_share=True)
    routine = lanewise_counts(height * width, made.sliced.planes)
    # Bits [plane, row, column, 1, O] become [block][plane][row][column].
    packed = np.moveaxis(lanes(made.bits), -1, 0)
    layout = f"[{WORD_BITS} channels][plane][row][column]"
    scratch = 8 * made.sliced.counter_eights + made.sliced.lane_words + height * width
    return Recipe(
        context=Context(
            sliced=made.sliced,
            geometry=geometry(step, (height, width)),
            routine=routine.name,
            taps=height * width,
            inner=_inner(step, (height, width)),
            offsets=_offsets(step, (height, width)),
            cases=cases.count > 1,
            plane_words=words(step.inputs[0].type.channels),
            pixel_words=step.inputs[0].storage.pixel_units,
            output_units=step.output.storage.pixel_units,
        ),
        constants=(
            bit_words("weights", packed, "weights", layout),
            *made.constants,
            *case_constants(cases),
        ),
        overlaps=(None,),
        epilogue=made.epilogue,
        scratch_bytes=4 * scratch,
        helpers=made.helpers,
        code_bytes=700 + routine.code_bytes,
        routines=(routine,),
    )


def _inner(step: Step, size: tuple[int, int]) -> tuple[int, int] | None:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    _, height, width, _ = step.inputs[0].type.shape
    rows = height - op.dilation[0] * (size[0] - 1)
    columns = width - op.dilation[1] * (size[1] - 1)
    return (rows, columns) if min(rows, columns) > 0 else None


def _offsets(step: Step, size: tuple[int, int]) -> tuple[int, ...]:
    op, source = step.op, step.inputs[0]
    assert isinstance(op, ops.Conv2d)
    rows = np.arange(size[0])[:, None] * op.dilation[0] * source.type.shape[2]
    places = (rows + np.arange(size[1]) * op.dilation[1]) * source.storage.pixel_units
    return tuple(places.ravel().tolist())


KERNEL = Kernel(
    "depthwise_sliced",
    "depthwise conv2d of bit planes by bit planes, channels in the lanes",
    accepts,
    cost,
    build,
)
