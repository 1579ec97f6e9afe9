"""Tensors of an ONNX file: declared shape and type, values out of raw or typed fields."""

import math
from typing import Any

import numpy as np

from mcugen.errors import McugenError, fail
from mcugen.frontend.onnx.graph import STAGE, Known

MAX_RANK = 8
#: Of one tensor: above what any microcontroller holds, below what a typing mistake allocates.
MAX_ELEMENTS = 2**24
#: Of all constants of a model together.
MAX_CONSTANT_ELEMENTS = 2**25

#: TensorProto.DataType by number (onnx.proto); other types have no place in an integer network.
DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    16: "bfloat16",
    21: "uint4",
    22: "int4",
}
FLOATS = frozenset({"float32", "float16", "float64", "bfloat16"})
#: Least and greatest level of the types that quantizers write.
LEVELS = {
    "uint4": (0, 15),
    "int4": (-8, 7),
    "uint8": (0, 255),
    "int8": (-128, 127),
    "uint16": (0, 65535),
    "int16": (-32768, 32767),
}
#: What numpy holds a type in, where it has no such type itself.
_STORED = {"uint4": "uint8", "int4": "int8", "bfloat16": "uint16"}
#: The typed field that holds a type when there are no raw bytes, besides int32_data.
_TYPED = {
    "float32": "float_data",
    "float64": "double_data",
    "int64": "int64_data",
}
_EXTERNAL = 1


class Tensors:
    """Reads tensors, and keeps count of what they take together."""

    def __init__(self) -> None:
        self._left = MAX_CONSTANT_ELEMENTS

    def read(self, tensor: Any, at: str) -> Known:
        """The value of a TensorProto; `at` names it in messages.

        Raises:
            McugenError: a type, shape or amount of data that is wrong or too large, or data
                outside of the file.
        """
        dtype = dtype_of(tensor.data_type, at)
        if tensor.data_location == _EXTERNAL or tensor.external_data:
            location = next((e.value for e in tensor.external_data if e.key == "location"), None)
            raise fail(
                STAGE,
                "a tensor's data lies in another file",
                at=at,
                got=None if location is None else ascii(location[:100]),
                want="one file",
                help="onnx.save(onnx.load('model.onnx'), 'whole.onnx') puts all data inside",
            )
        if tensor.HasField("segment"):
            raise fail(STAGE, "a tensor is stored in segments", at=at, want="a whole tensor")
        shape = checked_shape(tuple(tensor.dims), at)
        self._left -= math.prod(shape)
        if self._left < 0:
            want = f"at most {MAX_CONSTANT_ELEMENTS} values"
            raise fail(STAGE, "the constants take too much memory", at=at, want=want)
        flat = _raw(tensor, dtype, math.prod(shape), at)
        data = flat.reshape(shape)
        data.setflags(write=False)
        return Known(data, dtype)


def dtype_of(code: int, at: str) -> str:
    """The name of an element type.

    Raises:
        McugenError: a type that mcugen does not read.
    """
    if code not in DTYPES:
        want = ", ".join(DTYPES.values())
        raise fail(STAGE, "an element type is not supported", at=at, got=f"type {code}", want=want)
    return DTYPES[code]


def checked_shape(dims: tuple[int, ...], at: str) -> tuple[int, ...]:
    """`dims` as a shape.

    Raises:
        McugenError: too many axes, a negative extent, or too many elements.
    """
    if len(dims) > MAX_RANK:
        want = f"at most {MAX_RANK}"
        raise fail(STAGE, f"a tensor has {len(dims)} axes", at=at, want=want)
    if any(extent < 0 for extent in dims):
        raise fail(STAGE, "a tensor has a negative extent", at=at, got=f"dims {list(dims)}")
    if math.prod(dims) > MAX_ELEMENTS:
        want = f"at most {MAX_ELEMENTS} elements"
        raise fail(STAGE, "a tensor is too large", at=at, got=f"dims {list(dims)}", want=want)
    return dims


def _raw(tensor: Any, dtype: str, count: int, at: str) -> np.ndarray:
    """The elements, flat."""
    stored = np.dtype(_STORED.get(dtype, dtype))
    packed = dtype in ("int4", "uint4")
    places = -(-count // 2) if packed else count
    if tensor.HasField("raw_data"):
        want_bytes = places * stored.itemsize
        if len(tensor.raw_data) != want_bytes:
            raise _amount(at, "raw_data", len(tensor.raw_data), f"{want_bytes} bytes")
        flat = np.frombuffer(tensor.raw_data, stored.newbyteorder("<"))
    else:
        name = _TYPED.get(dtype, "int32_data")
        values = getattr(tensor, name)
        if len(values) != places:
            raise _amount(at, name, len(values), f"{places} values")
        flat = np.array(values, stored) if dtype in _TYPED else _narrowed(values, dtype, at)
    if packed:
        flat = _unpacked(flat, dtype, count)
    if dtype == "bfloat16":
        return (flat.astype(np.uint32) << 16).view(np.float32)
    return flat.astype(stored)


def _narrowed(values: Any, dtype: str, at: str) -> np.ndarray:
    """Elements out of int32_data: each is one value's bits, or those of two nibbles."""
    stored = np.dtype(_STORED.get(dtype, dtype))
    bits = np.dtype(np.uint16) if stored.kind == "f" else stored
    least, greatest = (0, 1) if dtype == "bool" else (np.iinfo(bits).min, np.iinfo(bits).max)
    if dtype in ("int4", "uint4"):
        least, greatest = -128, 255
    wide = np.array(values, dtype=np.int32)
    outside = wide[(wide < least) | (wide > greatest)]
    if outside.size:
        got = f"int32_data {int(outside[0])}"
        raise fail(STAGE, f"a value is no {dtype}", at=at, got=got)
    return wide.astype(bits).view(stored) if stored.kind == "f" else wide.astype(stored)


def _unpacked(flat: np.ndarray, dtype: str, count: int) -> np.ndarray:
    """Two levels of four bits out of each byte, the lower half first."""
    both = np.stack([flat & 15, flat >> 4 & 15], axis=-1).ravel()[:count].astype(np.int16)
    return np.where(both > 7, both - 16, both) if dtype == "int4" else both


def _amount(at: str, name: str, got: int, want: str) -> McugenError:
    what = f"{name} does not hold as much as the tensor's shape says"
    return fail(STAGE, what, at=at, got=str(got), want=want)
