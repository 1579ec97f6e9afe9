"""Between a data set's real numbers and the integers that a model's input and output hold."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.graph import ExportedGraph, Ref
from mcugen.ir.interp import plane_values
from mcugen.ir.program import Meaning, Program, Value
from mcugen.ir.types import Planes


@dataclass(frozen=True)
class Boundary:
    """An end of the program seen from PyTorch: shape, interval and meaning of its integers."""

    torch_shape: tuple[int, ...]
    """With the batch of one."""
    lo: int
    hi: int
    meaning: Meaning

    def taken(self, x: np.ndarray) -> np.ndarray:
        """Samples of a data set as real numbers that the model takes, in PyTorch's order.

        Pixels in [0, 1] are taken 255 times where the input's grid is 0 … 255: that is how models
        that were trained on bytes say so. int8 are levels in memory order.

        Raises:
            McugenError: levels of another shape.
        """
        if x.dtype == np.int8:
            return self.real(self._levels_in_memory(x))
        low, high = (
            self.meaning.scale[0] * (end - self.meaning.zero) for end in (self.lo, self.hi)
        )
        return x * np.float32(255) if (low, round(high)) == (0, 255) else x

    def _levels_in_memory(self, x: np.ndarray) -> np.ndarray:
        _, *sizes = self.torch_shape
        memory = (sizes[1], sizes[2], sizes[0]) if len(sizes) == 3 else tuple(sizes)
        if int(np.prod(x.shape[1:])) != int(np.prod(memory)):
            raise fail("data", f"samples have shape {list(x.shape[1:])}", want=f"{list(memory)}")
        return x.reshape(-1, *memory).astype(np.int64)

    def levels(self, x: np.ndarray) -> np.ndarray:
        """Real samples [N, ...] in PyTorch's order as integers in memory order (NHWC).

        Raises:
            McugenError: other shape, or values that are no numbers.
        """
        want = self.torch_shape[1:]
        if x.shape[1:] != want:
            raise fail(
                "data",
                f"samples have shape {list(x.shape[1:])}",
                want=f"{list(want)}, the model's input",
            )
        if not np.isfinite(x).all():
            raise fail("data", "samples hold NaN or infinite values")
        q = x.astype(np.float64) / self.meaning.scale[0] + self.meaning.zero
        q = np.clip(np.floor(q + 0.5), self.lo, self.hi).astype(np.int64)
        return q.transpose(0, 2, 3, 1) if q.ndim == 4 else q

    def real(self, q: np.ndarray) -> np.ndarray:
        """Integers [N, ...] in memory order as real numbers in PyTorch's order."""
        values = (q - self.meaning.zero) * np.array(self.meaning.scale)
        values = values + np.array(self.meaning.offset)
        return values.transpose(0, 3, 1, 2) if values.ndim == 4 else values


def input_boundary(program: Program) -> Boundary:
    """The program's input."""
    (source,) = program.inputs
    assert source.meaning is not None  # every frontend knows what its input means
    element = source.type.integer
    return Boundary(_torch_shape(source.type.shape), element.lo, element.hi, source.meaning)


def output_boundary(program: Program) -> Boundary:
    """The program's output."""
    final = program.values[program.output]
    element = final.type.integer
    meaning = final.meaning or Meaning((1.0,))
    return Boundary(_torch_shape(final.type.shape), element.lo, element.hi, meaning)


def _torch_shape(memory: tuple[int, ...]) -> tuple[int, ...]:
    return (memory[0], memory[3], memory[1], memory[2]) if len(memory) == 4 else memory


def classes(scores: np.ndarray) -> np.ndarray:
    """The predicted class of each sample: the first largest score, or the index argmax gave."""
    flat = scores.reshape(len(scores), -1)
    return flat[:, 0].astype(np.int64) if flat.shape[1] == 1 else flat.argmax(axis=1)


def captured_nodes(graph: ExportedGraph, program: Program) -> dict[str, str]:
    """Quantizer of the graph → the last value on its grid (behind a pool that waited for it).

    quantized_decomposed.quantize gives levels; the real numbers are its dequantize's.
    """
    real_at = {}
    for node in graph.nodes:
        if "dequantize" in node.target and isinstance(source := node.arguments.get("input"), Ref):
            real_at[source.name] = node.outputs[0]
        elif "quantize" in node.target:
            real_at[node.outputs[0]] = node.outputs[0]
    return last_values(graph, program, real_at)


def last_values(
    graph: ExportedGraph, program: Program, tensors: Mapping[str, str]
) -> dict[str, str]:
    """Tensor of the graph → the last value of the program on the grid of its quantizer.

    `tensors` has the tensor of each quantizer. Left out are values of another size: a border of
    zeros may have become the padding of a convolution.
    """
    found: dict[str, str] = {}
    for name, value in program.values.items():
        if value.meaning and value.source and value.source.node in tensors:
            found[tensors[value.source.node]] = name
    sizes = {tensor: math.prod(graph.metas[tensor].shape) for tensor in found}
    values = program.values
    return {one: name for one, name in found.items() if values[name].type.size == sizes[one]}


def memory_order(value: Value, tensor: np.ndarray) -> np.ndarray:
    """The framework's tensor [N, ...] in the order that `value` has in the program's memory."""
    memory = value.type.shape
    if tensor.ndim != 4 and len(memory) == 4:  # flattened there, still an image in memory
        tensor = tensor.reshape(len(tensor), memory[3], *memory[1:3])
    return tensor.transpose(0, 2, 3, 1) if tensor.ndim == 4 else tensor


def torch_levels(value: Value, real: np.ndarray) -> np.ndarray:
    """PyTorch's tensor [N, ...] as levels of `value`, in memory order (see `program_levels`)."""
    meaning = value.meaning
    assert meaning is not None
    real = memory_order(value, real)
    q = (real - np.array(meaning.offset)) / np.array(meaning.scale) + meaning.zero
    return _ranked(value, q) if _planes(value) else np.rint(q).astype(np.int64)


def program_levels(value: Value, array: np.ndarray) -> np.ndarray:
    """What the interpreter computed for `value` as levels: neighbours on its grid are 1 apart.

    Integers are levels themselves; of bit planes it is the rank of the value among all values.
    """
    planes = _planes(value)
    return _ranked(value, plane_values(array, planes.basis)) if planes else array


def _planes(value: Value) -> Planes | None:
    return value.type.element if isinstance(value.type.element, Planes) else None


def _ranked(value: Value, q: np.ndarray) -> np.ndarray:
    """The rank of the possible value of `value` that is nearest to each q."""
    planes = _planes(value)
    assert planes is not None
    signs = itertools.product(*((-entry, entry) for entry in planes.basis))
    levels = np.unique([sum(choice) for choice in signs])
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, q)
