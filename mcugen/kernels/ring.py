"""Rows of the input in scratch memory, in a layout of the kernel's own, while windows reach them.

Each row is brought there once. A row takes the place of one that no window reaches any more; behind
all places lies a row that is outside of the image if some window's is. templates/ring.j2 lays it
out.
"""

from dataclasses import dataclass

from mcugen.ir.ops import Window
from mcugen.kernels.window import Geometry


@dataclass(frozen=True)
class Ring:
    geometry: Geometry
    reach: int
    """Rows from a window's first to behind its last."""
    kept: int
    """Rows that are kept."""
    wraps: bool
    """A row takes the place of one that is `kept` rows above."""
    skips: bool
    """Some rows are in no window."""
    row_words: int
    """Words of a row, padding included."""

    @property
    def words(self) -> int:
        """Of all rows."""
        return (self.kept + self.geometry.rows.clipped) * self.row_words

    @property
    def outside(self) -> int:
        """Where the row that is outside of the image begins."""
        return self.kept * self.row_words


def ring(geometry: Geometry, vertical: Window, row_words: int) -> Ring:
    """The ring of a layer whose windows lie vertically as `vertical` says."""
    reach = (vertical.size - 1) * vertical.dilation + 1
    return Ring(
        geometry=geometry,
        reach=reach,
        kept=min(reach, geometry.rows.input),
        wraps=reach < geometry.rows.input,
        skips=vertical.stride > reach,
        row_words=row_words,
    )
