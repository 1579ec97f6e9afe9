"""ONNX Runtime as the reference of `.onnx` files: the CPU's kernels, sample by sample.

It is given the bytes that the reader has checked, so that it opens no file itself.
"""

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.onnx import OnnxModel
from mcugen.ir.program import Program
from mcugen.run.original import Answer
from mcugen.run.samples import input_boundary, last_values, memory_order, output_boundary

STAGE = "reference"
#: Element types that come as numpy arrays, with their number in TensorProto.DataType.
_CODES = {"uint8": 2, "int8": 3, "uint16": 4, "int16": 5}
_QUANTIZE = "quantized_decomposed.quantize_per_"


def load_onnxruntime() -> ModuleType:
    """ONNX Runtime.

    Raises:
        McugenError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise fail(
            STAGE,
            "ONNX Runtime is not installed, and the comparison with it needs it",
            help="pip install 'mcugen[onnxruntime]'",
        ) from error
    return onnxruntime


class OnnxRuntimeModel:
    """An `.onnx` file in ONNX Runtime."""

    title = "ONNX Runtime"
    exact = False

    def __init__(self, model: OnnxModel, program: Program) -> None:
        """McugenError where ONNX Runtime is missing or refuses the file."""
        self._program = program
        ((self._input, self._meta),) = model.source.inputs.items()
        self._output = model.source.outputs[0]
        self._captured = _captured(model, program)
        self._plain = _session(model.source.data)
        inner = {name for name in self._captured.values() if name != self._output}
        self._traced = _session(_with_outputs(model, inner)) if inner else self._plain

    def answer(self, x: np.ndarray, layers: bool) -> Answer:
        given = self._given(x)
        wanted = self._captured if layers else {}
        session = self._traced if layers else self._plain
        names = tuple(dict.fromkeys((self._output, *wanted.values())))
        runs = [self._run(session, names, given[index : index + 1]) for index in range(len(x))]
        found = {
            name: np.concatenate([run[place] for run in runs]) for place, name in enumerate(names)
        }
        values = self._program.values
        levels = {
            value: memory_order(values[value], found[name]).astype(np.int64)
            for value, name in wanted.items()
        }
        return Answer(self._real(found[self._output]), levels)

    def _given(self, x: np.ndarray) -> np.ndarray:
        """Samples as the model takes them: real numbers, or the levels they have in the program."""
        if self._meta.dtype not in _CODES:
            return x.astype(self._meta.dtype)
        levels = input_boundary(self._program).levels(x)
        levels = levels.transpose(0, 3, 1, 2) if levels.ndim == 4 else levels
        return levels.reshape(x.shape).astype(self._meta.dtype)

    def _real(self, output: np.ndarray) -> np.ndarray:
        """The output as real numbers, in the model's order."""
        if output.dtype.kind == "f":
            return output
        final = self._program.values[self._program.output]
        return output_boundary(self._program).real(memory_order(final, output))

    def _run(self, session: Any, names: tuple[str, ...], sample: np.ndarray) -> list[np.ndarray]:
        try:
            results: list[np.ndarray] = session.run(list(names), {self._input: sample})
        except _failures() as error:
            raise _refused("ONNX Runtime cannot run the model", error) from error
        return results


def _captured(model: OnnxModel, program: Program) -> dict[str, str]:
    """Value of the program → the tensor of the file that holds its levels."""
    graph = model.graph
    results = [node.outputs[0] for node in graph.nodes if node.target.startswith(_QUANTIZE)]
    levels = {name: name for name in results if graph.metas[name].dtype in _CODES}
    last = last_values(graph, program, levels)
    return {value: graph.qualified[tensor] for tensor, value in last.items()}


def _with_outputs(model: OnnxModel, names: Iterable[str]) -> bytes:
    """The file with further outputs."""
    from onnx import ModelProto

    dtypes = {
        model.graph.qualified[name]: meta.dtype
        for name, meta in model.graph.metas.items()
        if name in model.graph.qualified
    }
    proto = ModelProto()
    proto.ParseFromString(model.source.data)
    for name in sorted(names):
        output = proto.graph.output.add(name=name)
        output.type.tensor_type.elem_type = _CODES[dtypes[name]]
    data: bytes = proto.SerializeToString()
    return data


def _session(data: bytes) -> Any:
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # Without it, x86 processors before VNNI saturate sums of products to 16 bits.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except _failures() as error:
        raise _refused("ONNX Runtime refuses the model", error) from error


def _failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
    kinds = [getattr(state, name) for name in (*names, "RuntimeException", "EPFail")]
    return (*kinds, ValueError, RuntimeError)


def _refused(what: str, error: Exception) -> Exception:
    return fail(STAGE, what, got=ascii(str(error).strip().splitlines()[0][:300])[1:-1])
