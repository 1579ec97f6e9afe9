"""Modules that put a tensor onto a grid: the trainable wrappers around the ops."""

from typing import cast

import torch
from torch import Tensor, nn

from mcugen.errors import fail
from mcugen.quant.grid import Basis, Grid, Uniform
from mcugen.quant.observer import Observer
from mcugen.quant.ops import quantize, quantize_basis
from mcugen.quant.qem import Qem, Solution

SHRINKS = tuple(0.2 + 0.025 * step for step in range(33))  # 0.2 … 1.0 of the observed range


class Quantizer(nn.Module):
    """A grid with its parameters. `axis` is the channel axis, −1 for one grid for the whole tensor.

    Calling it before `fit` is an error; with an observer attached it passes values through.
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
        scale, zero_point = self.scale_and_zero(low, high)
        if search:
            values = observer.sample()
            least = torch.full_like(scale, torch.inf)
            for shrink in SHRINKS:
                trial, zero = self.scale_and_zero(low * shrink, high * shrink)
                error = (
                    (quantize(values, trial, zero, self.lo, self.hi, 0) - values).square().mean(1)
                )
                better = error < least
                least = torch.where(better, error, least)
                scale = torch.where(better, trial, scale)
                zero_point = torch.where(better, zero, zero_point)
        self.set(scale, zero_point)

    def scale_and_zero(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
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


# One step of QEM in training: how many values of a row it looks at, and the weight of its result.
STEP_VALUES, STEP_SHARE = 40_000, 0.1


class BasisQuantizer(Quantizer):
    """`mcugen::quantize_basis` with a basis from QEM, and an offset where the grid has one.

    In training the basis is learned by gradient, or, after `follow`, goes after the data.
    """

    basis: nn.Parameter
    offset: Tensor

    def __init__(self, grid: Basis, axis: int) -> None:
        super().__init__(grid, axis)
        self.qem = Qem(grid.planes, grid.offset, grid.solver)
        self.basis = nn.Parameter(torch.ones(grid.planes))
        self.register_buffer("offset", torch.tensor(0.0))
        self.follows: str | None = None

    def on_grid(self, x: Tensor) -> Tensor:
        if not (self.training and self.follows):
            return cast(Tensor, quantize_basis(x, self.basis, self.offset, self.axis))
        with torch._C.DisableTorchFunction():  # QEM's own products are no calls of the model
            self._step(self.rows(x.detach()))
        # Copies: the next call changes the basis, and autograd refuses what changed since.
        return cast(Tensor, quantize_basis(x, self.basis.clone(), self.offset.clone(), self.axis))

    def fit(self, observer: Observer, percentile: float = 100.0, search: bool = False) -> None:
        """The grid of least squared error, as `Qem.fit` finds it; for one plane a = mean |x|.

        Values that are all zero give a = 0. `percentile` and `search` change nothing here.
        """
        solution = self.qem.fit([observer.sample()])
        self.set(solution.basis, solution.offset)

    def set(self, basis: Tensor, offset: Tensor) -> None:
        """Takes basis `[C, K]` and offset `[C]` (C = 1 for one grid)."""
        basis, offset = basis.to(self.offset.dtype), offset.to(self.offset.dtype)
        shaped = basis.detach().clone() if self.axis >= 0 else basis.detach().clone().reshape(-1)
        self.basis = nn.Parameter(shaped, requires_grad=self.basis.requires_grad)
        self.offset = self._shaped(offset)
        self.fitted = True

    def follow(self, name: str) -> None:
        """From now on each call in training takes basis and offset a step towards its data's.

        `name` is that of the tensor in error messages.
        """
        self.basis.requires_grad_(False)
        self.follows = name

    @torch.no_grad()
    def _step(self, rows: Tensor) -> None:
        """One round of QEM on a sample of `[C, n]`, and a moving average of what it finds."""
        if rows.shape[1] > STEP_VALUES:
            rows = rows[:, torch.randint(rows.shape[1], (STEP_VALUES,))]
        if not bool(torch.isfinite(rows).all()):
            raise fail("train", "values are NaN or infinite", at=self.follows, help="--lr less")
        rows_of_basis = self.basis.double().reshape(rows.shape[0], -1)
        found = self.qem.step(rows, Solution(rows_of_basis, self.offset.double().reshape(-1)))
        self.basis.lerp_(found.basis.reshape(self.basis.shape).to(self.basis.dtype), STEP_SHARE)
        self.offset.lerp_(found.offset.reshape(self.offset.shape).to(self.offset.dtype), STEP_SHARE)


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


def follow_data_(model: nn.Module) -> None:
    """Has QEM find every basis of a model in training, instead of gradients."""
    for name, module in model.named_modules():
        if isinstance(module, BasisQuantizer):
            module.follow(name)


@torch.no_grad()
def keep_scales_positive_(model: nn.Module) -> None:
    """Undoes an optimizer step that took a scale to zero or below."""
    for module in model.modules():
        if isinstance(module, AffineQuantizer):
            module.scale.clamp_(min=torch.finfo(module.scale.dtype).tiny)
