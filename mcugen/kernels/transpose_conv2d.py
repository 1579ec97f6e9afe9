"""Transposed convolution of integers in plain C: each output gathers the taps that reach it."""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.ops import Spread
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import numbers
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.initial import Start, centred, start
from mcugen.kernels.step import Step
from mcugen.kernels.window import ahead
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Axis:
    """One spatial axis. Outputs take taps `phase`, `phase` + stride … from inputs `last` down."""

    input: int
    output: int
    size: int
    stride: int
    phase: int
    """Of the first output."""
    last: int
    """Of the first output; may lie behind the input."""


@dataclass(frozen=True)
class Context:
    rows: Axis
    columns: Axis
    depth: int
    channels: int
    weight_c: str
    element: str
    start: Start


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.TransposeConv2d) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """As `conv2d`."""
    del core
    return 10 * step.macs + 60 * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.TransposeConv2d)
    weights = step.env.data(op.w)
    out, height, width, depth = weights.shape
    _, in_rows, in_columns, _ = step.inputs[0].type.shape
    vertical, horizontal = op.axes((height, width))
    packed = numbers("weights", weights, "weights", "[output][row][column][input]")
    begin = start(step, weights.reshape(out, -1), op.x_zero, optional=True)
    context = Context(
        rows=_axis(vertical, in_rows),
        columns=_axis(horizontal, in_columns),
        depth=depth,
        channels=out,
        weight_c=packed.c.name,
        element=centred("source[i]", begin.zero),
        start=begin,
    )
    constants = (packed, *begin.constants)
    rows, columns = _first(vertical, in_rows)[:, None], _first(horizontal, in_columns)
    read = (rows * in_columns + columns).ravel() * step.inputs[0].storage.pixel_bytes
    written = (np.arange(read.size) + 1) * step.output.storage.pixel_bytes
    return Recipe(
        context, constants, (ahead(read, written, written),), epilogue_of(step), code_bytes=600
    )


def _first(spread: Spread, extent: int) -> np.ndarray:
    """The first input that each output gathers."""
    last, phase = np.divmod(np.arange(spread.output) + spread.before, spread.stride)
    return np.clip(last - (spread.size - 1 - phase) // spread.stride, 0, extent)


def _axis(spread: Spread, extent: int) -> Axis:
    last, phase = divmod(spread.before, spread.stride)
    return Axis(extent, spread.output, spread.size, spread.stride, phase, last)


KERNEL = Kernel(
    "transpose_conv2d", "transpose_conv2d of integers by integers", accepts, cost, build
)
