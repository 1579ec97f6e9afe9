"""Learned bases (LQ-Nets) as small integers with one real scale.

An integer program needs integer levels: basis ≈ scale·A with A in integers. The scale is free, so
it is chosen where all entries come close to integers at once (simultaneous Diophantine
approximation): with entries up to q the error falls as q^(−K/(K−1)), far below the 1/(2q) of
rounding at a given scale. An offset that must become an integer too joins in as one more entry.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.lower.grids import BasisGrid

#: Largest error of an entry, as a share of the largest entry, at which the search stops.
TOLERANCE = 2.0**-16
#: Bounds of Σ|A|: of activations in bit planes, of those that lie as bytes, of weights.
MOST_PLANES = 1023
MOST_BYTE = 127
MOST_WEIGHT = 4095
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class BasisConstant:
    """Weights on their bases: Σ_k basis[r, k]·codes[k, r, …]."""

    codes: np.ndarray
    """−1/+1, [K, O, …]."""
    basis: np.ndarray
    """float64 [1|O, K], ascending."""
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape[1:]

    def real(self) -> np.ndarray:
        """The weights as real numbers, [O, …]."""
        return (self.codes * self._along_rows(self.basis)).sum(axis=0)

    def integers(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Planes ±B int64 [K, O, …] with Σ B ≤ `most`, and the scale of each row [1|O]."""
        whole, scale = integer_bases(self.basis, max(most, self.basis.shape[1]))
        return self.codes.astype(np.int64) * self._along_rows(whole), scale

    def _along_rows(self, basis: np.ndarray) -> np.ndarray:
        """[R, K] as [K, R, 1 …]."""
        return basis.T.reshape(*basis.T.shape, *[1] * (self.codes.ndim - 2))


def integer_bases(basis: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers A [R, K] and scales [R] with basis ≈ scale·A.

    The smallest A within `TOLERANCE` is taken, else the closest of those with Σ|A| ≤ `most`.
    A row of zeros gets ones and the scale 0.

    Args:
        basis: float64 [R, K]; entries may be negative.
        most: bound of Σ|A|, at least K.
    """
    parts = [
        _closest(basis[first : first + _ROWS_AT_ONCE], most)
        for first in range(0, len(basis), _ROWS_AT_ONCE)
    ]
    whole = np.concatenate(parts)
    scale = (basis * whole).sum(axis=1) / (whole * whole).sum(axis=1)
    return whole, scale


def _closest(basis: np.ndarray, most: int) -> np.ndarray:
    largest = np.abs(basis).max(axis=1)
    live = np.where(largest[:, None] > 0, basis, 1.0) / np.where(largest > 0, largest, 1.0)[:, None]
    q = np.arange(1, most + 1)
    exact = live[:, None, :] * q[None, :, None]
    whole = np.floor(exact + 0.5)
    error = np.abs(exact - whole).max(axis=2) / q
    # The candidate q = 1 stands where nothing else fits.
    error[:, 1:][np.abs(whole).sum(axis=2)[:, 1:] > most] = np.inf
    within = error <= TOLERANCE
    index = np.where(within.any(axis=1), within.argmax(axis=1), error.argmin(axis=1))
    return whole[np.arange(len(basis)), index].astype(np.int64)


def activation_grid(
    basis: np.ndarray, offset: np.ndarray, most: int, integer_offset: bool
) -> BasisGrid:
    """The grid of an activation's basis [K] and offset [].

    Args:
        basis: entries in any order, of any sign: ±a are the same two levels.
        offset: the level in the middle.
        most: bound of the integers' sum.
        integer_offset: the offset must be a multiple of the scale (zero padding makes 0 a value of
            the tensor); otherwise it stays a real number of the meaning.

    Raises:
        McugenError: more than one basis or offset, entries that are all zero, NaN or infinite.
    """
    if basis.ndim != 1 or offset.size != 1:
        raise fail("lower", "an activation has one basis per tensor", got=f"{list(basis.shape)}")
    entries = np.sort(np.abs(basis.astype(np.float64)))
    middle = float(offset.ravel()[0])
    if not np.isfinite([*entries, middle]).all() or not entries[-1]:
        raise fail(
            "lower",
            f"quantizer basis {basis.tolist()} with offset {middle:g}",
            want="finite numbers, not all of them zero",
            help="calibrate on data that reaches this tensor, and check it for NaN",
        )
    joined = np.append(entries, -middle) if integer_offset else entries
    (whole,), (scale,) = integer_bases(joined[None], most)
    zero = int(whole[len(entries)]) if integer_offset else 0
    integers = tuple(int(entry) for entry in whole[: len(entries)])
    return BasisGrid(tuple(entries.tolist()), middle, integers, float(scale), zero)


def weights_on_basis(data: np.ndarray, basis: np.ndarray, name: str) -> BasisConstant:
    """The nearest level of every weight; at a border the lower one.

    Args:
        data: real weights [O, …].
        basis: [K] for all rows, or [O, K].
        name: of the parameter, for errors.

    Raises:
        McugenError: NaN or infinite weights or bases.
    """
    if not np.isfinite(data).all() or not np.isfinite(basis).all():
        raise fail("lower", f"{name} or its basis has NaN or infinite values")
    entries = np.sort(np.abs(np.atleast_2d(basis.astype(np.float64))), axis=1)
    signs = 2 * (np.arange(2 ** entries.shape[1])[:, None] >> np.arange(entries.shape[1]) & 1) - 1
    levels = entries @ signs.T
    order = np.argsort(levels, axis=1, kind="stable")
    ascending = np.take_along_axis(levels, order, axis=1)
    borders = (ascending[:, :-1] + ascending[:, 1:]) / 2
    rows = data.reshape(len(data), -1).astype(np.float64)
    rank = (rows[..., None] > borders[:, None, :]).sum(axis=2)
    numbers = np.take_along_axis(np.broadcast_to(order, (len(rows), order.shape[1])), rank, axis=1)
    codes = np.moveaxis(signs[numbers], -1, 0).reshape(-1, *data.shape)
    return BasisConstant(codes.astype(np.int8), entries, name)
