"""Reads an `.onnx` file as data: fields counted, protobuf parsed, every field checked.

The `onnx` package parses the message and does nothing else: its checker, shape inference and
loaders of external data are never called.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mcugen.errors import fail
from mcugen.frontend.files import MIB, read_file
from mcugen.frontend.graph import Meta
from mcugen.frontend.onnx.graph import MICROSOFT, STAGE, STANDARD, Attribute, OnnxGraph, OnnxNode
from mcugen.frontend.onnx.tensors import Tensors, checked_shape, dtype_of
from mcugen.frontend.onnx.wire import check_wire

MAX_BYTES = 64 * MIB
MAX_NODES = 4_000
MAX_NAMES = 20_000
MAX_LIST = 10_000
MAX_TEXT = 512
#: Versions of ONNX's own operators that the translation knows.
OPSETS = range(7, 26)


def read_onnx(path: Path) -> OnnxGraph:
    """The main graph of an `.onnx` file; every tensor has one name, defined before its use.

    Raises:
        McugenError: the file cannot be read, is damaged, beyond a limit, of an unknown version, or
            stores data in other files.
    """
    data = read_file(path, MAX_BYTES)
    return _Reader(path.name, data).graph()


def _parsed(data: bytes, file: str) -> Any:
    """The ModelProto in `data`."""
    try:
        from google.protobuf.message import DecodeError
        from onnx import ModelProto
    except ImportError as error:
        raise fail(
            STAGE,
            "the package onnx is not installed, and reading .onnx files needs it",
            help="pip install 'mcugen[onnx]'",
        ) from error
    check_wire(data, ModelProto.DESCRIPTOR, file)
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError, ValueError) as error:
        raise fail(
            STAGE, "the file is damaged or no ONNX model", at=file, got=ascii(str(error)[:100])
        ) from error
    return model


class _Reader:
    """One file."""

    def __init__(self, file: str, data: bytes) -> None:
        self._file, self._data = file, data
        self._model = _parsed(data, file)
        self._tensors = Tensors()
        self._defined: set[str] = set()

    def graph(self) -> OnnxGraph:
        """The checked graph."""
        source, opset = self._model.graph, self._opset()
        if not source.node:
            raise fail(STAGE, "the file holds no graph with nodes", at=self._file)
        _count(source.node, MAX_NODES, "nodes", f"{self._file}: graph")
        _count(source.initializer, MAX_NAMES, "constants", f"{self._file}: graph")
        if source.sparse_initializer:
            raise fail(STAGE, "a constant is stored sparse", at=f"{self._file}: sparse_initializer")
        constants = {}
        for index, tensor in enumerate(source.initializer):
            at = f"{self._file}: initializer {index}"
            name = self._text(tensor.name, f"{at}, name")
            constants[name] = self._tensors.read(tensor, f"{at} '{name}'")
        inputs = self._inputs(source.input, set(constants))
        for name in (*constants, *inputs):
            self._define(name, f"{self._file}: initializer or input '{name}'")
        if len(constants) != len(source.initializer):
            raise fail(STAGE, "two initializers have one name", at=self._file)
        nodes = tuple(self._node(node, index) for index, node in enumerate(source.node))
        outputs = tuple(
            self._output(value, f"{self._file}: output {index}")
            for index, value in enumerate(source.output)
        )
        return OnnxGraph(self._file, self._data, opset, inputs, outputs, nodes, constants)

    def _output(self, value: Any, at: str) -> str:
        name = self._text(value.name, f"{at}, name")
        if not name:
            raise fail(STAGE, "an output has no name", at=at)
        return self._used(name, at)

    def _opset(self) -> int:
        """The version of the standard operators."""
        at = f"{self._file}: opset_import"
        versions = {
            STANDARD if one.domain == "ai.onnx" else one.domain: one.version
            for one in self._model.opset_import
        }
        version = versions.get(STANDARD)
        if version is None:
            raise fail(STAGE, "the file names no version of ONNX's operators", at=at)
        if version not in OPSETS:
            raise fail(
                STAGE,
                "the version of ONNX's operators is not supported",
                at=at,
                got=str(version),
                want=f"{OPSETS[0]} to {OPSETS[-1]}",
                help="onnx.version_converter.convert_version(model, 17) changes it",
            )
        if versions.get(MICROSOFT, 1) != 1:
            got = f"{MICROSOFT} {versions[MICROSOFT]}"
            raise fail(STAGE, "a version of operators is not known", at=at, got=got, want="1")
        return int(version)

    def _inputs(self, values: Any, constants: set[str]) -> dict[str, Meta]:
        """Inputs that are no constants; an open batch is one sample."""
        _count(values, MAX_NAMES, "inputs", self._file)
        inputs: dict[str, Meta] = {}
        for index, value in enumerate(values):
            at = f"{self._file}: input {index}"
            name = self._text(value.name, f"{at}, name")
            if name in constants:  # as files before IR version 4 list them
                continue
            if name in inputs:
                raise fail(STAGE, f"tensor '{name}' is defined twice", at=at)
            if not value.type.HasField("tensor_type"):
                raise fail(STAGE, "an input is not a tensor", at=f"{at} '{name}'")
            kind = value.type.tensor_type
            dtype = dtype_of(kind.elem_type, f"{at} '{name}', elem_type")
            if not kind.HasField("shape"):
                raise fail(STAGE, "an input has no shape", at=f"{at} '{name}'", help=_FIX_SHAPE)
            _count(kind.shape.dim, 8, "axes", f"{at} '{name}'")
            dims = [
                1 if axis == 0 and _open(dim) else self._extent(dim, f"{at} '{name}', axis {axis}")
                for axis, dim in enumerate(kind.shape.dim)
            ]
            inputs[name] = Meta(checked_shape(tuple(dims), f"{at} '{name}'"), dtype)
        return inputs

    def _extent(self, dim: Any, at: str) -> int:
        if _open(dim):
            got = ascii(dim.dim_param[:60]) if dim.dim_param else None
            what = "an input's shape is left open"
            raise fail(STAGE, what, at=at, got=got, want="numbers", help=_FIX_SHAPE)
        if dim.dim_value < 1:
            raise fail(STAGE, "an input's extent is not positive", at=at, got=str(dim.dim_value))
        return int(dim.dim_value)

    def _node(self, node: Any, index: int) -> OnnxNode:
        at = f"{self._file}: node {index}"
        op = self._text(node.op_type, f"{at}, op_type")
        domain = self._text(node.domain, f"{at}, domain")
        domain = STANDARD if domain == "ai.onnx" else domain
        name = self._text(node.name, f"{at}, name")
        at = f"{at}, {op}"
        if not op or not op.isidentifier():
            raise fail(STAGE, "a node's op_type is no name", at=at, got=ascii(op))
        for names in (node.input, node.output):
            _count(names, MAX_LIST, "tensors", at)
        inputs = tuple(self._used(self._text(one, f"{at}, input"), at) for one in node.input)
        outputs = tuple(self._text(one, f"{at}, output") for one in node.output)
        for one in outputs:
            if one:
                self._define(one, at)
        if not any(outputs):
            raise fail(STAGE, "a node has no output", at=at)
        attributes = self._attributes(node.attribute, at)
        return OnnxNode(self._file, index, name, domain, op, inputs, outputs, attributes)

    def _attributes(self, values: Any, at: str) -> dict[str, Attribute]:
        _count(values, 64, "attributes", at)
        found: dict[str, Attribute] = {}
        for value in values:
            name = self._text(value.name, f"{at}, attribute name")
            if name in found:
                raise fail(STAGE, f"attribute {name} is given twice", at=at)
            found[name] = self._attribute(value, f"{at}, attribute {name}")
        return found

    def _attribute(self, value: Any, at: str) -> Attribute:
        kinds = value.AttributeType
        if value.ref_attr_name:
            raise fail(STAGE, "an attribute refers to that of a function", at=at)
        if value.type == kinds.INT:
            return int(value.i)
        if value.type == kinds.FLOAT:
            return float(value.f)
        if value.type == kinds.STRING:
            return self._text(_decoded(value.s, at), at)
        if value.type == kinds.TENSOR:
            return self._tensors.read(value.t, at)
        if value.type == kinds.INTS:
            _count(value.ints, MAX_LIST, "numbers", at)
            return tuple(int(item) for item in value.ints)
        if value.type == kinds.FLOATS:
            _count(value.floats, MAX_LIST, "numbers", at)
            return tuple(float(item) for item in value.floats)
        graphs = (kinds.GRAPH, kinds.GRAPHS)
        what = "control flow is not supported" if value.type in graphs else "its type is not known"
        raise fail(STAGE, f"{what}: an attribute", at=at, got=f"type {value.type}")

    def _define(self, name: str, at: str) -> None:
        if name in self._defined:
            raise fail(STAGE, f"tensor '{name}' is defined twice", at=at)
        self._defined.add(name)

    def _used(self, name: str, at: str) -> str:
        """A name that something before it defines; an empty one is an input left out."""
        if name and name not in self._defined:
            raise fail(
                STAGE,
                f"tensor '{name}' is used before any node computes it",
                at=at,
                want="nodes in the order of their computation, without a cycle",
            )
        return name

    def _text(self, text: str | bytes, at: str) -> str:
        """A name; protobuf gives bytes where it is no UTF-8."""
        if isinstance(text, bytes) or len(text) > MAX_TEXT or not text.isprintable():
            want = f"at most {MAX_TEXT} printable characters"
            raise fail(STAGE, "a name cannot be shown", at=at, got=ascii(text[:60]), want=want)
        return text


_FIX_SHAPE = (
    "python -m onnxruntime.tools.make_dynamic_shape_fixed --input_name NAME --input_shape 1,…"
)


def _open(dim: Any) -> bool:
    """Whether a size is a name, missing, or not positive, as exporters write an open batch."""
    return not dim.HasField("dim_value") or dim.dim_value in (0, -1)


def _decoded(raw: bytes, at: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise fail(STAGE, "an attribute is no text", at=at, got=ascii(raw[:60])) from error


def _count(items: Iterable[Any], most: int, what: str, at: str) -> None:
    count = len(items)  # type: ignore[arg-type]  # repeated fields have a length
    if count > most:
        raise fail(STAGE, f"there are too many {what}", at=at, got=str(count), want=f"{most}")
