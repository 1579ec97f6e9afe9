"""A layer's inputs and weights as small integers, and what brings the sums back.

With X = g·u + c for the input and W_r = f_r·v_r for the weights of output r,

    Σ (X − z)·W_r = start_r + factor_r·Σ u·v_r

with factor_r = g·f_r and start_r = (c − z)·ΣW_r. All of it holds modulo 2^32. u lies around zero,
so that sums of products stay as small as signed numbers can.
"""

import math
from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Planes
from mcugen.kernels.step import Step

#: Products of wider numbers leave limbs too little room to gain anything over pairs of 16 bits.
WIDEST_PRODUCT = 1024


@dataclass(frozen=True, eq=False)
class Operands:
    """See the module's docstring; all arrays have the output first."""

    low: int
    """The least and the greatest u, those of taps outside of the image included."""
    high: int
    base: int
    """u of an integer x is x + base − middle, that of planes Σ coefficients·bits − middle."""
    middle: int
    outside: int
    """u of a tap outside of the image."""
    coefficients: tuple[int, ...]
    """One for each plane; none in integers."""
    v: np.ndarray
    start: np.ndarray
    factor: np.ndarray

    @property
    def weights(self) -> tuple[int, int]:
        """The least and the greatest v, and zero, which fills up words."""
        return min(0, int(self.v.min())), max(0, int(self.v.max()))

    @property
    def narrow(self) -> bool:
        products = max(-self.low, self.high) * np.abs(self.v).max()
        return bool(products <= WIDEST_PRODUCT)

    @property
    def inputs(self) -> tuple[int, int]:
        return self.low, self.high


def operands_of(step: Step, *, padded: bool) -> Operands:
    """The operands of a layer.

    Args:
        step: a convolution or fully connected layer.
        padded: some windows reach over the image's border, so that a u must stand for z.
    """
    op = step.op
    assert isinstance(op, ops.Conv2d | ops.Linear)
    element, data = step.inputs[0].type.element, step.env.data(op.w).astype(np.int64)
    zero = op.x_zero
    if isinstance(element, Planes):
        weights = data.sum(axis=0)
        unit = math.gcd(*(2 * entry for entry in element.basis), padded * (zero + element.reach))
        unit, least, greatest = max(1, unit), -element.reach, element.reach
        scale = np.gcd.reduce(weights.reshape(len(weights), -1), axis=1)
        scale = np.maximum(scale, 1)
        coefficients = tuple(2 * entry // unit for entry in element.basis)
    else:
        weights, unit, least, greatest = data, 1, element.lo, element.hi
        scale, coefficients = np.ones(len(data), np.int64), ()
    outside = (zero - least) // unit if padded else 0
    ends = (min(0, outside), max((greatest - least) // unit, outside))
    middle = (ends[0] + ends[1]) // 2
    rows = scale.reshape(-1, *[1] * (weights.ndim - 1))
    total = weights.reshape(len(weights), -1).sum(axis=1)
    return Operands(
        low=ends[0] - middle,
        high=ends[1] - middle,
        base=0 if coefficients else -least,
        middle=middle,
        outside=outside - middle,
        coefficients=coefficients,
        v=weights // rows,
        start=(least + unit * middle - zero) * total,
        factor=unit * scale,
    )
