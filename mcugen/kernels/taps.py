"""Which taps of a window lie inside the image, row by row and column by column."""

from dataclasses import dataclass

import numpy as np

from mcugen.ir.ops import Window
from mcugen.ir.ops.windows import Windowed
from mcugen.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class AxisCases:
    """One spatial axis of the windows of a layer."""

    cases: np.ndarray
    """Which case the windows at each output position are: int [positions]."""
    inside: np.ndarray
    """Taps inside the image in each case: bool [cases, taps]."""
    ranges: np.ndarray
    """First output position at which each tap is inside, and the end: int [taps, 2]."""

    @property
    def count(self) -> int:
        return len(self.inside)

    @property
    def visits(self) -> int:
        """Pairs of a tap and an output position at which it is inside."""
        return int((self.ranges[:, 1] - self.ranges[:, 0]).sum())


@dataclass(frozen=True, eq=False)
class Cases:
    """Both axes; a window's case is that of its row times `columns.count` plus its column's."""

    rows: AxisCases
    columns: AxisCases

    @property
    def count(self) -> int:
        return self.rows.count * self.columns.count

    @property
    def inside(self) -> np.ndarray:
        """Taps inside in each case: bool [cases, taps]."""
        both = self.rows.inside[:, None, :, None] & self.columns.inside[None, :, None, :]
        return both.reshape(self.count, -1)


def cases_of(op: Windowed, x: TensorType, size: tuple[int, int], *, by_number: bool) -> Cases:
    """The cases of the windows of `op` on `x`.

    `by_number`: windows that have equally many taps inside are one case, whichever those are.
    """
    vertical, horizontal = op.windows(size)
    return Cases(
        _axis(vertical, x.shape[1], by_number=by_number),
        _axis(horizontal, x.shape[2], by_number=by_number),
    )


def whole() -> Cases:
    """The one case of a layer without windows."""
    axis = AxisCases(np.zeros(1, int), np.ones((1, 1), bool), np.array([[0, 1]]))
    return Cases(axis, axis)


def _axis(window: Window, extent: int, *, by_number: bool) -> AxisCases:
    origins = np.arange(window.extent(extent)) * window.stride - window.before
    taps = origins[:, None] + np.arange(window.size) * window.dilation
    inside = (taps >= 0) & (taps < extent)
    keys = inside.sum(axis=1, keepdims=True) if by_number else inside
    _, first, cases = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    begin = inside.argmax(axis=0)
    ranges = np.stack([begin, begin + inside.sum(axis=0)], axis=1)
    return AxisCases(cases.ravel(), inside[first], ranges)
