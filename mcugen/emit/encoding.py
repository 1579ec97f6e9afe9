"""Samples as they lie in a model's memory, and back: the one place that knows both forms.

Arrays are the interpreter's: integers [N, *shape without batch], or codes −1/+1 of shape
[K, N, *shape without batch] for bit planes. Memory is one row of bytes per sample.
"""

import math

import numpy as np

from mcugen.emit.manifest import Tensor
from mcugen.errors import fail
from mcugen.kernels.storage import pack_planes, unpack_planes, words


def encode_input(tensor: Tensor, samples: np.ndarray) -> np.ndarray:
    """Memory of `samples`: uint8 [N, tensor.bytes].

    Raises:
        McugenError: the samples are not integers of the tensor's shape within its interval.
    """
    _check(tensor, samples)
    count = samples.shape[1] if tensor.dtype == "bits" else samples.shape[0]
    if tensor.dtype == "bits":
        # From [K, N, ..., C] to words [N, pixels, K, words].
        packed = pack_planes(np.moveaxis(samples, 0, -2))
        raw = np.ascontiguousarray(packed, "<u4")
    else:
        raw = np.ascontiguousarray(samples, tensor.numpy_dtype)
    return raw.view(np.uint8).reshape(count, tensor.bytes)


def decode_output(tensor: Tensor, memory: np.ndarray) -> np.ndarray:
    """The inverse of `encode_input`; numbers come as int64, codes as int8."""
    raw = np.ascontiguousarray(memory, np.uint8)
    sample = tensor.shape[1:]
    if tensor.dtype != "bits":
        numbers = raw.view(tensor.numpy_dtype).astype(np.int64)
        return numbers.reshape(len(raw), *sample)
    channels = sample[-1]
    planes = _planes(tensor)
    packed = raw.view("<u4").reshape(len(raw), *sample[:-1], planes, words(channels))
    return np.moveaxis(unpack_planes(packed, channels), -2, 0)


def _planes(tensor: Tensor) -> int:
    pixels = math.prod(tensor.shape[:-1])
    return tensor.bytes // (4 * pixels * words(tensor.shape[-1]))


def _check(tensor: Tensor, samples: np.ndarray) -> None:
    planes = tensor.dtype == "bits"
    lead = (_planes(tensor), samples.shape[1]) if planes and samples.ndim > 1 else samples.shape[:1]
    if samples.shape != (*lead, *tensor.shape[1:]) or not np.issubdtype(samples.dtype, np.integer):
        shape = " x ".join(map(str, tensor.shape[1:]))
        raise fail(
            "data",
            f"samples are {samples.dtype}{list(samples.shape)}",
            want=f"integers, N samples of {shape} (channels last)",
        )
    if samples.size and (samples.min() < tensor.lo or samples.max() > tensor.hi):
        raise fail(
            "data",
            "samples leave the input's interval",
            got=f"values in [{samples.min()}..{samples.max()}]",
            want=f"[{tensor.lo}..{tensor.hi}]",
        )
    if planes and not np.isin(samples, (-1, 1)).all():
        raise fail("data", "samples of bit planes hold something other than -1 and +1")
