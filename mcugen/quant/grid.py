"""Grids: which levels a tensor may take. Plain data; `quantizer.py` puts a tensor onto one."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from mcugen.errors import fail

MAX_LEVELS = 65536
MAX_BITS = 8
MAX_PLANES = 8
Solver = Literal["closed", "gradient"]


@dataclass(frozen=True)
class Uniform:
    """Equidistant levels that always include zero.

    Give `bits` (1 … 8) or `levels` (≥ 2), not both. `symmetric` and `per_channel` left at None
    follow the role: weights are symmetric with one scale per output channel, activations affine
    with one scale per tensor. Two levels, hence one bit, mean binary ±a (see `settle`).

    Symmetric grids have zero point 0: b bits are −(2^(b−1) − 1) … 2^(b−1) − 1, so that a value and
    its negative are both levels; an even number of `levels` N has one more below: −N/2 … N/2 − 1.
    Affine grids have levels 0 … N − 1 and an integer zero point among them.
    """

    bits: int | None = None
    levels: int | None = None
    symmetric: bool | None = None
    per_channel: bool | None = None

    def __post_init__(self) -> None:
        if (self.bits is None) == (self.levels is None):
            raise fail("quant", "a grid needs either bits or levels", got=repr(self))
        if self.bits is not None and not 1 <= self.bits <= MAX_BITS:
            raise fail("quant", "bits out of range", got=str(self.bits), want=f"1 … {MAX_BITS}")
        if self.levels is not None and not 2 <= self.levels <= MAX_LEVELS:
            raise fail("quant", "levels out of range", got=str(self.levels), want="2 or more")

    @property
    def count(self) -> int:
        """How many levels the grid has once its symmetry is known."""
        if self.levels is not None:
            return self.levels
        assert self.bits is not None
        return 2**self.bits - 1 if self.symmetric and self.bits > 1 else 2**self.bits

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest level (lo, hi)."""
        if self.symmetric:
            lowest = -(self.count // 2)
            return lowest, lowest + self.count - 1
        return 0, self.count - 1


@dataclass(frozen=True)
class Basis:
    """The 2^planes levels offset ± a_1 ± … ± a_K (LQ-Nets); one plane is binary.

    `offset` is for activations of one sign, as a ReLU makes them: without one, half of the levels
    would lie where no value is. Weights have none. `solver` is how its basis is found
    (`mcugen/quant/qem.py`).
    """

    planes: int = 1
    per_channel: bool | None = None
    offset: bool = False
    solver: Solver = "closed"

    def __post_init__(self) -> None:
        if not 1 <= self.planes <= MAX_PLANES:
            raise fail("quant", "planes out of range", got=str(self.planes), want="1 … 8")
        if self.solver not in get_args(Solver):
            want = ", ".join(get_args(Solver))
            raise fail("quant", "no solver of this name", got=repr(self.solver), want=want)

    @property
    def count(self) -> int:
        """How many levels the grid has."""
        return int(2**self.planes)


Grid = Uniform | Basis


def settle(grid: Grid, weight: bool) -> Grid:
    """The grid with everything decided for its role: a weight, or else an activation.

    Two levels become one plane ±a: for weights a = mean |w| of the output channel (XNOR-Net,
    Rastegari et al., 2016), for activations a sign with one a for the tensor.
    """
    per_channel = weight if grid.per_channel is None else grid.per_channel
    if isinstance(grid, Basis):
        if weight and grid.offset:
            raise fail("quant", "weights on planes have no offset", help="Basis(…, offset=False)")
        return replace(grid, per_channel=per_channel)
    symmetric = weight if grid.symmetric is None else grid.symmetric
    settled = replace(grid, symmetric=symmetric, per_channel=per_channel)
    return Basis(planes=1, per_channel=per_channel) if settled.count == 2 else settled
