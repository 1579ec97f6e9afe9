"""Lowering of one file: the program under construction and what each tensor has become."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from mcugen.errors import Fault, McugenError, fail
from mcugen.frontend.builder import Builder
from mcugen.frontend.tflite.graph import Graph, Operator, Tensor
from mcugen.frontend.tflite.options import Options
from mcugen.ir.ops import Op
from mcugen.ir.ops import Reshape as ReshapeOp
from mcugen.ir.program import Meaning, Source, Value
from mcugen.ir.types import Int, TensorType, spanning

STAGE = "lower"
Kind = TypeVar("Kind", bound=Options)

#: Integer types of activations.
ELEMENTS: Mapping[str, Int] = {
    "int8": Int(8, True, -128, 127),
    "uint8": Int(8, False, 0, 255),
    "int16": Int(16, True, -(2**15), 2**15 - 1),
}


@dataclass(frozen=True, eq=False)
class Activation:
    """A tensor computed at run time, on one grid."""

    ref: str
    tensor: Tensor
    scale: float
    zero: int

    @property
    def shape(self) -> tuple[int, ...]:
        """As the file has it."""
        return self.tensor.shape

    @property
    def element(self) -> Int:
        return ELEMENTS[self.tensor.dtype]

    @property
    def levels(self) -> np.ndarray:
        """Every value that its type has, int64."""
        return np.arange(self.element.lo, self.element.hi + 1, dtype=np.int64)


@dataclass
class Context:
    """The builder, the reference of each tensor of the file, the faults so far."""

    graph: Graph
    builder: Builder = field(default_factory=Builder)
    refs: dict[int, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, error: McugenError, operator: Operator) -> None:
        """Keep the faults of `error`, each with its operator."""
        self.faults += [replace(item, at=item.at or str(operator)) for item in error.faults]

    def operand(self, operator: Operator, position: int) -> Tensor | None:
        """The tensor at a position of the inputs; None where it is omitted."""
        if position >= len(operator.inputs) or operator.inputs[position] < 0:
            return None
        return self.graph.tensors[operator.inputs[position]]

    def present(self, operator: Operator, position: int) -> Tensor:
        """As `operand`, of one that must be there."""
        found = self.operand(operator, position)
        if found is None:
            raise fail(STAGE, f"input {position} of {operator.name} is missing")
        return found

    def constant(self, operator: Operator, position: int) -> np.ndarray:
        """The elements of a constant operand."""
        tensor = self.present(operator, position)
        if tensor.data is None:
            what = f"input {position} of {operator.name} is computed at run time"
            raise fail(STAGE, what, got=str(tensor), want="a constant")
        return tensor.data

    def is_constant(self, operator: Operator, position: int) -> bool:
        return self.present(operator, position).data is not None

    def activation(
        self, operator: Operator, position: int, dtypes: tuple[str, ...] = ("int8",)
    ) -> Activation:
        """A computed operand of one of `dtypes`, with one scale."""
        tensor = self.present(operator, position)
        if tensor.index not in self.refs:
            raise fail(STAGE, f"input {position} of {operator.name} is a constant", got=str(tensor))
        return Activation(self.refs[tensor.index], tensor, *grid(operator, tensor, dtypes))

    def result(
        self, operator: Operator, position: int = 0, dtypes: tuple[str, ...] = ("int8",)
    ) -> Activation:
        """A result that is to be made, with one scale; it has no reference yet."""
        tensor = self.graph.tensors[operator.outputs[position]]
        return Activation("", tensor, *grid(operator, tensor, dtypes))

    def options(self, operator: Operator, kind: type[Kind]) -> Kind:
        """The operator's options; the schema's defaults where the file has none."""
        found = operator.options
        if type(found) is Options:
            return kind()
        if not isinstance(found, kind):
            what = f"{operator.name} has options of another operator"
            raise fail(STAGE, what, got=type(found).__name__, want=kind.__name__)
        return found

    def numbers(self, operator: Operator, role: str, values: np.ndarray) -> str:
        """A constant of the program, named after the operator's result."""
        element = spanning(int(values.min()), int(values.max()))
        name = f"{node_name(self.graph.tensors[operator.outputs[0]])}.{role}"
        return self.builder.constant(name, values.astype(np.int64), element)

    def add(self, operator: Operator, op: Op, role: str) -> str:
        """Append what is computed on the way to a result."""
        tensor = self.graph.tensors[operator.outputs[0]]
        return self.builder.add(op, f"{node_name(tensor)}.{role}", source_of(tensor))

    def finish(self, operator: Operator, op: Op, position: int = 0) -> None:
        """Append the op that makes a result, and give it the shape of the file."""
        tensor = self.graph.tensors[operator.outputs[position]]
        want = memory_shape(tensor.shape)
        shape = op.infer(self.builder.env()).shape
        if shape == want:
            self.refs[tensor.index] = self._append(op, tensor)
        elif np.prod(shape) == np.prod(want):
            made = self.builder.add(op, f"{node_name(tensor)}.flat", source_of(tensor))
            self.refs[tensor.index] = self._append(ReshapeOp(made, shape=want), tensor)
        else:
            raise fail(
                STAGE,
                f"{operator.name} makes another shape than the file says",
                got=f"{list(tensor.shape)} in the file",
                want=str(list(shape)),
            )

    def _append(self, op: Op, tensor: Tensor) -> str:
        return self.builder.add(op, node_name(tensor), source_of(tensor), meaning_of(tensor))

    def shaped(self, operator: Operator, ref: str, shape: tuple[int, ...], role: str) -> str:
        """`ref` under another shape of as many elements."""
        if self.builder.types[ref].shape == shape:
            return ref
        return self.add(operator, ReshapeOp(ref, shape=shape), role)

    def input(self, tensor: Tensor) -> None:
        """Make `tensor` the program's input."""
        kind = TensorType(memory_shape(tensor.shape), ELEMENTS[tensor.dtype])
        name = f"%{self.builder.fresh(node_name(tensor))}"
        self.refs[tensor.index] = self.builder.input(Value(name, kind, meaning_of(tensor)))


def memory_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of the file as the program has it: with a batch of one in front."""
    return shape if len(shape) > 1 and shape[0] == 1 else (1, *shape)


def node_name(tensor: Tensor) -> str:
    """What stands for a tensor in the program: unlike names of the file, no two are equal."""
    return f"t{tensor.index}"


def source_of(tensor: Tensor) -> Source:
    """Where a value comes from; fused layers join their names by semicolons."""
    return Source(node_name(tensor), module=tensor.name.split(";")[0])


def meaning_of(tensor: Tensor) -> Meaning | None:
    found = tensor.quantization
    if found is None or not found.per_tensor:
        return None
    return Meaning(found.scales, found.zeros[0])


def grid(operator: Operator, tensor: Tensor, dtypes: tuple[str, ...]) -> tuple[float, int]:
    """Scale and zero point of a tensor.

    Raises:
        McugenError: another type, or no grid of its own.
    """
    if tensor.dtype not in dtypes:
        raise fail(
            STAGE,
            f"{operator.name} on {tensor.dtype}",
            got=str(tensor),
            want=" or ".join(dtypes),
            help="convert with full-integer quantization (a representative data set, "
            "TFLITE_BUILTINS_INT8)",
        )
    found = tensor.quantization
    if found is None or not found.per_tensor:
        want = "one scale and zero point"
        raise fail(STAGE, "a tensor without a grid", got=str(tensor), want=want)
    return found.scales[0], found.zeros[0]
