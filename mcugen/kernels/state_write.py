"""What a state becomes, copied to where it lies."""

from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    bytes: int


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.StateWrite)


def cost(step: Step, core: Core) -> int:
    """About a cycle a byte."""
    del core
    return step.output.storage.bytes


def build(step: Step, core: Core) -> Recipe:
    del core
    # The state itself is no operand: it is where the output lies.
    return Recipe(Context(step.output.storage.bytes), (), (None,), None, code_bytes=20)


KERNEL = Kernel("state_write", "state_write of integers", accepts, cost, build)
