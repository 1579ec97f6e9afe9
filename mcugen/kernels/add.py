"""Weighted sum of two integer tensors, element by element, in plain C."""

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.clamp import fit
from mcugen.kernels.constants import literal, within_32_bits
from mcugen.kernels.elementwise import recipe
from mcugen.kernels.initial import centred
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Add) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About fifteen cycles an element, epilogue included; four times that without SMULL."""
    return (15 if core.multiply_long else 60) * step.accumulator.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Add)
    zeros, factors = (op.x_zero, op.y_zero), (op.x_factor, op.y_factor)
    constant = -sum(zero * factor for zero, factor in zip(zeros, factors, strict=True))
    if constant and _sums_fit(step, factors, constant):
        terms = [literal(constant), *(_term(step, i, 0, factors[i]) for i in range(2))]
    else:
        terms = [_term(step, i, zeros[i], factors[i]) for i in range(2)]
    return recipe(step, " + ".join(terms))


def _sums_fit(step: Step, factors: tuple[int, int], constant: int) -> bool:
    """Terms without their zero points fit 32 bits, added one after the other to `constant`."""
    low = high = constant
    ends = [low]
    for item, factor in zip(step.inputs, factors, strict=True):
        element = item.type.integer
        products = sorted((element.lo * factor, element.hi * factor))
        low, high = low + products[0], high + products[1]
        ends += [*products, low, high]
    return fit(*ends)


def _term(step: Step, index: int, zero: int, factor: int) -> str:
    element = step.inputs[index].type.integer
    within_32_bits(
        step, f"operand {index} minus its zero point", element.lo - zero, element.hi - zero
    )
    within_32_bits(step, "a factor", factor, factor)
    value = centred(f"in_{index}[i]", literal(zero) if zero else "")
    return value if factor == 1 else f"({value} * {literal(factor)})"


KERNEL = Kernel("add", "add of integers", accepts, cost, build)
