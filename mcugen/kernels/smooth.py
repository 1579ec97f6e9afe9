"""Logistic function and hyperbolic tangent of 16-bit numbers, element by element, in plain C."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.step import Step
from mcugen.kernels.window import elementwise_overlap
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    count: int
    fraction: int
    """Fraction bits of what the exponential is taken of."""
    tanh: bool


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Smooth) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About 150 cycles an element."""
    del core
    return 150 * step.output.type.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Smooth)
    tanh = isinstance(op, ops.Tanh)
    fraction = 15 - op.integer_bits - int(tanh)
    context = Context(step.output.type.size, fraction, tanh)
    overlaps = elementwise_overlap(step)
    return Recipe(context, (), overlaps, None, code_bytes=300, helpers=frozenset({"smooth"}))


KERNEL = Kernel("smooth", "logistic and tanh of integers", accepts, cost, build)
