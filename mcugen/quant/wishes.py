"""What is asked of each layer: the grids of its weights and of its operands."""

from collections.abc import Mapping
from dataclasses import dataclass

from mcugen.quant.functions import Role
from mcugen.quant.grid import Grid, Uniform, settle


@dataclass(frozen=True)
class LayerGrids:
    """What one layer has instead of the model's: grid of its weights, grid of its input."""

    weight: Grid | None = None
    activation: Grid | None = None


@dataclass(frozen=True)
class Wish:
    """A grid, and whether a finer one would do as well (not firm)."""

    grid: Grid
    firm: bool

    def met_by(self, grid: Grid) -> bool:
        """Whether a tensor on `grid` can stay there."""
        if self.firm:
            return grid.count <= self.grid.count
        return isinstance(grid, Uniform)


@dataclass(frozen=True)
class Wishes:
    """What `quantize_` was told."""

    weight: Grid
    activation: Grid
    skip: frozenset[str]
    overrides: Mapping[str, LayerGrids]

    def weight_of(self, owner: str) -> Grid:
        """The grid of a layer's weights."""
        return self.overrides.get(owner, LayerGrids()).weight or self.weight

    def operand_of(self, owner: str, role: Role) -> Wish:
        """The grid of an operand; sums and averages of signs are not wanted unless asked for."""
        own = self.overrides.get(owner, LayerGrids()).activation
        grid = settle(own or self.activation, weight=False)
        firm = own is not None or role is Role.LAYER
        if not firm and not isinstance(grid, Uniform):
            grid = settle(Uniform(bits=8), weight=False)
        return Wish(grid, firm)
