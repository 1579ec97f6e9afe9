"""Fully connected layer of integers in plain C, several outputs at once (see `blocked`)."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.blocked import LANES, Blocks, blocks, interleaved
from mcugen.kernels.constants import numbers
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.initial import Start, centred, start
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    inputs: int
    outputs: int
    blocks: Blocks
    weight_c: str
    element: str
    start: Start


def accepts(step: Step, core: Core) -> bool:
    del core
    whole = step.main_is(ops.Linear) and step.reads_integers
    return whole and step.accumulator.channels >= LANES


def cost(step: Step, core: Core) -> int:
    """As `conv2d_blocked`."""
    if not core.multiply_long:
        return 6 * step.macs + 110 * step.accumulator.size
    return (4 if core.dsp else 5) * step.macs + 30 * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Linear)
    weights = step.env.data(op.w)
    outputs, inputs = weights.shape
    layout = "[block of outputs][input][output], then [output][input]"
    packed = numbers("weights", interleaved(weights), "weights", layout)
    begin = start(step, weights, op.x_zero, optional=False)
    context = Context(
        inputs=inputs,
        outputs=outputs,
        blocks=blocks(outputs),
        weight_c=packed.c.name,
        element=centred("in[i]", begin.zero),
        start=begin,
    )
    # Every output reads the whole input, so none may be written over it.
    return Recipe(context, (packed, *begin.constants), (None,), epilogue_of(step))


KERNEL = Kernel(
    "linear_blocked",
    "linear of integers by integers, several outputs at once",
    accepts,
    cost,
    build,
)
