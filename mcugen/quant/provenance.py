"""What is known of each tensor in one run of a model: if it is constant, on which grid it is."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from mcugen.quant.grid import Basis, Grid, Uniform

_ATEN = torch.ops.aten
# Ops whose output values are among the input's values, so that the grid stays the same.
_KEEPS_GRID = {
    _ATEN.max_pool2d_with_indices,
    _ATEN.adaptive_max_pool2d,
    _ATEN.view,
    _ATEN._unsafe_view,
    _ATEN.reshape,
    _ATEN.alias,
    _ATEN.detach,
    _ATEN.clone,
    _ATEN.permute,
    _ATEN.transpose,
    _ATEN.t,
    _ATEN.squeeze,
    _ATEN.unsqueeze,
    _ATEN.slice,
    _ATEN.select,
    _ATEN.split,
    _ATEN.split_with_sizes,
    _ATEN.unbind,
    _ATEN.expand,
}


class OnGrid(Protocol):
    """The grid of a tensor, one object for tensors on the same one; it may be decided later."""

    @property
    def grid(self) -> Grid:
        """The levels."""


class Known:
    """A grid that is decided."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid


class Provenance(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the tensors through one run of the model; `add` says what goes in."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._live: set[int] = set()
        self._grids: dict[int, OnGrid] = {}
        self._values: dict[int, int] = {}
        self._alive: list[Tensor] = []  # an id is unique only while its tensor lives

    def add(self, tensor: Tensor, live: bool, grid: OnGrid | None) -> None:
        """Notes a tensor, or a new value of one changed in place."""
        self._alive.append(tensor)
        self._values[id(tensor)] = len(self._alive)
        self._live.discard(id(tensor))
        self._grids.pop(id(tensor), None)
        if live:
            self._live.add(id(tensor))
        if grid is not None:
            self._grids[id(tensor)] = grid

    def live(self, tensor: Tensor) -> bool:
        """Whether the value depends on the model's input."""
        return id(tensor) in self._live

    def grid(self, tensor: Tensor) -> OnGrid | None:
        """The grid that the value lies on."""
        return self._grids.get(id(tensor))

    def value(self, tensor: Tensor) -> int:
        """A number for the value; a tensor changed in place has another one."""
        return self._values[id(tensor)]

    def __torch_dispatch__(  # type: ignore[no-untyped-def]
        self, func, types, args=(), kwargs=None
    ) -> Any:
        kwargs = kwargs or {}
        live = any(self.live(x) for x in _tensors((args, kwargs)))
        names = (argument.name for argument in func._schema.arguments)
        grid = self._grid_after(func.overloadpacket, dict(zip(names, args, strict=False)) | kwargs)
        result = func(*args, **kwargs)
        for output in _tensors(result):
            self.add(output, live, grid)
        return result

    def _grid_after(self, op: Any, arguments: dict[str, Any]) -> OnGrid | None:
        if op is torch.ops.mcugen.quantize:
            return Known(Uniform(levels=arguments["hi"] - arguments["lo"] + 1))
        if op is torch.ops.mcugen.quantize_basis:
            return Known(Basis(planes=arguments["basis"].shape[-1]))
        if op is _ATEN.cat:
            grids = [self.grid(x) for x in arguments["tensors"]]
            return grids[0] if grids and all(grid is grids[0] for grid in grids) else None
        grid = self.grid(next(iter(arguments.values()), None))  # type: ignore[arg-type]
        if op is _ATEN.constant_pad_nd and grid is not None and not arguments.get("value", 0):
            return grid if isinstance(grid.grid, Uniform) else None
        return grid if op in _KEEPS_GRID else None


def _tensors(values: Any) -> Sequence[Tensor]:
    return [x for x in pytree.tree_leaves(values) if isinstance(x, Tensor)]
