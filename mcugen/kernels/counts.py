"""What bit-sliced counters hold, where they start, and what their counts mean.

With E_ij the number of equal bits of plane i of the input and plane j of the weights, among n,

    Σ (X − z)·W_r = start_r + Σ_j B_rj·Σ_i 2·A_i·E_ij,   start_r = −n·ΣA·ΣB_r − z·ΣW_r.

Where all products A_i·B_rj are one number per output times powers of two, a single counter takes in
every E_ij at the level of its power: C = Σ 2^s_ij·E_ij. Thresholds on such a sum are bounds on C.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Planes
from mcugen.kernels.planes import WeightPlanes, weight_planes
from mcugen.kernels.step import Step
from mcugen.kernels.taps import Cases

#: The highest level at which counts join a counter that is shared.
MOST_SHIFT = 4


@dataclass(frozen=True, eq=False)
class Counts:
    """The counters of one output and their worth."""

    weights: WeightPlanes
    factors: tuple[int, ...]
    """Of the counters of one plane of weights, A_i; of a shared counter, its unit."""
    basis: np.ndarray
    """B_rj [O, planes]; of a shared counter, each output's unit."""
    shifts: np.ndarray
    """Level at which plane pairs join: int [weight planes, input planes]."""
    shared: bool
    """There is one counter for all pairs of planes."""

    @property
    def most(self) -> int:
        """The largest count."""
        products = int(np.prod(self.weights.codes.shape[2:]))
        return products * (int((1 << self.shifts).sum()) if self.shared else 1)


def counts_of(step: Step, *, may_share: bool) -> Counts:
    """The counters of a dense step; `may_share`: the kernel can add at any level."""
    weights, element = weight_planes(step), step.inputs[0].type.element
    assert isinstance(element, Planes)
    inputs = _powers(np.array([element.basis]))
    outputs = _powers(weights.basis)
    pairs = (weights.basis.shape[1], element.count)
    if inputs is not None and outputs is not None and (may_share or pairs == (1, 1)):
        shifts = outputs[:, None] + inputs[None, :]
        if shifts.max() <= MOST_SHIFT:
            units = weights.basis.min(axis=1, keepdims=True)
            return Counts(weights, (min(element.basis),), units, shifts, shared=True)
    none = np.zeros(pairs, int)
    return Counts(weights, element.basis, weights.basis, none, shared=False)


def _powers(bases: np.ndarray) -> np.ndarray | None:
    """The powers of two of each column over the rows' smallest entries; None where they differ."""
    least = bases.min(axis=1, keepdims=True)
    rows = bases[least[:, 0] > 0]
    if (least == 0).any() and bases[least[:, 0] == 0].any():
        return None
    if not len(rows):
        return np.zeros(bases.shape[1], int)
    ratios = rows[0] // rows[0].min()
    exact = (rows == rows.min(axis=1, keepdims=True) * ratios).all()
    return np.log2(ratios).astype(int) if exact and not (ratios & (ratios - 1)).any() else None


def starts(step: Step, counts: Counts, cases: Cases) -> np.ndarray:
    """start_r of each case, modulo 2^32, which sums are formed in: int32 [cases, O or 1]."""
    element = step.inputs[0].type.element
    assert isinstance(element, Planes)
    weights = counts.weights
    rows = weights.basis.sum(axis=1).astype(np.int64) * element.reach
    start = -_products(weights, cases) * rows - _zero_part(step, weights, cases)
    same = (start == start[:, :1]).all()
    return (start[:, :1] if same else start).astype(np.int32)


def bounds(step: Step, counts: Counts, cases: Cases) -> np.ndarray:
    """The least count that passes each threshold of a step with a shared counter.

    Counts are those of weights in the direction of each output's thresholds. A bound lies in
    [0, most + 1]: int64 [cases, O, thresholds].
    """
    assert step.epilogue is not None
    op = step.epilogue.op
    assert isinstance(op, ops.Threshold)
    table = step.env.data(op.table).astype(np.int64)[None]
    units = counts.basis[None, :, :1].astype(np.int64) * counts.factors[0]
    levels = int((1 << counts.shifts).sum())
    most = (_products(counts.weights, cases) * levels)[..., None]
    # direction·acc = unit·(2C − most) − direction·z·ΣW.
    zero = direction(step) * _zero_part(step, counts.weights, cases)
    missing = table + zero[..., None]
    least = -(-(missing + units * most) // np.maximum(2 * units, 1))
    constant = np.where(missing <= 0, 0, most + 1)
    return np.clip(np.where(units > 0, least, constant), 0, most + 1)


def direction(step: Step) -> np.ndarray:
    """Direction of each output's thresholds, ±1."""
    assert step.epilogue is not None
    op = step.epilogue.op
    assert isinstance(op, ops.Threshold)
    return np.broadcast_to(step.env.data(op.direction).astype(np.int64), step.accumulator.channels)


def _products(weights: WeightPlanes, cases: Cases) -> np.ndarray:
    """Products in the windows of each case: int64 [cases, 1]."""
    return cases.inside.sum(axis=1, keepdims=True).astype(np.int64) * weights.codes.shape[-1]


def _zero_part(step: Step, weights: WeightPlanes, cases: Cases) -> np.ndarray:
    """z·ΣW over the taps inside: int64 [cases, O]."""
    op = step.op
    assert isinstance(op, ops.Conv2d | ops.Linear)
    by_tap = step.env.data(op.w).astype(np.int64).sum(axis=0)
    by_tap = by_tap.reshape(len(by_tap), cases.inside.shape[1], -1).sum(axis=-1)
    return op.x_zero * (cases.inside.astype(np.int64) @ by_tap.T)
