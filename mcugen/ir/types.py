"""Tensor types of the integer program: a shape and an element.

An element is an integer with the interval its values lie in, or a sum of bit planes ±basis. Shapes
carry the batch first (always 1 in a program); images are NHWC, so the channel is the last axis.
"""

import math
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mcugen.errors import fail

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
MAX_ELEMENTS = 2**31 - 1
MAX_PLANES = 8


@dataclass(frozen=True)
class Int:
    """An integer of `bits` bits whose values lie in [lo, hi]."""

    bits: int
    signed: bool
    lo: int
    hi: int

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise fail("ir", f"integer of {self.bits} bits", want="1 to 64 bits")
        if self.lo > self.hi:
            raise fail("ir", f"empty interval [{self.lo}..{self.hi}]")
        if self.lo < self.least or self.hi > self.greatest:
            raise fail("ir", f"interval [{self.lo}..{self.hi}] does not fit {self.spelling}")

    @property
    def least(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def greatest(self) -> int:
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def spelling(self) -> str:
        return f"{'i' if self.signed else 'u'}{self.bits}"

    @property
    def levels(self) -> int:
        return self.hi - self.lo + 1


@dataclass(frozen=True)
class Planes:
    """Bit planes: an element is Σ basis[k]·e_k with a code e ∈ {−1, +1}^K (bit 1 stands for +1).

    What is computed at run time lies on `basis` itself. The rows of a constant (weights) have
    bases of their own, which `basis` bounds as an interval bounds integers.
    """

    basis: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.basis) <= MAX_PLANES or min(self.basis) < 0:
            raise fail(
                "ir", f"{self.spelling}", want=f"1 to {MAX_PLANES} planes of non-negative integers"
            )

    @property
    def count(self) -> int:
        return len(self.basis)

    @property
    def spelling(self) -> str:
        return f"planes<{','.join(map(str, self.basis))}>"

    @property
    def reach(self) -> int:
        """The largest value; the smallest is its negative."""
        return sum(self.basis)

    @cached_property
    def ranked(self) -> np.ndarray:
        """Number of the code at each rank: int64 [2^K], from the smallest value to the largest.

        Bit k of a code's number is set where e_k = +1. Equal values keep the order of numbers.
        """
        signs = 2 * (np.arange(2**self.count)[:, None] >> np.arange(self.count) & 1) - 1
        return np.argsort(signs @ np.array(self.basis), kind="stable")

    @property
    def ordered(self) -> bool:
        """Codes rise with their numbers: each entry is at least the sum of those before it."""
        return bool((np.diff(self.ranked) > 0).all())


#: One plane of ±1.
BINARY = Planes((1,))
Element = Int | Planes


def spanning(lo: int, hi: int) -> Int:
    """The narrowest integer type that holds [lo, hi]: signed when lo < 0."""
    if lo >= 0:
        return Int(max(1, hi.bit_length()), False, lo, hi)
    return Int(
        max(lo.__invert__().bit_length(), hi.bit_length() if hi > 0 else 0) + 1, True, lo, hi
    )


def accumulator(lo: int, hi: int) -> Int:
    """A 32-bit accumulator with the interval [lo, hi]."""
    return Int(32, True, lo, hi)


@dataclass(frozen=True)
class TensorType:
    """Shape and element of one value."""

    shape: tuple[int, ...]
    element: Element

    def __post_init__(self) -> None:
        if any(extent < 1 for extent in self.shape):
            raise fail("ir", f"shape {list(self.shape)} has an extent below 1")
        if self.size > MAX_ELEMENTS:
            raise fail("ir", f"shape {list(self.shape)} has more than {MAX_ELEMENTS} elements")

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def integer(self) -> Int:
        """The element as an integer; bit planes where one is needed are a fault of the program."""
        if not isinstance(self.element, Int):
            raise fail("ir", f"{self} where an integer tensor is needed")
        return self.element

    def __str__(self) -> str:
        text = f"{self.element.spelling}[{','.join(map(str, self.shape))}]"
        if isinstance(self.element, Int):
            text += f" [{self.element.lo}..{self.element.hi}]"
        return text


_TYPE = re.compile(
    r"(?:planes<(?P<planes>[\d,]+)>|(?P<sign>[iu])(?P<bits>\d+))\[(?P<shape>[\d,]*)\]"
    r"(?: \[(?P<lo>-?\d+)\.\.(?P<hi>-?\d+)\])?"
)


def parse_type(text: str) -> TensorType:
    """The inverse of `str(TensorType)`.

    Raises:
        McugenError: `text` is not a type.
    """
    match = _TYPE.fullmatch(text.strip())
    if match is None:
        raise fail("text", f"'{text}' is not a tensor type", want="like u8[1,28,28,1] [0..255]")
    shape = tuple(int(extent) for extent in match["shape"].split(",") if extent)
    if match["planes"]:
        basis = tuple(int(entry) for entry in match["planes"].split(",") if entry)
        return TensorType(shape, Planes(basis))
    if match["lo"] is None:
        raise fail("text", f"'{text}' has no interval", want="like u8[1,28,28,1] [0..255]")
    signed = match["sign"] == "i"
    return TensorType(shape, Int(int(match["bits"]), signed, int(match["lo"]), int(match["hi"])))
