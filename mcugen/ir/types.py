"""Tensor types of the integer program: a shape and an element.

An element is an integer with the interval its values lie in, or K bit planes of {−1, +1}. Shapes
carry the batch first (always 1 in a program); images are NHWC, so the channel is the last axis.
"""

import math
import re
from dataclasses import dataclass

from mcugen.errors import fail

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
MAX_ELEMENTS = 2**31 - 1


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
    """`count` bit planes; each element is a code e ∈ {−1, +1}^count (bit 1 stands for +1)."""

    count: int

    @property
    def spelling(self) -> str:
        return f"planes<{self.count}>"


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
    r"(?:planes<(?P<planes>\d+)>|(?P<sign>[iu])(?P<bits>\d+))\[(?P<shape>[\d,]*)\]"
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
        return TensorType(shape, Planes(int(match["planes"])))
    if match["lo"] is None:
        raise fail("text", f"'{text}' has no interval", want="like u8[1,28,28,1] [0..255]")
    signed = match["sign"] == "i"
    return TensorType(shape, Int(int(match["bits"]), signed, int(match["lo"]), int(match["hi"])))
