"""Modules that put a tensor onto a grid: the trainable wrappers around the ops."""

from typing import cast

import torch
from torch import Tensor, nn

from mcugen.errors import fail
from mcugen.quant.grid import Basis, Grid, Uniform
from mcugen.quant.observer import Observer
from mcugen.quant.ops import quantize, quantize_basis

SHRINKS = tuple(0.2 + 0.025 * step for step in range(33))  # 0.2 … 1.0 of the observed range


class Quantizer(nn.Module):
    """A grid with its parameters. `axis` is the channel axis, −1 for one grid for the whole tensor.

    Until `fit` has set the parameters, calling it is an error; while an
    observer is attached, it passes values through and only looks at them.
    """

    def __init__(self, grid: Grid, axis: int) -> None:
        super().__init__()
        self.grid = grid
        self.axis = axis if grid.per_channel else -1
        self.observer: Observer | None = None
        self.fitted = False

    def forward(self, x: Tensor) -> Tensor:
        if self.observer is not None:
            self.observer.add(self.rows(x))
            return x
        if not self.fitted:
            raise fail(
                "quant",
                "an activation quantizer has no scale yet",
                help="run mcugen.quant.calibrate(model, batches) first",
            )
        return self.on_grid(x)

    def rows(self, x: Tensor) -> Tensor:
        """x as `[C, n]`, one row for each grid."""
        if self.axis < 0:
            return x.reshape(1, -1)
        return x.movedim(self.axis, 0).reshape(x.shape[self.axis], -1)

    def on_grid(self, x: Tensor) -> Tensor:
        """The value of the level nearest to each x."""
        raise NotImplementedError

    def fit(self, observer: Observer, percentile: float = 100.0, search: bool = False) -> None:
        """Sets the parameters from what was observed (see the subclasses)."""
        raise NotImplementedError

    def _shaped(self, values: Tensor) -> Tensor:
        """Values `[C]` in the shape of a parameter: `[]` for one grid."""
        return values.detach().clone() if self.axis >= 0 else values.detach().clone().reshape(())


class AffineQuantizer(Quantizer):
    """`mcugen::quantize` with a learned scale and a fixed integer zero point."""

    scale: nn.Parameter
    zero_point: Tensor

    def __init__(self, grid: Uniform, axis: int) -> None:
        super().__init__(grid, axis)
        self.lo, self.hi = grid.bounds
        self.symmetric = bool(grid.symmetric)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("zero_point", torch.tensor(0))

    def on_grid(self, x: Tensor) -> Tensor:
        return cast(Tensor, quantize(x, self.scale, self.zero_point, self.lo, self.hi, self.axis))

    def fit(self, observer: Observer, percentile: float = 100.0, search: bool = False) -> None:
        """Min/max (or quantile) range; with `search`, the part of it with the least squared error.

        The range always includes zero, which is exactly a level. Values that are all zero get the
        scale 1, since any scale represents them.
        """
        low, high = observer.range(percentile)
        scale, zero_point = self._scale_and_zero(low, high)
        if search:
            values = observer.sample()
            least = torch.full_like(scale, torch.inf)
            for shrink in SHRINKS:
                trial, zero = self._scale_and_zero(low * shrink, high * shrink)
                error = (
                    (quantize(values, trial, zero, self.lo, self.hi, 0) - values).square().mean(1)
                )
                better = error < least
                least = torch.where(better, error, least)
                scale = torch.where(better, trial, scale)
                zero_point = torch.where(better, zero, zero_point)
        self.set(scale, zero_point)

    def _scale_and_zero(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and zero point `[C]` of the ranges low … high, widened to include zero."""
        low, high = low.clamp(max=0), high.clamp(min=0)
        if self.symmetric:
            scale = torch.maximum(-low, high) / self.hi
            zero_point = torch.zeros_like(scale)
        else:
            scale = (high - low) / (self.hi - self.lo)
            zero_point = torch.floor(-low / scale + 0.5).nan_to_num(0.0).clamp(self.lo, self.hi)
        # A range so small that its scale is denormal is zero for every practical purpose.
        usable = scale >= torch.finfo(scale.dtype).tiny
        zero_point = torch.where(usable, zero_point, 0)
        return torch.where(usable, scale, 1.0), zero_point.to(torch.int64)

    def set(self, scale: Tensor, zero_point: Tensor) -> None:
        """Takes scale and zero point of shape `[C]` (`[1]` for one grid)."""
        self.scale = nn.Parameter(self._shaped(scale), requires_grad=self.scale.requires_grad)
        self.zero_point = self._shaped(zero_point)
        self.fitted = True


class BasisQuantizer(Quantizer):
    """`mcugen::quantize_basis` with a learned basis; the offset is 0 unless a method sets it."""

    basis: nn.Parameter
    offset: Tensor

    def __init__(self, grid: Basis, axis: int) -> None:
        super().__init__(grid, axis)
        self.planes = grid.planes
        self.basis = nn.Parameter(torch.ones(grid.planes))
        self.register_buffer("offset", torch.tensor(0.0))

    def on_grid(self, x: Tensor) -> Tensor:
        return cast(Tensor, quantize_basis(x, self.basis, self.offset, self.axis))

    def fit(self, observer: Observer, percentile: float = 100.0, search: bool = False) -> None:
        """One plane: a = mean |x|, which has the least squared error (XNOR-Net, section 3.1).

        More planes: equidistant levels up to the range, a start for methods that learn the basis.
        Values that are all zero give a = 0. `search` changes nothing here.
        """
        if self.planes == 1:
            basis = observer.sample().abs().mean(1, keepdim=True)  # [C, 1]
        else:
            low, high = observer.range(percentile)
            reach = torch.maximum(-low, high)[:, None] / (2**self.planes - 1)
            basis = reach * 2.0 ** torch.arange(self.planes)
        self.set(basis, basis.new_zeros(basis.shape[0]))

    def set(self, basis: Tensor, offset: Tensor) -> None:
        """Takes basis `[C, K]` and offset `[C]` (C = 1 for one grid)."""
        shaped = basis.detach().clone() if self.axis >= 0 else basis.detach().clone().reshape(-1)
        self.basis = nn.Parameter(shaped, requires_grad=self.basis.requires_grad)
        self.offset = self._shaped(offset)
        self.fitted = True


def make_quantizer(grid: Grid, axis: int) -> Quantizer:
    """The module for a settled grid; `axis` counts only where the grid is per channel."""
    if isinstance(grid, Basis):
        return BasisQuantizer(grid, axis)
    return AffineQuantizer(grid, axis)


def grid_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The learned scales and bases of a model, each once."""
    found = []
    for module in model.modules():
        if isinstance(module, AffineQuantizer):
            found.append(module.scale)
        elif isinstance(module, BasisQuantizer):
            found.append(module.basis)
    return found


@torch.no_grad()
def keep_scales_positive_(model: nn.Module) -> None:
    """Undoes an optimizer step that took a scale to zero or below."""
    for module in model.modules():
        if isinstance(module, AffineQuantizer):
            module.scale.clamp_(min=torch.finfo(module.scale.dtype).tiny)
