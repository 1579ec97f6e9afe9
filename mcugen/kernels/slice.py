"""Part of an axis of an integer tensor, in plain C: runs copied from the first to the last.

An element never moves towards the end, so that the output may lie over the input.
"""

import math
from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    runs: int
    run: int
    """Elements copied at once."""
    first: int
    """Index of the first of them in the input."""
    stride: int
    """From one run to the next in the input."""
    word: int
    """Elements of a word that is copied at once; 0 where they go one by one."""
    type: str
    """Of an element, in C."""


_WORD_BYTES = 4


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Slice) and step.reads_integers


def cost(step: Step, core: Core) -> int:
    """About seven cycles an element, or five a word."""
    k = _context(step, core)
    words = k.run // k.word if k.word else 0
    return k.runs * (10 + 5 * words + 7 * (k.run - words * k.word))


def build(step: Step, core: Core) -> Recipe:
    return Recipe(_context(step, core), (), (0,), None)


def _context(step: Step, core: Core) -> Context:
    op, shape = step.op, step.inputs[0].type.shape
    assert isinstance(op, ops.Slice)
    inner = math.prod(shape[op.axis + 1 :])
    c = step.output.storage.c
    return Context(
        runs=math.prod(shape[: op.axis]),
        run=(op.end - op.begin) * inner,
        first=op.begin * inner,
        stride=shape[op.axis] * inner,
        # Armv6-M loads no word from any address: compilers call memcpy for it.
        word=0 if core.architecture == "armv6-m" else _WORD_BYTES // c.bytes,
        type=c.name,
    )


KERNEL = Kernel("slice", "slice of integers", accepts, cost, build)
