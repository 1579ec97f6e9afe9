"""LOGISTIC and TANH of int16: both between the points of one table of the logistic function.

tflite/kernels/internal/reference/integer_ops/logistic.h and tanh.h; scales as Prepare of
tflite/kernels/activations.cc brings them to the table, whose points are 1/24 apart.
"""

import math
from dataclasses import dataclass

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE, Context
from mcugen.frontend.tflite.graph import Operator
from mcugen.ir import ops

#: The kernels' table is the function in 16 bits, rounded, and one more at points of which
#: the bit is set.
_ONE_MORE = 0x800000000000000000000000000000800011009020440005C0467BAEFA7BD110


@dataclass(frozen=True)
class Curve:
    """How what lies between points becomes the function; see `ir.ops.Interpolate`."""

    fraction: int
    top: int
    above: int
    below: int
    shift: int
    left_shifts: tuple[int, ...]
    """Scales of 2^(these − 12) are brought to the table without rounding."""


LOGISTIC = Curve(9, 0x7FFF << 10, 1 << 9, (1 << 25) + (1 << 9) - 1, 10, (0,))
TANH = Curve(8, 0xFFFF << 8, (1 << 7) - (1 << 23), (1 << 23) + (1 << 7) - 1, 8, (0, 1))


def between_points(ctx: Context, operator: Operator, curve: Curve) -> None:
    x, result = ctx.activation(operator, 0, ("int16",)), ctx.result(operator, 0, ("int16",))
    if x.zero or result.zero or result.scale != 2.0**-15:
        got = f"zero points {x.zero} and {result.zero}, scale {result.scale:g}"
        raise fail(STAGE, f"{operator.name} on int16", got=got, want="0, 0 and 2^-15")
    multiplier, right = _to_table(x.scale, curve)
    points = np.floor(2**16 / (1 + np.exp(-np.arange(256) / 24)) + 0.5).astype(np.int64)
    points += np.array([_ONE_MORE >> point & 1 for point in range(256)])
    op = ops.Interpolate(
        x.ref,
        ctx.numbers(operator, "points", points),
        multiplier=multiplier,
        right=right,
        fraction=curve.fraction,
        top=curve.top,
        above=curve.above,
        below=curve.below,
        shift=curve.shift,
    )
    ctx.finish(operator, op)


def _to_table(scale: float, curve: Curve) -> tuple[int, int]:
    """A multiplier and a shift to the right that bring the input to 3 · 2^12 units."""
    power = math.log2(scale)
    if abs(power - round(power)) < 1e-3 and 12 + round(power) in curve.left_shifts:
        return 3 << (12 + round(power)), 0
    multiplier, right = scale * 4096 * 3, 0
    while multiplier <= 32767 / 2 and right <= 30:
        multiplier, right = multiplier * 2, right + 1
    return int(multiplier), right
