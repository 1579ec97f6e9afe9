"""The fixed-point arithmetic of TFLite's reference kernels, on int64 arrays.

`MultiplyByQuantizedMultiplier` of tflite/kernels/internal/common.cc in its default build: two
roundings, as gemmlowp defines them.
"""

import numpy as np

from mcugen.ir.types import INT32_MAX

Array = np.ndarray


def doubling_high_multiply(x: Array, multiplier: Array | int) -> Array:
    """x · multiplier / 2^31 rounded, halves up: gemmlowp's SaturatingRoundingDoublingHighMul.

    Both factors are int32, and not both −2^31, the one case that saturates.
    """
    return (x * multiplier + (1 << 30)) >> 31


def divide_by_power(x: Array, exponent: Array | int) -> Array:
    """x / 2^exponent rounded, halves away from zero: gemmlowp's RoundingDivideByPOT."""
    half = (np.int64(1) << exponent) >> 1
    return (x + half + np.where(half > 0, x >> 63, 0)) >> exponent


def multiply(x: Array, multiplier: Array, exponent: Array, left: int = 0) -> Array:
    """x · 2^left · multiplier · 2^(exponent − 31), rounded twice.

    Args:
        x: int64, with x · 2^(left + max(exponent, 0)) within int32.
        multiplier: 0 … 2^31 − 1, of a shape that broadcasts with x.
        exponent: −31 … 30, of the multiplier's shape.
        left: bits that x is shifted by first, as in TFLite's sums.
    """
    shifted = x << (left + np.maximum(exponent, 0))
    return divide_by_power(doubling_high_multiply(shifted, multiplier), np.maximum(-exponent, 0))


def reciprocal(a: Array) -> Array:
    """1 / (1 + a) in Q0.31 for a ≥ 0 in Q0.31: gemmlowp's one_over_one_plus_x_for_x_in_0_1.

    Three steps of Newton and Raphson's method; x is in Q2.29.
    """
    half = (a + (1 << 31)) >> 1
    x = 1515870810 + doubling_high_multiply(half, -1010580540)
    for _ in range(3):
        rest = (1 << 29) - doubling_high_multiply(half, x)
        x = x + 4 * doubling_high_multiply(x, rest)
    return np.minimum(2 * x, INT32_MAX)


def leading_zeros(x: Array) -> Array:
    """Of positive 32-bit integers."""
    return 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
