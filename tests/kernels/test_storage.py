import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.errors import McugenError
from mcugen.ir import Int, Planes, TensorType
from mcugen.kernels.storage import narrowest, pack_planes, storage_of, unpack_planes, words


@given(st.integers(1, 100), st.integers(0, 2**32 - 1))
def test_planes_survive_packing_and_pad_bits_are_zero(channels: int, seed: int) -> None:
    codes = np.random.default_rng(seed).choice([-1, 1], (3, channels)).astype(np.int8)
    packed = pack_planes(codes)
    assert packed.shape == (3, words(channels))
    np.testing.assert_array_equal(unpack_planes(packed, channels), codes)
    ones = sum(int(word).bit_count() for word in packed.ravel())
    assert ones == (codes > 0).sum()


def test_channel_c_is_bit_c_mod_32_of_word_c_div_32() -> None:
    codes = np.full((40,), -1, np.int8)
    codes[33] = 1
    assert pack_planes(codes).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("element", "c", "size"),
    [
        (Int(1, False, 0, 1), "uint8_t", 6),
        (Int(8, True, -128, 127), "int8_t", 6),
        (Int(9, False, 0, 511), "uint16_t", 12),
        (Int(12, True, -5, 5), "int16_t", 12),
        (Int(17, False, 0, 5), "int32_t", 24),
        (Int(40, True, -5, 5), "int32_t", 24),
        (Planes((1,)), "uint32_t", 8),
        (Planes((1, 2)), "uint32_t", 16),
    ],
)
def test_storage(element: Int | Planes, c: str, size: int) -> None:
    storage = storage_of(TensorType((1, 2, 3), element))
    assert (storage.c.name, storage.bytes) == (c, size)


def test_integers_beyond_32_bits_are_refused() -> None:
    with pytest.raises(McugenError, match="has no C type"):
        storage_of(TensorType((1, 2), Int(32, False, 0, 2**32 - 1)))


def test_constants_take_the_narrowest_type() -> None:
    for values, name in (([0, 127], "int8_t"), ([0, 128], "uint8_t"), ([-1, 128], "int16_t")):
        assert narrowest(np.array(values)).name == name
    assert narrowest(np.array([2**31])).name == "int64_t"
