"""Tensors of an archive: shapes and types from JSON, values from raw little-endian bytes."""

import math
from dataclasses import dataclass

import numpy as np

from mcugen.errors import Fault, McugenError, fail
from mcugen.frontend.archive_json import Field, read_json
from mcugen.frontend.archive_zip import MAX_UNPACKED_BYTES, STAGE, Container
from mcugen.frontend.graph import Meta

MAX_ELEMENTS = 2**31 - 1
MAX_RANK = 16
MAX_TENSORS = 50_000
#: All parameters together: expanded ones can be larger than the file that holds them.
MAX_TENSOR_BYTES = MAX_UNPACKED_BYTES

#: Codes of PyTorch's `ScalarType` in the serialization schema.
DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    34: "uint32",
    35: "uint64",
}
_STRIDED = 7


@dataclass(frozen=True)
class Symbolic:
    """A tensor whose shape was left open at export."""

    sizes: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"[{', '.join('?' if size is None else str(size) for size in self.sizes)}]"


def read_dtype(field: Field) -> str:
    """The name of a tensor's element type."""
    code = field.integer()
    if code not in DTYPES:
        raise field.wrong("an element type is not supported", want=", ".join(DTYPES.values()))
    return DTYPES[code]


def read_meta(field: Field) -> Meta | Symbolic:
    """Shape and type of a tensor; at most 2^31−1 elements, at least one."""
    dtype = read_dtype(field["dtype"])
    if field["layout"].integer() != _STRIDED:
        raise field["layout"].wrong("a tensor is sparse or packed", want="a plain strided tensor")
    sizes = [_size(size) for size in field["sizes"].list(MAX_RANK)]
    shape = tuple(size for size in sizes if size is not None)
    if len(shape) != len(sizes):
        return Symbolic(tuple(sizes))
    if math.prod(shape) > MAX_ELEMENTS:
        want = f"at most {MAX_ELEMENTS} elements"
        raise fail(STAGE, "a tensor is too large", at=field.at, got=str(list(shape)), want=want)
    if 0 in shape:
        raise fail(STAGE, "a tensor has no elements", at=field.at, got=str(list(shape)))
    return Meta(shape, dtype)


def _size(field: Field) -> int | None:
    """A size; None for an expression, which nobody evaluates."""
    tag, value = field.union()
    if tag == "as_int":
        return value.integer(0, MAX_ELEMENTS)
    if tag != "as_expr":
        raise field.wrong("a size is neither an integer nor an expression")
    return None


class Payloads:
    """Weights or constants of an archive, by their name in the model."""

    def __init__(self, container: Container, kind: str, model: str) -> None:
        """`kind` is `weights` or `constants`; read nothing but their configuration.

        Raises:
            McugenError: no or broken configuration, or a tensor that is stored as a pickle.
        """
        self._container = container
        self._folder = f"data/{kind}/"
        if f"{self._folder}{model}.pt" in container.names:
            raise _pickled(f"all {kind} are", container.at(f"{self._folder}{model}.pt"))
        config = read_json(container, f"{self._folder}{model}_{kind}_config.json")
        self._fields = dict(config["config"].items(MAX_TENSORS))
        for name, field in self._fields.items():
            if field["use_pickle"].boolean():
                raise _pickled(f"tensor {name} is", field.at)
        self._raw: dict[str, bytes] = {}
        self._budget = MAX_TENSOR_BYTES

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def load(self, name: str, want: Meta, at: str) -> np.ndarray:
        """A tensor as a read-only array of the graph's shape and type (bfloat16 as float32).

        Raises:
            McugenError: described otherwise than in the graph, or outside its bytes.
        """
        field = self._fields[name]
        meta = read_meta(field["tensor_meta"])
        if meta != want:
            raise fail(STAGE, "two descriptions of a tensor differ", at=f"{field.at} and {at}")
        return self._view(field, want)

    def _view(self, field: Field, meta: Meta) -> np.ndarray:
        raw = self._bytes(field["path_name"])
        stored = np.dtype({"bfloat16": "uint16", "bool": "uint8"}.get(meta.dtype, meta.dtype))
        item = stored.itemsize
        self._budget -= math.prod(meta.shape) * item
        if self._budget < 0:
            want = f"at most {MAX_TENSOR_BYTES} bytes"
            raise fail(STAGE, "the tensors take too much memory", at=field.at, want=want)
        strides = [_stride(one) for one in field["tensor_meta"]["strides"].list(MAX_RANK)]
        offset = _stride(field["tensor_meta"]["storage_offset"])
        if len(strides) != len(meta.shape):
            raise field["tensor_meta"]["strides"].wrong("a tensor has not one stride per axis")
        last = offset + sum((n - 1) * step for n, step in zip(meta.shape, strides, strict=True))
        if (last + 1) * item > len(raw):
            got, want = f"{len(raw)} bytes", f"{(last + 1) * item} bytes"
            raise fail(STAGE, "a tensor lies outside its bytes", at=field.at, got=got, want=want)
        steps = tuple(step * item for step in strides)
        little = stored.newbyteorder("<")
        view: np.ndarray = np.ndarray(meta.shape, little, raw, offset * item, steps)
        return _widen(view, meta.dtype)

    def _bytes(self, field: Field) -> bytes:
        path = field.text()
        if path not in self._raw:
            self._raw[path] = self._container.read(f"{self._folder}{path}", MAX_TENSOR_BYTES)
        return self._raw[path]


def _pickled(what: str, at: str) -> McugenError:
    advice = "export plain tensors with PyTorch 2.13 or newer: no custom objects, no subclasses"
    return fail(STAGE, f"{what} pickled, and unpickling runs code", at=at, help=advice)


def _stride(field: Field) -> int:
    tag, value = field.union()
    if tag != "as_int":
        raise field.wrong("a tensor's layout is not fixed", want="an integer")
    return value.integer(0, 2**40)


def _widen(view: np.ndarray, dtype: str) -> np.ndarray:
    """Contiguous, read-only, in a type numpy has: exact in every case."""
    if dtype == "bfloat16":
        found = np.left_shift(view, 16, dtype=np.uint32, out=np.empty(view.shape, np.uint32))
        found = found.view(np.float32)
    elif dtype == "bool":
        found = np.asarray(view != 0)
    else:
        found = np.ascontiguousarray(view).reshape(view.shape)  # rank 0 stays rank 0
    found.setflags(write=False)
    return found


def finite_fault(name: str, values: np.ndarray, at: str) -> Fault | None:
    """A fault where a parameter holds NaN or an infinity."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return None
    count = int(np.count_nonzero(~np.isfinite(values)))
    return Fault(
        f"parameter {name} is not finite",
        at=at,
        got=f"{count} of {values.size} values are NaN or infinite",
        help="train with a lower learning rate, or export an earlier checkpoint",
    )
