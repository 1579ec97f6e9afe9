"""Multipliers that divide do so exactly."""

import numpy as np
import pytest

from mcugen.kernels.division import division


@pytest.mark.parametrize("divisors", [(1,), (3,), (49,), (64,), (2, 3, 4, 6, 9), (1, 1000)])
@pytest.mark.parametrize("reach", [0, 1, 127, 128, 255])
def test_every_quotient(divisors: tuple[int, ...], reach: int) -> None:
    found = division(divisors, reach)
    assert found is not None
    for n in divisors:
        a = np.arange(n * reach + n // 2 + 1)
        product = a * found.reciprocals[n - 1]
        np.testing.assert_array_equal(product >> found.shift, a // n)
        assert found.wide or product.max() < 2**32


def test_wide_quotients_at_their_ends() -> None:
    found = division((1, 7, 81), 2**15)
    assert found is not None
    for n in (1, 7, 81):
        most = n * 2**15 + n // 2
        for a in (0, n - 1, n, most - most % n - 1, most - most % n, most):
            assert a * found.reciprocals[n - 1] >> found.shift == a // n


def test_what_no_multiplier_divides() -> None:
    assert division((1, 2**20), 2**15) is None
