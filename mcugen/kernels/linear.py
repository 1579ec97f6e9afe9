"""Fully connected layer of integers in plain C: one output after the other."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import numbers
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.initial import Start, centred, start
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    inputs: int
    outputs: int
    weight_c: str
    element: str
    start: Start


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Linear) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About nine cycles for two loads, a multiply-accumulate and the loop."""
    if not core.multiply_long:
        return 12 * step.macs + 110 * step.accumulator.size
    return 9 * step.macs + 30 * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Linear)
    weights = step.env.data(op.w)
    packed = numbers("weights", weights, "weights", "[output][input]")
    begin = start(step, weights, op.x_zero, optional=False)
    outputs, inputs = weights.shape
    context = Context(inputs, outputs, packed.c.name, centred("in[i]", begin.zero), begin)
    # Every output reads the whole input, so none may be written over it.
    return Recipe(context, (packed, *begin.constants), (None,), epilogue_of(step))


KERNEL = Kernel("linear", "linear of integers by integers", accepts, cost, build)
