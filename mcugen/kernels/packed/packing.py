"""How small numbers share words so that one multiplication makes many products.

With SMLAL, a word of the input holds pixels u_0 .. u_(P−1), one every B bits; a word of weights
holds T taps of each of Q outputs, backwards:

    X = Σ_p u_p·2^(B·p)        W = Σ_q 2^(B·L·q)·Σ_k v_qk·2^(B·(T−1−k)),  L = P + T − 1

X·W is a polynomial in 2^B whose coefficients are sums of products. Limb i of output q, at bit
B·(L·q + i), is Σ u_p·v_qk over p + T − 1 − k = i: where u are neighbouring pixels and v the taps of
a row of a window, the share of the output that lies at i − (T − 1). With T = 1 this is an outer
product of P pixels by Q outputs.

With MLA or MULS the accumulator has 32 bits, and only the lower 32 of a product count.

With SMLAD, each half of a word holds two inputs of one output, u_0 + u_1·2^B meets
v_1 + v_0·2^B, and limb 1 of the sum of both halves' products is the sum of four products; limb 0 is
of no use, and what is above limb 1 leaves the accumulator.

Many products X·W are added in an accumulator. Each limb starts at a bias that keeps it within
[0, 2^B), so that none borrows from the next (the last may have fewer bits). Those of limbs whose
sums meet in one output (i, i + P, …) add up to 2^(B − 1), which the start of the sums takes off
again.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np

_HALF = 16
_WORD_BITS = 32


@dataclass(frozen=True)
class Limb:
    """A sum in the accumulator."""

    output: int
    """Of those of the word of weights."""
    index: int
    """i; in a convolution, an output's position in the tile, from the first pixel's."""
    shift: int
    """Its lowest bit."""
    bits: int
    """B, or what is left of the accumulator."""
    taps: tuple[int, ...]
    """Taps k whose products it holds, with pixels p = index − (T − 1 − k)."""
    bias: int


class Multiply(Enum):
    """What multiplies, and the accumulator's bits."""

    SMLAL = 64
    SMLAD = 32
    """P = T = 2, in each of two halves."""
    SINGLE = -32
    """MLA or MULS."""


@dataclass(frozen=True)
class Packing:
    """See the module's docstring."""

    pixels: int
    taps: int
    outputs: int
    bits: int
    """B."""
    by: Multiply

    @property
    def paired(self) -> bool:
        return self.by is Multiply.SMLAD

    @property
    def accumulator_bits(self) -> int:
        return abs(self.by.value)

    @property
    def width(self) -> int:
        """L: limbs of one output."""
        return self.pixels + self.taps - 1

    @property
    def halves(self) -> int:
        return 1 + self.paired

    @property
    def products(self) -> int:
        """Of one multiplication that are of use."""
        return 4 if self.paired else self.pixels * self.taps * self.outputs

    @property
    def limbs(self) -> tuple[Limb, ...]:
        """All that must stay within B bits: useful ones and those below them."""
        ends = self.taps if self.paired else self.width
        return tuple(self._limb(q, i) for q in range(self.outputs) for i in range(ends))

    @property
    def useful(self) -> tuple[Limb, ...]:
        return self.limbs[1:] if self.paired else self.limbs

    @property
    def bias(self) -> int:
        """What an output's sum grows by in one accumulation."""
        return 2 ** (self.bits - 1)

    @property
    def start(self) -> int:
        """The accumulator before anything is added."""
        return sum(limb.bias << limb.shift for limb in self.limbs)

    @property
    def input_places(self) -> tuple[int, ...]:
        """The lowest bit of each number of a word of the input."""
        return tuple(
            _HALF * half + self.bits * p for half in range(self.halves) for p in range(self.pixels)
        )

    def _limb(self, output: int, index: int) -> Limb:
        taps = self._taps(index)
        before = sum(len(self._taps(i)) for i in range(index % self.pixels, index, self.pixels))
        share = (before + len(taps)) * self.bias // self.taps - before * self.bias // self.taps
        if self.paired:
            share = self.bias
        shift = self.bits * (self.width * output + index)
        bits = min(self.bits, self.accumulator_bits - shift)
        return Limb(output, index, shift, bits, taps, share)

    def _taps(self, index: int) -> tuple[int, ...]:
        last = self.taps - 1
        return tuple(k for k in range(self.taps) if 0 <= index - (last - k) < self.pixels)


def weight_words(packing: Packing, v: np.ndarray) -> np.ndarray:
    """Numbers [..., Q, half, T] as words modulo 2^32: int64 [...]."""
    taps = packing.bits * (packing.taps - 1 - np.arange(packing.taps))
    outputs = packing.bits * packing.width * np.arange(packing.outputs)
    halves = (v << outputs[:, None, None] + taps).sum(axis=(-3, -1))
    if packing.paired:
        halves = (halves & 0xFFFF) << _HALF * np.arange(2)
    return halves.sum(axis=-1) & 0xFFFFFFFF


def unpacked(packing: Packing, words: np.ndarray) -> np.ndarray:
    """The inverse of `weight_words`: int64 [..., Q, half, T]."""
    v = np.zeros((*words.shape, packing.outputs, packing.halves, packing.taps), np.int64)
    size, digit = _WORD_BITS // packing.halves, 2**packing.bits
    for half in range(packing.halves):
        rest = _signed(words >> _HALF * half, size)
        for output in range(packing.outputs):
            for place in range(packing.width):
                number = _signed(rest, packing.bits)
                rest = (rest - number) // digit
                if place < packing.taps:
                    v[..., output, half, packing.taps - 1 - place] = number
    return v


def _signed(values: np.ndarray, bits: int) -> np.ndarray:
    """The lowest bits as a signed number."""
    half = 2 ** (bits - 1)
    return ((values + half) & (2**bits - 1)) - half


def widest(form: Packing, *, u: tuple[int, int], v: tuple[int, int]) -> Packing | None:
    """`form` with the widest limbs with which all words fit, none where there are no such.

    Args:
        form: its `bits` are the most that are tried.
        u: the least and the greatest input.
        v: the least and the greatest weight.
    """
    reach, taps = _WORD_BITS // form.halves - 1, np.arange(form.taps)
    for bits in range(form.bits, 1, -1):
        places = bits * (form.width * np.arange(form.outputs)[:, None] + taps)
        sums = [end * sum(2 ** (bits * p) for p in range(form.pixels)) for end in u]
        sums += [end * sum(2 ** int(place) for place in places.flat) for end in v]
        # A weight is a digit of its word: the proof takes words apart again.
        digits = -(2 ** (bits - 1)) <= v[0] and v[1] < 2 ** (bits - 1)
        if digits and -(2**reach) <= min(sums) and max(sums) < 2**reach:
            return Packing(form.pixels, form.taps, form.outputs, bits, form.by)
    return None


#: SMLAD's, with the widest limbs.
PAIRED = Packing(2, 2, 1, 16, Multiply.SMLAD)


def widest_forms(pixels: int, taps: int, outputs: int, by: Multiply) -> tuple[Packing, Packing]:
    """With the widest limbs of one size, and with a smaller last one."""
    limbs, bits = outputs * (pixels + taps - 1), abs(by.value)
    even = min(31, bits // limbs)
    uneven = min(31, (bits - even // 2) // max(1, limbs - 1))
    return (Packing(pixels, taps, outputs, even, by), Packing(pixels, taps, outputs, uneven, by))
