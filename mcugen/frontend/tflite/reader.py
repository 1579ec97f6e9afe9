"""Reads a .tflite file as data, through the schema's own package.

The file is hostile until shown otherwise: every index, length, shape, scale and zero point is
checked here, counts are capped before anything is allocated, and what the schema's package trips
over becomes an error. FlatBuffers refer to bytes by offsets, so one vector may be read many times:
the caps are on what is read, not on the file's size.
"""

import hashlib
import math
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mcugen.errors import Fault, McugenError, fail
from mcugen.frontend.files import read_file
from mcugen.frontend.tflite.graph import Graph, Operator, Quantization, Tensor
from mcugen.frontend.tflite.operators import OptionsReader, names_of
from mcugen.frontend.tflite.order import order_faults

STAGE = "tflite"
IDENTIFIER = b"TFL3"
MAX_TENSORS = 20_000
MAX_OPERATORS = 2_000
MAX_OPERANDS = 512
MAX_RANK = 8
MAX_NAME = 4096
#: Products and quotients of three still are normal numbers of float32.
MIN_SCALE = 2.0**-40
#: Of one tensor; of all constants together; and of those that operators read, each time anew.
MAX_ELEMENTS = 2**24

#: What the schema's package raises on bytes that are no FlatBuffer of its schema.
_DAMAGE = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError, KeyError)

_NUMPY = {
    "int8": "<i1",
    "uint8": "<u1",
    "int16": "<i2",
    "uint16": "<u2",
    "int32": "<i4",
    "uint32": "<u4",
    "int64": "<i8",
    "uint64": "<u8",
    "float32": "<f4",
    "float64": "<f8",
    "float16": "<f2",
    "bool": "<u1",
    "int4": "<u1",
}


def schema() -> ModuleType:
    """The schema's package.

    Raises:
        McugenError: it is not installed.
    """
    try:
        import tflite
    except ImportError as error:
        raise fail(
            STAGE,
            "reading .tflite files needs the package tflite, which is not installed",
            help="pip install 'mcugen[tflite]'",
        ) from error
    return tflite


def read_tflite(path: Path) -> Graph:
    """The graph in a .tflite file.

    Raises:
        McugenError: not a .tflite, damaged, beyond a limit, or with parts that have no meaning
            here (several subgraphs, custom operators, sparse tensors), all of them together.
    """
    module = schema()
    content = read_file(path)
    if content[4:8] != IDENTIFIER:
        raise fail(
            STAGE, "not a .tflite file", at=str(path), want=f"{IDENTIFIER.decode()} at byte 4"
        )
    try:
        return _Reader(module, content, path.name).graph()
    except _DAMAGE as error:
        raise fail(STAGE, "the file is damaged", at=path.name, got=str(error)[:200]) from error


class _Reader:
    """One file; faults are collected, so that a user sees all of them."""

    def __init__(self, module: ModuleType, content: bytes, file: str) -> None:
        self._module, self._content, self._file = module, content, file
        self._model = module.Model.GetRootAsModel(content, 0)
        self._types = {number: name.lower() for number, name in names_of(module.TensorType).items()}
        self._elements = 0
        self._faults: list[Fault] = []

    def graph(self) -> Graph:
        if self._model.Version() != 3:
            raise self._fail("the schema's version is not supported", self._model.Version(), "3")
        if self._model.SubgraphsLength() != 1:
            raise self._fail("not exactly one subgraph", self._model.SubgraphsLength(), "1")
        whole = self._model.Subgraphs(0)
        self._limit("tensors", whole.TensorsLength(), MAX_TENSORS)
        self._limit("operators", whole.OperatorsLength(), MAX_OPERATORS)
        tensors = tuple(
            self._kept(self._tensor, index, whole.Tensors(index))
            for index in range(whole.TensorsLength())
        )
        self._raise()
        count = len(tensors)
        operators = tuple(
            self._kept(self._operator, index, whole.Operators(index), count)
            for index in range(whole.OperatorsLength())
        )
        self._raise()
        inputs = self._indices("the graph's inputs", whole, "Inputs", count)
        outputs = self._indices("the graph's outputs", whole, "Outputs", count)
        digest = hashlib.sha256(self._content).hexdigest()
        graph = Graph(digest, self._content, tensors, operators, inputs, outputs)
        self._faults += order_faults(graph)
        self._raise()
        return graph

    def _kept(self, read: Callable[..., Any], *arguments: Any) -> Any:
        """What `read` gives; its fault is kept for later."""
        try:
            return read(*arguments)
        except McugenError as error:
            self._faults += error.faults
            return None

    def _raise(self) -> None:
        if self._faults:
            raise McugenError(STAGE, self._faults)

    def _fail(self, what: str, got: object = None, want: str | None = None) -> McugenError:
        return fail(STAGE, what, at=self._file, got=None if got is None else str(got), want=want)

    def _limit(self, what: str, count: int, most: int) -> None:
        if not 0 <= count <= most:
            raise self._fail(f"too many {what}", count, f"at most {most}")

    def _tensor(self, index: int, item: Any) -> Tensor:
        name = _text(item.Name())
        where = f"tensor {index} '{name}'"
        dtype = self._types.get(item.Type())
        if dtype is None:
            raise fail(STAGE, "a tensor of unknown type", at=where, got=str(item.Type()))
        shape = self._shape(where, item)
        if item.Sparsity() is not None:
            raise fail(STAGE, "a sparse tensor", at=where, want="dense tensors")
        quantization = self._quantization(where, item.Quantization(), dtype, shape)
        data = self._data(where, item.Buffer(), dtype, shape)
        return Tensor(index, name, shape, dtype, quantization, data, bool(item.IsVariable()))

    def _shape(self, where: str, item: Any) -> tuple[int, ...]:
        if item.ShapeLength() > MAX_RANK:
            raise fail(STAGE, f"a tensor of {item.ShapeLength()} axes", at=where, want="at most 8")
        shape = tuple(int(item.Shape(axis)) for axis in range(item.ShapeLength()))
        if any(extent < 1 for extent in shape):
            what = "a tensor without a fixed shape"
            help_ = "convert the model with fixed input shapes and a batch of 1"
            raise fail(STAGE, what, at=where, got=str(list(shape)), help=help_)
        if math.prod(shape) > MAX_ELEMENTS:
            want = f"at most {MAX_ELEMENTS} elements"
            raise fail(STAGE, "a tensor is too large", at=where, got=str(list(shape)), want=want)
        return shape

    def _quantization(
        self, where: str, item: Any, dtype: str, shape: tuple[int, ...]
    ) -> Quantization | None:
        if item is None or not item.ScaleLength():
            return None
        if item.DetailsType() != 0:
            raise fail(STAGE, "a custom or block-wise quantization", at=where, want="affine")
        count, axis = item.ScaleLength(), item.QuantizedDimension()
        if count > 1 and not (0 <= axis < len(shape) and shape[axis] == count):
            got = f"{count} scales along axis {axis} of {list(shape)}"
            raise fail(STAGE, "scales do not fit their tensor", at=where, got=got)
        if item.ZeroPointLength() not in (0, 1, count):
            got = f"{item.ZeroPointLength()} for {count} scales"
            raise fail(STAGE, "zero points do not fit their scales", at=where, got=got)
        scales = np.array(item.ScaleAsNumpy(), np.float32)
        zeros = np.array(item.ZeroPointAsNumpy() if item.ZeroPointLength() else [0], np.int64)
        if not ((scales >= MIN_SCALE) & (scales <= 1 / MIN_SCALE)).all():
            want = f"{MIN_SCALE:g} … {1 / MIN_SCALE:g}"
            raise fail(STAGE, "a scale is no number, or too far from 1", at=where, want=want)
        low, high = _range(dtype)
        if zeros.min() < low or zeros.max() > high:
            got, want = f"{zeros.min()} … {zeros.max()}", f"{low} … {high}, the range of {dtype}"
            raise fail(STAGE, "a zero point is out of range", at=where, got=got, want=want)
        broadcast = np.broadcast_to(zeros, count)
        return Quantization(tuple(map(float, scales)), tuple(map(int, broadcast)), axis)

    def _data(
        self, where: str, index: int, dtype: str, shape: tuple[int, ...]
    ) -> np.ndarray | None:
        """A constant's elements; buffer 0, and a buffer without bytes, stand for none."""
        if not 0 <= index < self._model.BuffersLength():
            raise fail(STAGE, "a tensor's buffer does not exist", at=where, got=str(index))
        buffer = self._model.Buffers(index)
        if buffer.Size() > 1:
            raise fail(STAGE, "a tensor's data lies behind the model", at=where, want="inside")
        size = buffer.DataLength()
        if index == 0 or size == 0:
            return None
        if dtype not in _NUMPY:
            raise fail(STAGE, f"a constant of type {dtype}", at=where, want="numbers")
        count, kind = math.prod(shape), np.dtype(_NUMPY[dtype])
        self._elements += count
        if self._elements > MAX_ELEMENTS:
            raise fail(
                STAGE, "the constants are too large", at=where, want=f"{MAX_ELEMENTS} numbers"
            )
        want = (count + 1) // 2 if dtype == "int4" else count * kind.itemsize
        if size != want:
            got = f"{size} bytes for {dtype}{list(shape)}"
            raise fail(STAGE, "a constant has another size than its shape", at=where, got=got)
        raw = buffer.DataAsNumpy()
        values = _nibbles(raw, count) if dtype == "int4" else np.frombuffer(raw, kind)
        if kind.kind == "f" and not np.isfinite(values).all():
            raise fail(STAGE, "a constant holds NaN or infinite values", at=where)
        return values.reshape(shape)

    def _operator(self, index: int, item: Any, tensors: int) -> Operator:
        if not 0 <= item.OpcodeIndex() < self._model.OperatorCodesLength():
            raise fail(STAGE, "an operator without a code", at=f"operator {index}")
        options = OptionsReader(self._module, self._model.OperatorCodes(item.OpcodeIndex()))
        name = options.name(index)
        where = f"{name}, operator {index}"
        operands = {
            role: self._indices(where, item, role, tensors)
            for role in ("Inputs", "Outputs", "Intermediates")
        }
        if not operands["Outputs"] or min(operands["Outputs"]) < 0:
            raise fail(STAGE, "an operator without results", at=where)
        return Operator(
            index,
            name,
            operands["Inputs"],
            operands["Outputs"],
            options.read(item, where),
            operands["Intermediates"],
        )

    def _indices(self, where: str, item: Any, role: str, tensors: int) -> tuple[int, ...]:
        count = getattr(item, f"{role}Length")()
        if count > MAX_OPERANDS:
            raise fail(STAGE, f"{count} {role.lower()}", at=where, want=f"at most {MAX_OPERANDS}")
        get = getattr(item, role)
        found = tuple(int(get(position)) for position in range(count))
        wrong = [index for index in found if not -1 <= index < tensors]
        if wrong:
            want = f"−1 … {tensors - 1}"
            raise fail(STAGE, "a tensor does not exist", at=where, got=str(wrong[0]), want=want)
        return found


def _text(name: bytes | None) -> str:
    """A name of the file, fit for messages."""
    text = (name or b"")[:MAX_NAME].decode("utf-8", errors="replace")
    return "".join(c if c.isprintable() else "?" for c in text)


def _range(dtype: str) -> tuple[int, int]:
    """What zero points of a type may be."""
    if dtype == "int4":
        return -8, 7
    kind = np.dtype(_NUMPY.get(dtype, "<i8"))
    if kind.kind not in "iu":
        return 0, 0
    info = np.iinfo(kind)
    return int(info.min), int(info.max)


def _nibbles(raw: np.ndarray, count: int) -> np.ndarray:
    """int4 values, of which two lie in a byte, the first in its low half."""
    pairs = np.stack([raw & 15, raw >> 4], axis=-1).astype(np.int8)
    return ((pairs.ravel()[:count] ^ 8) - 8).astype(np.int8)
