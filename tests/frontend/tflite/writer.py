"""Small .tflite files, written through the schema package."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

_DTYPES = {
    tflite.TensorType.INT8: np.int8,
    tflite.TensorType.UINT8: np.uint8,
    tflite.TensorType.INT16: np.int16,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.INT64: np.int64,
    tflite.TensorType.FLOAT32: np.float32,
}


@dataclass(frozen=True, eq=False)
class TensorSpec:
    """A tensor of the file; `data` makes it a constant."""

    name: str
    shape: tuple[int, ...]
    kind: int
    scales: tuple[float, ...] = ()
    zeros: tuple[int, ...] = ()
    axis: int = 0
    data: np.ndarray | None = None
    variable: bool = False


@dataclass(frozen=True, eq=False)
class OperatorSpec:
    """An operator: options are fields of the schema's `table`, as keywords."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    table: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    intermediates: tuple[int, ...] = ()


@dataclass
class Writer:
    """Collects tensors and operators, and writes the file."""

    tensors: list[TensorSpec] = field(default_factory=list)
    operators: list[OperatorSpec] = field(default_factory=list)

    def tensor(self, spec: TensorSpec) -> int:
        self.tensors.append(spec)
        return len(self.tensors) - 1

    def activation(
        self, name: str, shape: Sequence[int], scale: float, zero: int, kind: int = 9
    ) -> int:
        """A quantized tensor, int8 unless `kind` says otherwise."""
        return self.tensor(TensorSpec(name, tuple(shape), kind, (scale,), (zero,)))

    def constant(
        self,
        name: str,
        data: np.ndarray,
        kind: int,
        scales: Sequence[float] = (),
        zeros: Sequence[int] = (),
        axis: int = 0,
    ) -> int:
        spec = TensorSpec(name, data.shape, kind, tuple(scales), tuple(zeros), axis, data)
        return self.tensor(spec)

    def operator(
        self,
        code: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        table: str = "",
        *,
        intermediates: Sequence[int] = (),
        **options: Any,
    ) -> None:
        operands = tuple(inputs), tuple(outputs)
        self.operators.append(OperatorSpec(code, *operands, table, options, tuple(intermediates)))

    def write(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file's bytes."""
        builder = flatbuffers.Builder(1024)
        codes = list(dict.fromkeys(item.code for item in self.operators))
        buffers = [self._buffer(builder, None)]
        tensors = []
        for spec in self.tensors:
            tensors.append(
                self._tensor(builder, spec, len(buffers) if spec.data is not None else 0)
            )
            if spec.data is not None:
                buffers.append(self._buffer(builder, stored(spec)))
        operators = [
            self._operator(builder, item, codes.index(item.code)) for item in self.operators
        ]
        graph = self._subgraph(builder, tensors, operators, inputs, outputs)
        opcodes = [_opcode(builder, code) for code in codes]
        vectors = {
            name: _table_vector(builder, items)
            for name, items in (
                ("OperatorCodes", opcodes),
                ("Subgraphs", [graph]),
                ("Buffers", buffers),
            )
        }
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, 3)
        for name, offset in vectors.items():
            getattr(tflite, f"ModelAdd{name}")(builder, offset)
        builder.Finish(tflite.ModelEnd(builder), b"TFL3")
        return bytes(builder.Output())

    def _buffer(self, builder: flatbuffers.Builder, data: bytes | None) -> int:
        vector = builder.CreateByteVector(data) if data is not None else None
        tflite.BufferStart(builder)
        if vector is not None:
            tflite.BufferAddData(builder, vector)
        return tflite.BufferEnd(builder)

    def _tensor(self, builder: flatbuffers.Builder, spec: TensorSpec, buffer: int) -> int:
        name = builder.CreateString(spec.name)
        shape = builder.CreateNumpyVector(np.array(spec.shape, np.int32))
        quantization = None
        if spec.scales:
            scales = builder.CreateNumpyVector(np.array(spec.scales, np.float32))
            zeros = builder.CreateNumpyVector(np.array(spec.zeros, np.int64))
            tflite.QuantizationParametersStart(builder)
            tflite.QuantizationParametersAddScale(builder, scales)
            tflite.QuantizationParametersAddZeroPoint(builder, zeros)
            tflite.QuantizationParametersAddQuantizedDimension(builder, spec.axis)
            quantization = tflite.QuantizationParametersEnd(builder)
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, spec.kind)
        tflite.TensorAddBuffer(builder, buffer)
        tflite.TensorAddName(builder, name)
        tflite.TensorAddIsVariable(builder, spec.variable)
        if quantization is not None:
            tflite.TensorAddQuantization(builder, quantization)
        return tflite.TensorEnd(builder)

    def _operator(self, builder: flatbuffers.Builder, item: OperatorSpec, code: int) -> int:
        options = _options(builder, item)
        inputs = builder.CreateNumpyVector(np.array(item.inputs, np.int32))
        outputs = builder.CreateNumpyVector(np.array(item.outputs, np.int32))
        between = builder.CreateNumpyVector(np.array(item.intermediates, np.int32))
        tflite.OperatorStart(builder)
        tflite.OperatorAddIntermediates(builder, between)
        tflite.OperatorAddOpcodeIndex(builder, code)
        tflite.OperatorAddInputs(builder, inputs)
        tflite.OperatorAddOutputs(builder, outputs)
        if options is not None:
            kind = getattr(tflite.BuiltinOptions, item.table)
            tflite.OperatorAddBuiltinOptionsType(builder, kind)
            tflite.OperatorAddBuiltinOptions(builder, options)
        return tflite.OperatorEnd(builder)

    def _subgraph(
        self,
        builder: flatbuffers.Builder,
        tensors: list[int],
        operators: list[int],
        inputs: Sequence[int],
        outputs: Sequence[int],
    ) -> int:
        vectors = {
            "Tensors": _table_vector(builder, tensors),
            "Operators": _table_vector(builder, operators),
            "Inputs": builder.CreateNumpyVector(np.array(inputs, np.int32)),
            "Outputs": builder.CreateNumpyVector(np.array(outputs, np.int32)),
        }
        tflite.SubGraphStart(builder)
        for name, offset in vectors.items():
            getattr(tflite, f"SubGraphAdd{name}")(builder, offset)
        return tflite.SubGraphEnd(builder)


def _table_vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _opcode(builder: flatbuffers.Builder, code: int) -> int:
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(code, 127))
    tflite.OperatorCodeAddBuiltinCode(builder, code)
    tflite.OperatorCodeAddVersion(builder, 1)
    return tflite.OperatorCodeEnd(builder)


def _options(builder: flatbuffers.Builder, item: OperatorSpec) -> int | None:
    if not item.table:
        return None
    vectors = {
        name: builder.CreateNumpyVector(np.array(value, np.int32))
        for name, value in item.options.items()
        if isinstance(value, list | tuple)
    }
    getattr(tflite, f"{item.table}Start")(builder)
    for name, value in item.options.items():
        getattr(tflite, f"{item.table}Add{name}")(builder, vectors.get(name, value))
    return getattr(tflite, f"{item.table}End")(builder)


def stored(spec: TensorSpec) -> bytes:
    """A constant's bytes; int4 lies two to a byte, the first in the low half."""
    assert spec.data is not None
    if spec.kind == tflite.TensorType.INT4:
        nibbles = np.append(spec.data.ravel(), 0).astype(np.int8) & 15
        count = (spec.data.size + 1) // 2 * 2
        pairs = nibbles[:count].reshape(-1, 2)
        return (pairs[:, 0] | pairs[:, 1] << 4).astype(np.uint8).tobytes()
    return spec.data.astype(_DTYPES[spec.kind]).tobytes()
