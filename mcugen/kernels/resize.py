"""Nearest neighbours in plain C: pixels copied from the rows and columns that tables name."""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.constants import numbers
from mcugen.kernels.step import Step
from mcugen.kernels.window import ahead
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Context:
    rows: int
    columns: int
    width: int
    """Of the input."""
    units: int
    """Units of memory in a pixel."""


def accepts(step: Step, core: Core) -> bool:
    del core
    return step.main_is(ops.Resize)


def cost(step: Step, core: Core) -> int:
    """About eight cycles a unit and twenty a pixel."""
    del core
    storage = step.output.storage
    return 8 * storage.count + 20 * (storage.count // storage.pixel_units)


def build(step: Step, core: Core) -> Recipe:
    del core
    op = step.op
    assert isinstance(op, ops.Resize)
    rows, columns = step.env.data(op.rows), step.env.data(op.columns)
    constants = (
        numbers("rows", rows, "table", "[output row]: input row"),
        numbers("columns", columns, "table", "[output column]: input column"),
    )
    width, storage = step.inputs[0].type.shape[2], step.output.storage
    context = Context(rows.size, columns.size, width, storage.pixel_units)
    read = (rows.reshape(-1, 1) * width + columns.reshape(1, -1)).ravel() * storage.pixel_bytes
    begun = np.arange(read.size) * storage.pixel_bytes
    distance = ahead(read, begun, begun + storage.pixel_bytes)
    return Recipe(context, constants, (distance,), None)


KERNEL = Kernel("resize", "resize of integers and planes", accepts, cost, build)
