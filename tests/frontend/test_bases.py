"""Real bases as small integers, and weights on them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.errors import McugenError
from mcugen.frontend.lower.bases import (
    MOST_PLANES,
    TOLERANCE,
    activation_grid,
    integer_bases,
    weights_on_basis,
)

entries = st.floats(1e-3, 1e3)


@given(
    st.lists(entries, min_size=1, max_size=4), st.integers(1, 3), st.sampled_from([127, 1023, 4095])
)
def test_integers_are_near_the_basis_and_within_their_sum(row, rows, most):
    basis = np.array([row] * rows) * np.arange(1, rows + 1)[:, None]
    whole, scale = integer_bases(basis, most)
    assert np.abs(whole).sum(axis=1).max() <= most
    error = np.abs(whole * scale[:, None] - basis).max(axis=1) / basis.max(axis=1)
    # Rounding at the finest scale is never better; the least squares scale doubles it at most.
    assert (error <= len(row) / (most - len(row)) + 2 * TOLERANCE).all()


@pytest.mark.parametrize(
    ("basis", "want"),
    [([0.3], [1]), ([0.25, 0.5], [1, 2]), ([0.3, 0.6, 1.2], [1, 2, 4]), ([3.0, 7.0], [3, 7])],
)
def test_simple_ratios_take_the_smallest_integers(basis, want):
    whole, scale = integer_bases(np.array([basis]), 127)
    assert whole[0].tolist() == want
    np.testing.assert_allclose(whole[0] * scale[0], basis, rtol=1e-12)


def test_two_entries_come_much_closer_than_by_rounding():
    rows = np.random.default_rng(0).uniform(0.1, 1, (500, 2))
    whole, scale = integer_bases(rows, MOST_PLANES)
    error = np.abs(whole * scale[:, None] - rows).max(axis=1) / rows.max(axis=1)
    assert np.median(error) < TOLERANCE / 2
    assert (error < TOLERANCE).mean() > 0.9  # ratios right beside a simple fraction are hardest
    assert error.max() < 0.5 / MOST_PLANES


def test_a_row_of_zeros_has_the_scale_zero():
    whole, scale = integer_bases(np.zeros((2, 3)), 127)
    assert whole.tolist() == [[1, 1, 1]] * 2
    assert scale.tolist() == [0, 0]


def test_weights_take_the_nearest_level_and_at_a_border_the_lower():
    rng = np.random.default_rng(1)
    basis = rng.uniform(0.05, 1, (5, 3))
    data = np.concatenate([rng.normal(0, 1, (5, 200)), np.zeros((5, 1))], axis=1)
    found = weights_on_basis(data, basis, "w")
    signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1)
    levels = np.sort(basis @ signs, axis=1)
    distance = np.abs(data[..., None] - levels[:, None, :])
    want = np.take_along_axis(levels, distance.argmin(axis=2), axis=1)
    np.testing.assert_allclose(found.real(), want)
    planes, scale = found.integers(4095)
    assert (np.abs(planes.sum(axis=0)).max(axis=1) <= 4095).all()
    np.testing.assert_allclose(planes.sum(axis=0) * scale[:, None], want, atol=2e-3)


def test_an_offset_for_zero_padding_becomes_an_integer():
    grid = activation_grid(np.array([-0.2, 0.5]), np.array(0.7), MOST_PLANES, True)
    assert grid.scale * -grid.zero == pytest.approx(0.7, rel=1e-4)
    assert grid.meaning_offset == 0
    np.testing.assert_allclose(grid.boundaries()[0], [0.2, 0.7, 1.2], atol=1e-7)


@pytest.mark.parametrize(
    ("basis", "offset"),
    [([np.nan], 0.0), ([0.0, 0.0], 0.0), ([1.0], np.inf), ([[1.0]], 0.0)],
)
def test_activations_on_no_basis_are_refused(basis, offset):
    with pytest.raises(McugenError):
        activation_grid(np.array(basis), np.array(offset), MOST_PLANES, False)


def test_weights_that_are_no_numbers_are_refused():
    with pytest.raises(McugenError, match="NaN or infinite"):
        weights_on_basis(np.array([[np.nan]]), np.array([1.0]), "w")
