"""Rescaling with two roundings, as C computes it; templates/epilogues/rescale.c.j2 lays it out."""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import fixed_point, ops
from mcugen.ir.types import Int
from mcugen.kernels.clamp import Clamp, clamp, fit
from mcugen.kernels.constants import Constant, literal, numbers
from mcugen.kernels.step import Step


@dataclass(frozen=True)
class Rescaling:
    """Context of the template. Numbers are C; None where there is one per channel, in a table."""

    bias: str | None
    multiplier: str | None
    left: str | None
    """Bits that the accumulator is shifted by before it is multiplied."""
    right: str | None
    """Bits that the product's upper half is divided by."""
    halves: bool
    """Some products are divided, so that halves are rounded away from zero."""
    always: bool
    """All are."""
    sum_c: str
    """Type that the upper half and its rounding fit."""
    zero: str
    clamp: Clamp


def rescaling(step: Step, op: ops.Rescale) -> tuple[Rescaling, tuple[Constant, ...]]:
    """The context and the tables of a step's rescaling."""
    env, x = step.env, step.accumulator.integer
    exponent = env.data(op.exponent)
    tables = {
        "bias": env.data(op.bias),
        "multiplier": env.data(op.multiplier),
        "left": op.left + np.maximum(exponent, 0),
        "right": np.maximum(-exponent, 0),
    }
    tables = {key: data[:1] if (data == data[0]).all() else data for key, data in tables.items()}
    constants = [
        numbers(key, data, "table", "[channel]") for key, data in tables.items() if len(data) > 1
    ]
    scalars = {
        key: literal(int(data[0])) if len(data) == 1 else None for key, data in tables.items()
    }
    low, high = (op.scaled(np.array(end), env) + op.zero for end in (x.lo, x.hi))
    context = Rescaling(
        **scalars,
        halves=bool((tables["right"] > 0).any()),
        always=bool((tables["right"] > 0).all()),
        sum_c="int32_t" if _narrow(tables, x) else "int64_t",
        zero=literal(op.zero),
        clamp=clamp(op.lo, op.hi, int(low.min()), int(high.max())),
    )
    return context, tuple(constants)


def _narrow(tables: dict[str, np.ndarray], x: Int) -> bool:
    """The product's upper half still fits 32 bits when half of its divisor is added."""
    half = (1 << tables["right"]) >> 1
    ends = [
        fixed_point.doubling_high_multiply(
            (end + tables["bias"]) << tables["left"], tables["multiplier"]
        )
        for end in (x.lo, x.hi)
    ]
    return fit(int((ends[0] - 1).min()), int((ends[1] + half).max()), int((ends[0] + half).max()))
