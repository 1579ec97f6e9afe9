"""Step functions found as one multiplier and bias equal themselves on every integer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.ir import fixed_point
from mcugen.passes.staircase import Affine, affine, steps_of


def value(found: Affine, x: np.ndarray, lo: int, hi: int) -> np.ndarray:
    return np.clip((x * found.multiplier + found.bias) >> found.shift, lo, hi)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), relu=st.booleans(), reach=st.integers(1, 60_000))
def test_what_is_proven_is_equal_everywhere(seed: int, relu: bool, reach: int) -> None:
    rng = np.random.default_rng(seed)
    multiplier, exponent = rng.integers(2**30, 2**31, 3), -rng.integers(0, 14, 3)
    bias, zero = rng.integers(-reach, reach + 1, 3), int(rng.integers(-128, 128))
    lo = zero if relu else -128

    def levels(x: np.ndarray) -> np.ndarray:
        return np.clip(fixed_point.multiply(x + bias, multiplier, exponent) + zero, lo, 127)

    low = rng.integers(-reach, reach, 3)
    high = low + rng.integers(0, reach, 3)
    found = affine(steps_of(levels, (low, high), (lo, 127)), multiplier * 2.0 ** (exponent - 31))
    x = np.arange(-reach, 2 * reach)[:, None]
    inside = (x >= low) & (x <= high) & found.proven
    assert (value(found, x, lo, 127) == levels(x))[inside].all()
    if relu:
        assert found.proven.all()


def test_two_roundings_below_and_above_zero_are_no_line() -> None:
    """The step at zero is shorter than all others."""

    def levels(x: np.ndarray) -> np.ndarray:
        return np.clip(fixed_point.multiply(x, np.array([2**30 + 9]), np.array([-7])), -128, 127)

    ends = np.array([-(2**16)]), np.array([2**16])
    assert not affine(steps_of(levels, ends, (-128, 127)), np.array([2.0**-8])).proven.any()


@pytest.mark.parametrize("constant", [-5, 0, 127])
def test_a_constant_needs_no_multiplier(constant: int) -> None:
    steps = steps_of(
        lambda x: np.full_like(x, constant), (np.array([-9]), np.array([9])), (-128, 127)
    )
    found = affine(steps, np.array([0.0]))
    assert found.proven.all()
    assert (value(found, np.arange(-9, 10), -128, 127) == constant).all()
