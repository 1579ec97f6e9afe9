"""QEM: the basis with the least squared error, by encoding and solving in turns.

LQ-Nets (Zhang et al., ECCV 2018, section 3.2) calls it quantization error minimization: for fixed
codes e the best basis is a least-squares solution, for a fixed basis the best codes are those of
the nearest levels, and neither half-step can raise the error. An offset is one more unknown, whose
code is always 1. Everything is computed for a batch of rows `[C, n]`, one grid each, in float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mcugen.quant.grid import Solver
from mcugen.quant.ops import rank_of, sorted_codes, sorted_levels

ROUNDS = 50  # of encoding and solving, unless the codes have settled before
RIDGE = 1e-8  # keeps the closed form solvable where two planes have equal or opposite codes
DECAY = 1e-4  # lambda of the gradient solver
DESCENT_STEPS = 50
OUTSIDE = 0.001  # share of the values on either side that the first grid leaves out
REACHES = tuple(step / 20 for step in range(20, 1, -1))  # 1.0 … 0.1 of the first grid's are tried


@dataclass(frozen=True)
class Solution:
    """A grid for each row: basis `[C, K]`, ascending and not negative, and offset `[C]`."""

    basis: Tensor
    offset: Tensor


@dataclass(frozen=True)
class Moments:
    """All that one solve has to know of the data: sums, so that batches add up.

    Taken about the values on the grid rather than about zero: no digits are lost where the offset
    is large. U unknowns: the basis, and the offset where it is solved for.
    """

    counts: Tensor  # [C, 2^K]: how many values are on each level, from the lowest up
    gram: Tensor  # [C, U, U]: sum of e e^T
    residual: Tensor  # [C, U]: sum of e times what the grid leaves of the value
    square: Tensor  # [C]: sum of the squares of what the grid leaves

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.counts + other.counts,
            self.gram + other.gram,
            self.residual + other.residual,
            self.square + other.square,
        )

    @property
    def size(self) -> Tensor:
        """`[C]`: the number of values."""
        return self.counts.sum(1)

    @property
    def error(self) -> Tensor:
        """`[C]`: the mean squared error."""
        return self.square / self.size


@dataclass(frozen=True)
class Qem:
    """What is solved for and how.

    `closed` solves the normal equations, with `RIDGE` holding on to the basis before where the
    codes do not determine it; the error never rises. `gradient` takes `DESCENT_STEPS` steps down
    error + `DECAY` |a|^2 with a step size that cannot overshoot, and it is that sum which never
    rises.

    Rows that are constant or all zero, or have fewer values than levels, or values of one sign
    give a finite basis like all others, with planes of zero where nothing is left to represent.
    The caller sees to it that no value is NaN or infinite.
    """

    planes: int
    offset: bool = False
    solver: Solver = "closed"

    def start(self, rows: Tensor) -> Solution:
        """The uniform grid that spans all but the outermost `OUTSIDE` of the values `[C, n]`.

        Without an offset it is symmetric about zero.
        """
        rows = rows.double()
        if self.offset:
            low, high = _quantile(rows, OUTSIDE), _quantile(rows, 1 - OUTSIDE)
            middle, reach = (low + high) / 2, (high - low) / 2
        else:
            reach = _quantile(rows.abs(), 1 - OUTSIDE)
            middle = torch.zeros_like(reach)
        weights = 2.0 ** torch.arange(self.planes, dtype=torch.float64) / (2**self.planes - 1)
        return Solution(reach[:, None] * weights, middle)

    def moments(self, rows: Tensor, at: Solution) -> Moments:
        """The moments of values `[C, n]` under the codes of their nearest levels."""
        rows = rows.double()
        levels = sorted_levels(at.basis)
        rank = rank_of(rows, levels, at.offset[:, None])
        rows = rows - at.offset[:, None]
        zero = torch.zeros_like(levels)
        counts = zero.scatter_add(1, rank, torch.ones((), dtype=rows.dtype).expand_as(rows))
        total = zero.scatter_add(1, rank, rows)
        left = total - counts * levels
        codes = sorted_codes(at.basis)  # [C, 2^K, K]
        if self.offset:
            codes = torch.cat([codes, torch.ones_like(codes[..., :1])], 2)
        return Moments(
            counts,
            torch.einsum("clu,cl,clv->cuv", codes, counts, codes),
            torch.einsum("clu,cl->cu", codes, left),
            # Of (x - q)^2, level by level: rounding must not take it below zero.
            (rows.square().sum(1) - (levels * (total + left)).sum(1)).clamp(min=0),
        )

    def solve(self, moments: Moments, at: Solution) -> Solution:
        """A better grid for the codes that `moments` were taken with, in canonical form."""
        size = moments.size[:, None]
        gram, residual = moments.gram / size[:, None], moments.residual / size
        before = self._unknowns(at)
        if self.solver == "closed":
            ridge = RIDGE * torch.eye(gram.shape[1], dtype=gram.dtype)
            unknowns = before + torch.linalg.solve(gram + ridge, residual)
        else:
            unknowns = before + _descend(gram, residual, before)
        offset = unknowns[:, self.planes] if self.offset else at.offset
        # A plane may change its sign with its code; the levels stay the same.
        return Solution(unknowns[:, : self.planes].abs().sort(1).values, offset)

    def step(self, rows: Tensor, at: Solution) -> Solution:
        """One round over values `[C, n]`: encode with the grid `at`, then solve."""
        return self.solve(self.moments(rows, at), at)

    def fit(self, batches: Sequence[Tensor], start: Solution | None = None) -> Solution:
        """The grid of the values in all batches `[C, n]`, after up to `ROUNDS` rounds.

        As with every descent the start decides where it ends. Without one given, each row has the
        better of two ends: from the grid of `start`, and from the best of the uniform grids that
        have one of `REACHES` of its reach, so that none of these is better than the result.
        """
        if start is not None:
            return self._settled(batches, start)
        widest = self.start(torch.cat(list(batches), 1))
        grids = [Solution(widest.basis * reach, widest.offset) for reach in REACHES]
        errors = torch.stack([self._over(batches, grid).error for grid in grids])  # [R, C]
        reach = torch.tensor(REACHES, dtype=torch.float64)[errors.argmin(0)]
        uniform = Solution(widest.basis * reach[:, None], widest.offset)
        ends = (self._settled(batches, grid) for grid in (widest, uniform))
        return self._better(batches, *ends)

    def _settled(self, batches: Sequence[Tensor], at: Solution) -> Solution:
        settled: Tensor | None = None
        for _ in range(ROUNDS):
            moments = self._over(batches, at)
            # Codes change if and only if some level wins or loses values or the order changes.
            codes = torch.cat([moments.counts.flatten(), sorted_codes(at.basis).flatten()])
            if settled is not None and torch.equal(codes, settled):
                break
            settled = codes
            at = self.solve(moments, at)
        return at

    def _better(self, batches: Sequence[Tensor], one: Solution, other: Solution) -> Solution:
        """Of each row the grid with less error, `one` where they are equal."""
        better = self._over(batches, other).error < self._over(batches, one).error
        return Solution(
            torch.where(better[:, None], other.basis, one.basis),
            torch.where(better, other.offset, one.offset),
        )

    def objective(self, batches: Sequence[Tensor], at: Solution) -> Tensor:
        """`[C]`: what the solver lowers, with the nearest levels as codes."""
        error = self._over(batches, at).error
        if self.solver == "closed":
            return error
        return error + DECAY * self._unknowns(at).square().sum(1)

    def _over(self, batches: Sequence[Tensor], at: Solution) -> Moments:
        total = self.moments(batches[0], at)
        for rows in batches[1:]:
            total = total + self.moments(rows, at)
        return total

    def _unknowns(self, at: Solution) -> Tensor:
        return torch.cat([at.basis, at.offset[:, None]], 1) if self.offset else at.basis


def _descend(gram: Tensor, residual: Tensor, before: Tensor) -> Tensor:
    """The way from `before`, `[C, U]`, down error + DECAY |a|^2.

    The diagonal of gram is 1, so that no eigenvalue exceeds U and the step below never overshoots.
    """
    step = 1 / (2 * (gram.shape[1] + DECAY))
    way = torch.zeros_like(before)
    for _ in range(DESCENT_STEPS):
        pull = torch.einsum("cuv,cv->cu", gram, way) - residual
        way = way - step * 2 * (pull + DECAY * (before + way))
    return way


def _quantile(rows: Tensor, share: float) -> Tensor:
    """`[C]`: the value that this share of each row does not exceed; any number of values."""
    position = min(max(round(share * rows.shape[1]), 1), rows.shape[1])
    return rows.kthvalue(position, 1).values
