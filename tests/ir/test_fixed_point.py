"""Fixed-point arithmetic against what it stands for."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.ir import fixed_point

INT32 = st.integers(-(2**31) + 1, 2**31 - 1)


@given(INT32, INT32)
def test_doubling_high_multiply(a: int, b: int) -> None:
    got = int(fixed_point.doubling_high_multiply(np.array([a]), b)[0])
    assert got == math.floor(Fraction(a * b, 2**31) + Fraction(1, 2))


@given(INT32, st.integers(0, 31))
def test_divide_by_power(x: int, bits: int) -> None:
    got = int(fixed_point.divide_by_power(np.array([x]), bits)[0])
    size = math.floor(abs(Fraction(x, 2**bits)) + Fraction(1, 2))
    assert got == (size if x >= 0 else -size)


@pytest.mark.parametrize("a", [0, 1, 2**30, 2**31 - 1, *range(12345, 2**31, 2**31 // 50)])
def test_reciprocal(a: int) -> None:
    got = int(fixed_point.reciprocal(np.array([a]))[0])
    assert abs(got - 2**62 / (2**31 + a)) <= 8


def test_leading_zeros() -> None:
    x = np.array([1, 2, 3, 2**19, 2**28 - 1, 2**28, 2**31 - 1, 2**31, 2**32 - 1])
    assert fixed_point.leading_zeros(x).tolist() == [31, 30, 30, 12, 4, 3, 1, 0, 0]


@pytest.mark.parametrize("integer_bits", range(8))
def test_logistic(integer_bits: int) -> None:
    x = np.arange(-(2**15), 2**15)
    real = 1 / (1 + np.exp(-x / 2 ** (15 - integer_bits)))
    assert np.abs(fixed_point.logistic(x, integer_bits) / 2**15 - real).max() < 4e-4


@pytest.mark.parametrize("integer_bits", range(7))
def test_tanh(integer_bits: int) -> None:
    x = np.arange(-(2**15), 2**15)
    real = np.tanh(x / 2 ** (15 - integer_bits))
    assert np.abs(fixed_point.tanh(x, integer_bits) / 2**15 - real).max() < 4e-4


def test_exp() -> None:
    x = -np.arange(0, 2**31, 2**31 // 5000)
    assert np.abs(fixed_point.exp(x, 5) / 2**31 - np.exp(x / 2**26)).max() < 1e-6
