"""Integer tensors one after the other along an axis, in plain C."""

import math
from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.step import Step
from mcugen.kernels.window import ahead
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Part:
    operand: str
    c: str
    block: int
    """Elements copied at once."""


@dataclass(frozen=True)
class Context:
    blocks: int
    parts: tuple[Part, ...]


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Concat) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About eight cycles an element."""
    del core
    return 8 * step.output.type.size


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Concat)
    single = len(step.inputs) == 1
    parts = tuple(
        Part(
            "in" if single else f"in_{index}",
            item.storage.c.name,
            math.prod(item.type.shape[op.axis :]),
        )
        for index, item in enumerate(step.inputs)
    )
    blocks = math.prod(step.output.type.shape[: op.axis])
    return Recipe(Context(blocks, parts), (), _overlaps(step, parts, blocks), None)


def _overlaps(step: Step, parts: tuple[Part, ...], blocks: int) -> tuple[int, ...]:
    """Blocks of one part after the other, element by element."""
    size, number = step.output.storage.c.bytes, np.arange(blocks)
    period, before, found = sum(part.block for part in parts), 0, []
    for part, item in zip(parts, step.inputs, strict=True):
        read = number * part.block * item.storage.c.bytes
        begun = (number * period + before) * size
        grown = max(0, (part.block - 1) * (size - item.storage.c.bytes))
        found.append(ahead(read, begun + grown, begun + part.block * size))
        before += part.block
    return tuple(found)


KERNEL = Kernel("concat", "concat of integers", accepts, cost, build)
