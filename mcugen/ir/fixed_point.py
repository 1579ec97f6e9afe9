"""The fixed-point arithmetic of TFLite's reference kernels, on int64 arrays.

`MultiplyByQuantizedMultiplier` of tflite/kernels/internal/common.cc in its default build: two
roundings, as gemmlowp defines them.
"""

import numpy as np

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


def reciprocal(a: Array, bits: int = 32) -> Array:
    """1 / (1 + a) for a ≥ 0, both fractions of 2^(bits − 1): one_over_one_plus_x_for_x_in_0_1."""
    return np.minimum(2 * _twice_reciprocal(a, bits), _most(bits))


def complement(a: Array, bits: int = 32) -> Array:
    """(1 − a) / (1 + a), as `reciprocal`: one_minus_x_over_one_plus_x_for_x_in_0_1."""
    return np.minimum(4 * (_twice_reciprocal(a, bits) - (1 << (bits - 3))), _most(bits))


def _twice_reciprocal(a: Array, bits: int) -> Array:
    """2 / (1 + a) as a fraction of 2^(bits − 3): three steps of Newton and Raphson's method."""
    half = (a + (1 << (bits - 1))) >> 1
    x = _constant(1515870810, bits) + _product(half, _constant(-1010580540, bits), bits)
    for _ in range(3):
        rest = (1 << (bits - 3)) - _product(half, x, bits)
        x = x + 4 * _product(x, rest, bits)
    return x


#: exp(−1/4), exp(−1/2), exp(−1) … exp(−16) as fractions of 2^31.
_EXPONENTIALS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def exp(a: Array, integer_bits: int, bits: int = 32) -> Array:
    """exp(a) for a ≤ 0 as a fraction of 2^(bits − 1): gemmlowp's exp_on_negative_values.

    Args:
        a: fixed-point with `integer_bits` before its point, 1 … 7.
        integer_bits: see there.
        bits: 16 or 32.
    """
    fraction = bits - 1 - integer_bits
    quarter = 1 << (fraction - 2)
    rest = (a & (quarter - 1)) - quarter
    result = _exp_near_zero(rest << integer_bits, bits)
    quarters = rest - a
    for exponent, factor in enumerate(_EXPONENTIALS, -2):
        if exponent < integer_bits:
            smaller = _product(result, _constant(factor, bits), bits)
            result = np.where(quarters >> (fraction + exponent) & 1, smaller, result)
    if integer_bits > 5:
        result = np.where(a < -(32 << fraction), 0, result)
    return np.where(a == 0, _most(bits), result)


def _exp_near_zero(a: Array, bits: int) -> Array:
    """exp(a) for −1/4 ≤ a < 0: the Taylor series around −1/8."""
    x = a + (1 << (bits - 4))
    x2 = _product(x, x, bits)
    x3, x4 = _product(x2, x, bits), _product(x2, x2, bits)
    third = _product(divide_by_power(x4, 2) + x3, _constant(715827883, bits), bits)
    middle = _constant(1895147668, bits)
    slope = x + divide_by_power(third + x2, 1)
    return np.minimum(middle + _product(slope, middle, bits), _most(bits))


def logistic(a: Array, integer_bits: int) -> Array:
    """1 / (1 + exp(−a)) in Q0.15 of 16 bits."""
    positive = reciprocal(exp(-np.abs(a), integer_bits, 16), 16)
    return np.where(a > 0, positive, np.where(a == 0, 1 << 14, _most(16) - positive))


def tanh(a: Array, integer_bits: int) -> Array:
    """In Q0.15 of 16 bits."""
    size = complement(exp(-np.abs(a), integer_bits + 1, 16), 16)
    return np.sign(a) * size


def _product(a: Array, b: Array | int, bits: int) -> Array:
    """SaturatingRoundingDoublingHighMul of so many bits; never the one case that saturates."""
    return (a * b + (1 << (bits - 2))) >> (bits - 1)


def _constant(number: int, bits: int) -> int:
    """A constant of 32 bits in `bits` bits."""
    return int(divide_by_power(np.array(number), 32 - bits))


def _most(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def leading_zeros(x: Array) -> Array:
    """Of positive 32-bit integers."""
    return 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
