"""3x3 convolution by Winograd's algorithm with weights as bytes (see `winograd`).

Inputs of a row of groups are kept, and the weights of four outputs at a time become sums in scratch
memory for all of the row: more RAM in place of flash.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.kernels import winograd
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import Constant, bit_words
from mcugen.kernels.step import Step
from mcugen.kernels.winograd import LANES, Winograd, accepts
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    winograd: Winograd
    block_words: int
    """Words of weights of a block of outputs."""
    sums_at: int
    """Where sums of weights lie in scratch memory."""


def cost(step: Step, core: Core) -> int:
    del core
    rows = -(-step.accumulator.shape[1] // 2)
    pairs = step.accumulator.channels * step.inputs[0].type.channels
    return winograd.cost(step) + rows * 40 * pairs


def build(step: Step, core: Core) -> Recipe:
    del core
    made = winograd.winograd(step)
    sums_at = made.groups * made.group_words + made.window_words
    return Recipe(
        context=Context(made, 9 * made.channels_in, sums_at),
        constants=(_weights(step), made.table),
        overlaps=(winograd.overlap(step, by_row=True),),
        epilogue=None,
        # Layers of as many channels share most of it.
        code_bytes=2500,
        scratch_bytes=4 * (sums_at + 8 * made.channels_in * LANES),
        helpers=made.helpers | {f"winograd_weights {made.channels_in}"},
    )


def _weights(step: Step) -> Constant:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    words = np.ascontiguousarray(step.env.data(op.w), dtype=np.int8).view("<u4")
    return bit_words("weights", words, "weights", "[output][row][column][input]: bytes")


KERNEL = Kernel(
    "conv2d_winograd_bytes",
    "as conv2d_winograd, of weights as they are",
    accepts,
    cost,
    build,
)
