import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.emit.encoding import decode_output, encode_input
from mcugen.emit.manifest import Dtype, Tensor
from mcugen.emit.scale import ratio
from mcugen.errors import McugenError

LIMITS = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}
LIMITS |= {"int32": (-(2**31), 2**31 - 1)}


def _tensor(dtype: Dtype, shape: tuple[int, ...], size: int, lo: int = 0, hi: int = 1) -> Tensor:
    return Tensor(
        shape=shape, dtype=dtype, bytes=size, lo=lo, hi=hi, scale=1.0, zero_point=0,
        torch_shape=shape,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", LIMITS)
def test_numbers_survive(dtype: Dtype) -> None:
    lo, hi = LIMITS[dtype]
    samples = np.random.default_rng(0).integers(lo, hi, (5, 2, 3), endpoint=True)
    samples[0, 0] = lo, hi, 0
    size = 6 * np.dtype(dtype).itemsize
    tensor = _tensor(dtype, (1, 2, 3), size, lo, hi)
    memory = encode_input(tensor, samples)
    assert memory.shape == (5, size)
    np.testing.assert_array_equal(decode_output(tensor, memory), samples)
    assert memory[0].tobytes()[: size // 6] == lo.to_bytes(size // 6, "little", signed=lo < 0)


@pytest.mark.parametrize("planes", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 31, 32, 33, 64])
def test_planes_survive(planes: int, channels: int) -> None:
    codes = np.random.default_rng(0).choice([-1, 1], (planes, 4, 3, 2, channels)).astype(np.int8)
    size = 6 * planes * -(-channels // 32) * 4
    tensor = _tensor("bits", (1, 3, 2, channels), size, -1, 1)
    memory = encode_input(tensor, codes)
    assert memory.shape == (4, size)
    np.testing.assert_array_equal(decode_output(tensor, memory), codes)


@pytest.mark.parametrize(
    ("samples", "what"),
    [
        (np.zeros((4, 3), int), r"samples are int64\[4, 3\]"),
        (np.zeros((4, 2)), r"samples are float64\[4, 2\]"),
        (np.full((4, 2), 11), "samples leave the input's interval"),
    ],
)
def test_wrong_samples_are_refused(samples: np.ndarray, what: str) -> None:
    with pytest.raises(McugenError, match=what):
        encode_input(_tensor("uint8", (1, 2), 2, 0, 10), samples)


def test_codes_other_than_signs_are_refused() -> None:
    with pytest.raises(McugenError, match="other than -1 and"):
        encode_input(_tensor("bits", (1, 2), 4, -1, 1), np.zeros((1, 4, 2), int))


@given(st.floats(1e-30, 1e30))
def test_scales_as_ratios(scale: float) -> None:
    exact = ratio(scale)
    assert 0 < exact.numerator < 2**31 + 1
    assert abs(exact.numerator * 2.0**-exact.shift - scale) <= scale * 2.0**-31


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_scales_that_are_none(scale: float) -> None:
    with pytest.raises(McugenError, match="not positive and finite"):
        ratio(scale)
