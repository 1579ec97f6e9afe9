"""Axes of an integer tensor in another order, in plain C: one loop per axis of the output."""

import math
from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Loop:
    variable: str
    extent: int
    indent: int


@dataclass(frozen=True)
class Context:
    loops: tuple[Loop, ...]
    index: str
    """Where the element lies in the input, from the loops' variables."""
    indent: int


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Transpose) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About ten cycles an element."""
    del core
    return 10 * step.output.type.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Transpose)
    shape = step.inputs[0].type.shape
    axes = [axis for axis in op.perm if shape[axis] > 1]
    loops = tuple(Loop(f"i{n}", shape[axis], 4 * (n + 1)) for n, axis in enumerate(axes))
    terms = [
        _term(loop.variable, math.prod(shape[axis + 1 :]))
        for loop, axis in zip(loops, axes, strict=True)
    ]
    return Recipe(Context(loops, " + ".join(terms) or "0", 4 * (len(axes) + 1)), (), (None,), None)


def _term(variable: str, stride: int) -> str:
    return variable if stride == 1 else f"({variable} * {stride})"


KERNEL = Kernel("transpose", "transpose of integers", accepts, cost, build)
