"""How a tensor lies in memory: the C type of its units and how many there are.

Integers take the narrowest of (u)int8, (u)int16 and int32 that holds their bits, in NHWC order.
Bit planes take uint32 words: pixel by pixel, plane by plane, ceil(C/32) words; channel c is bit
c mod 32 of word c div 32, and the bits behind the last channel are zero.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mcugen.errors import fail
from mcugen.ir.types import INT32_MAX, INT32_MIN, Int, Planes, TensorType

WORD_BITS = 32

Dtype = Literal["uint8", "int8", "uint16", "int16", "int32", "bits"]


@dataclass(frozen=True)
class CType:
    """An integer type of C; `dtype` is its name in the manifest where tensors may have it."""

    name: str
    bytes: int
    lo: int
    hi: int
    dtype: Dtype | None


INT8 = CType("int8_t", 1, -(2**7), 2**7 - 1, "int8")
UINT8 = CType("uint8_t", 1, 0, 2**8 - 1, "uint8")
INT16 = CType("int16_t", 2, -(2**15), 2**15 - 1, "int16")
UINT16 = CType("uint16_t", 2, 0, 2**16 - 1, "uint16")
INT32 = CType("int32_t", 4, INT32_MIN, INT32_MAX, "int32")
#: A word of bit planes, never a number.
BITS = CType("uint32_t", 4, 0, 2**32 - 1, "bits")
INT64 = CType("int64_t", 8, -(2**63) + 1, 2**63 - 1, None)

_NUMBERS = (INT8, UINT8, INT16, UINT16, INT32)


@dataclass(frozen=True)
class Storage:
    """`count` units of type `c`; a pixel (all channels of one position) takes `pixel_units`."""

    c: CType
    count: int
    pixel_units: int

    @property
    def bytes(self) -> int:
        return self.count * self.c.bytes

    @property
    def pixel_bytes(self) -> int:
        return self.pixel_units * self.c.bytes


def words(channels: int) -> int:
    """Words that one bit plane of `channels` channels takes per pixel."""
    return -(-channels // WORD_BITS)


def storage_of(kind: TensorType) -> Storage:
    """How values of type `kind` lie in memory.

    Raises:
        McugenError: integers beyond 32 bits.
    """
    if isinstance(kind.element, Planes):
        per_pixel = kind.element.count * words(kind.channels)
        return Storage(BITS, kind.size // kind.channels * per_pixel, per_pixel)
    return Storage(_for_element(kind.element), kind.size, kind.channels)


def _for_element(element: Int) -> CType:
    if element.bits <= 8:
        return INT8 if element.signed else UINT8
    if element.bits <= 16:
        return INT16 if element.signed else UINT16
    if element.lo < INT32_MIN or element.hi > INT32_MAX:
        raise fail(
            "plan",
            f"a tensor of {element.spelling} [{element.lo}..{element.hi}] has no C type",
            want="values within 32 signed bits",
        )
    return INT32


def narrowest(values: np.ndarray) -> CType:
    """The narrowest C type for an array of constants (int64_t for wide ones).

    Raises:
        McugenError: a value beyond 64 bits.
    """
    lo, hi = int(values.min()), int(values.max())
    for c in (*_NUMBERS, INT64):
        if c.lo <= lo and hi <= c.hi:
            return c
    raise fail("plan", f"constants in [{lo}..{hi}] have no C type", want="64 bits")


def pack_planes(codes: np.ndarray) -> np.ndarray:
    """Codes −1/+1 with the channel last, as uint32 words: shape [..., ceil(C/32)]."""
    channels = codes.shape[-1]
    width = words(channels) * WORD_BITS
    bits = np.zeros((*codes.shape[:-1], width), dtype=np.uint8)
    bits[..., :channels] = codes > 0
    packed = np.packbits(bits, axis=-1, bitorder="little")
    return packed.view("<u4")


def unpack_planes(packed: np.ndarray, channels: int) -> np.ndarray:
    """The inverse of `pack_planes`: int8 codes −1/+1."""
    raw = np.ascontiguousarray(packed, dtype="<u4").view(np.uint8)
    bits = np.unpackbits(raw, axis=-1, bitorder="little")[..., :channels]
    return (2 * bits.astype(np.int8) - 1).astype(np.int8)
