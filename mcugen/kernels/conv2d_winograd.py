"""3x3 convolution by Winograd's algorithm with weights as they are multiplied (see `winograd`).

They take 32 bytes of flash for nine: `conv2d_winograd_bytes` is slower and takes nine.
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

_G = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])


@dataclass(frozen=True)
class Context:
    winograd: Winograd
    block_words: int
    """Words of weights of a block of outputs."""


def cost(step: Step, core: Core) -> int:
    del core
    return winograd.cost(step)


def build(step: Step, core: Core) -> Recipe:
    del core
    made = winograd.winograd(step)
    return Recipe(
        context=Context(made, block_words=8 * made.channels_in * LANES),
        constants=(_weights(step), made.table),
        overlaps=(winograd.overlap(step, by_row=False),),
        epilogue=None,
        # Layers of as many channels share most of it.
        code_bytes=2000,
        scratch_bytes=4 * (made.group_words + made.window_words),
        helpers=made.helpers,
    )


def _weights(step: Step) -> Constant:
    op = step.op
    assert isinstance(op, ops.Conv2d)
    weights = step.env.data(op.w).astype(np.int64)
    sums = np.einsum("ai,oijc,bj->oabc", _G, weights, _G)
    outputs, channels = len(weights), weights.shape[3]
    # Words hold channels 0 and 2 of four, then 1 and 3, as the bytes of inputs come apart.
    pairs = sums.reshape(outputs // LANES, LANES, 16, channels // 4, 2, 2).swapaxes(4, 5)
    words = np.ascontiguousarray(pairs.transpose(0, 2, 3, 4, 1, 5), dtype="<i2").view("<u4")
    layout = f"[block of outputs][16][two inputs][{LANES} outputs]: pairs of int16"
    return bit_words("weights", words, "weights", layout)


KERNEL = Kernel(
    "conv2d_winograd",
    "3x3 conv2d of 8-bit integers by 8-bit integers without groups, in less than half the products",
    accepts,
    cost,
    build,
)
