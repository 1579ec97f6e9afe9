"""Product of two integer tensors, element by element, in plain C."""

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import literal, within_32_bits
from mcugen.kernels.elementwise import recipe
from mcugen.kernels.initial import centred
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Mul) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About thirty cycles an element, epilogue included."""
    del core
    return 30 * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Mul)
    factors = []
    for index, zero in enumerate((op.x_zero, op.y_zero)):
        element = step.inputs[index].type.integer
        within_32_bits(
            step, f"operand {index} minus its zero point", element.lo - zero, element.hi - zero
        )
        factors.append(centred(f"in_{index}[i]", literal(zero) if zero else ""))
    return recipe(step, " * ".join(factors))


KERNEL = Kernel("mul", "mul of integers", accepts, cost, build)
