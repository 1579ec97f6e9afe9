"""Sums of products of bit planes: what the simple loops over words have in common.

With X = Σ_i A_i·e_i and W_r = Σ_j B_rj·f_j, a sum of n products is

    Σ (X − z)·W_r = Σ_j B_rj·(Σ_i A_i·S_ij − z·S_j),  S_ij = n − 2·d_ij,  S_j = 2·p_j − n,

where d_ij counts the bits in which plane i of the input differs from plane j of the weights, and
p_j those set in the weights. Pad bits are zero on both sides and never counted.
templates/planes.j2 lays it out.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Planes
from mcugen.kernels.constants import Constant, literal, numbers
from mcugen.kernels.step import Step
from mcugen.kernels.storage import words


@dataclass(frozen=True)
class InputPlane:
    """One plane of the input: its place in a pixel, in words, and its A as C."""

    word: int
    coefficient: str


@dataclass(frozen=True)
class Product:
    """Context of the macros in templates/planes.j2."""

    inputs: tuple[InputPlane, ...]
    weight_planes: int
    zero: str
    """z as C; empty where it is zero."""
    plain: bool
    """One plane ±1 on both sides and no zero point: n − 2·d."""


@dataclass(frozen=True, eq=False)
class WeightPlanes:
    """Weights taken apart: codes ±1 [K, O, ...] and bases [O, K]."""

    codes: np.ndarray
    basis: np.ndarray


def weight_planes(step: Step) -> WeightPlanes:
    """The planes of a dense step's weights."""
    op = step.op
    assert isinstance(op, ops.Conv2d | ops.Linear)
    data = step.env.data(op.w)
    basis = np.abs(data).reshape(*data.shape[:2], -1)[..., 0].T
    return WeightPlanes(np.where(data > 0, 1, -1).astype(np.int8), basis)


def product(step: Step, weights: WeightPlanes) -> tuple[Product, tuple[Constant, ...]]:
    """How the loops of a dense step form their sums, and the table of bases where they need one."""
    op, element = step.op, step.inputs[0].type.element
    assert isinstance(op, ops.Conv2d | ops.Linear)
    assert isinstance(element, Planes)
    plain = element.basis == (1,) and weights.basis.shape[1] == 1 and not op.x_zero
    plain = plain and bool((weights.basis == 1).all())
    per_plane = words(step.inputs[0].type.channels)
    inputs = tuple(
        InputPlane(plane * per_plane, literal(entry)) for plane, entry in enumerate(element.basis)
    )
    table = () if plain else (numbers("basis", weights.basis, "weights", "[output][plane]"),)
    zero = literal(op.x_zero) if op.x_zero else ""
    return Product(inputs, weights.basis.shape[1], zero, plain), table
