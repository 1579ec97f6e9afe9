"""The graph under construction, and one node's view of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mcugen.frontend.graph import Argument, GraphNode, Meta, Ref
from mcugen.frontend.onnx.graph import Known, OnnxGraph, OnnxNode
from mcugen.frontend.onnx.names import Names, module
from mcugen.frontend.onnx.tensors import MAX_CONSTANT_ELEMENTS, checked_shape
from mcugen.frontend.onnx.values import Failed, Found, Live, Missing, Stored
from mcugen.ir.program import Source

#: Most that a kernel, stride, dilation or padding can be.
MOST_STEP = 4_096


@dataclass
class Translation:
    """Nodes, shapes and constants of the graph that lowering takes, so far."""

    graph: OnnxGraph
    values: dict[str, Found] = field(default_factory=dict)
    """By the tensor's name in the file."""
    nodes: list[GraphNode] = field(default_factory=list)
    metas: dict[str, Meta] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)
    """Name in the new graph → name in the file."""
    names: Names = field(default_factory=Names)
    modules: dict[str, str] = field(default_factory=dict)
    """Name in the new graph → module of the node that computed it."""
    room: int = MAX_CONSTANT_ELEMENTS
    """Elements that folded constants may still take."""

    def named(self, text: str) -> str:
        """A name in the new graph for the file's tensor `text`."""
        name = self.names.fresh(text)
        self.spelled[name] = text
        return name

    def constant(self, data: np.ndarray, text: str) -> Ref:
        """A constant of the new graph."""
        name = self.named(text)
        self.tensors[name], self.metas[name] = data, Meta(data.shape, data.dtype.name)
        return Ref(name)


class Call:
    """One node of the file while it is translated: its inputs and attributes, checked."""

    def __init__(self, to: Translation, node: OnnxNode) -> None:
        self.to, self.node = to, node
        self._read: set[str] = set()

    @property
    def opset(self) -> int:
        return self.to.graph.opset

    def given(self, index: int) -> bool:
        """Whether the optional input `index` is there."""
        return index < len(self.node.inputs) and self.node.inputs[index] != ""

    def value(self, index: int) -> Known | Stored | Live:
        """Input `index`.

        Raises:
            McugenError: it is left out, or an output that its node does not give.
        """
        if not self.given(index):
            raise self.node.wrong(f"input {index} is missing")
        found = self.to.values[self.node.inputs[index]]
        if isinstance(found, Missing):
            raise self.node.wrong(f"input {index} is {found.why}")
        assert not isinstance(found, Failed)  # such nodes are not translated
        return found

    def moved(self, index: int) -> Live:
        """A computed tensor, real or levels: for operators that only move values."""
        found = self.value(index)
        if not isinstance(found, Live):
            what = f"input {index} is a constant where a computed tensor is needed"
            raise self.node.wrong(what, got=f"'{self.node.inputs[index]}'")
        return found

    def real(self, index: int) -> Live:
        """A computed tensor of real numbers."""
        found = self.moved(index)
        if not found.is_real:
            raise self.node.wrong(
                f"input {index} holds integers",
                got=found.meta.dtype,
                want="real numbers, behind a DequantizeLinear",
            )
        return found

    def numbers(self, index: int) -> np.ndarray | None:
        """A constant as float64, dequantized where it is stored; None for a computed tensor.

        Raises:
            McugenError: it has NaN or infinite values.
        """
        found = self.value(index)
        if isinstance(found, Live):
            return None
        data = found.real if isinstance(found, Stored) else found.data.astype(np.float64)
        if not np.isfinite(data).all():
            raise self.node.wrong(f"input {index} has NaN or infinite values")
        return data

    def constant(self, index: int, what: str) -> np.ndarray:
        """A constant as float64, finite; `what` it is, for messages."""
        data = self.numbers(index)
        if data is None:
            raise self.node.wrong(f"{what} is computed", want="a constant")
        return data

    def whole(self, index: int, what: str) -> tuple[int, ...]:
        """A constant list of integers."""
        found = self.value(index)
        if not isinstance(found, Known) or found.data.dtype.kind not in "iu":
            raise self.node.wrong(f"{what} are not constant integers")
        if found.data.ndim > 1 or found.data.size > 64:
            raise self.node.wrong(f"{what} are no list", got=f"shape {list(found.data.shape)}")
        return tuple(int(item) for item in found.data.ravel())

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self._attribute(name, default)
        if not isinstance(value, int):
            raise self.node.wrong(f"attribute {name} is no integer")
        return value

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        value = self._attribute(name, default)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise self.node.wrong(f"attribute {name} is no finite number", got=ascii(value)[:60])
        return float(value)

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        value = self._attribute(name, default)
        if not isinstance(value, str):
            raise self.node.wrong(f"attribute {name} is no text")
        return value

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A list of integers, None where it is left out."""
        value = self._attribute(name, None)
        if value is None:
            return None
        if not isinstance(value, tuple) or not all(isinstance(item, int) for item in value):
            raise self.node.wrong(f"attribute {name} is no list of integers")
        return tuple(int(item) for item in value)

    def steps(self, name: str, count: int, default: int, least: int) -> tuple[int, ...]:
        """`count` integers from `least` to `MOST_STEP`."""
        values = self.integers(name)
        values = (default,) * count if values is None else values
        if len(values) != count or any(not least <= one <= MOST_STEP for one in values):
            raise self.node.wrong(
                f"attribute {name} does not fit",
                got=str(list(values[:16])),
                want=f"{count} integers from {least} to {MOST_STEP}",
            )
        return values

    def _attribute(self, name: str, default: object) -> object:
        self._read.add(name)
        return self.node.attributes.get(name, default)

    def ignore(self, *names: str) -> None:
        """Attributes without effect on what is computed here."""
        self._read.update(names)

    def finish(self) -> None:
        """McugenError where the node has an attribute that nobody read."""
        for name in self.node.attributes:
            if name not in self._read:
                raise self.node.wrong(f"attribute {name} is not known")

    def axis(self, axis: int, rank: int) -> int:
        """`axis` counted from the front."""
        if not -rank <= axis < rank:
            raise self.node.wrong(f"axis {axis} does not fit a tensor of {rank} axes")
        return axis % rank

    def shaped(self, dims: Sequence[int]) -> tuple[int, ...]:
        """`dims` as the shape of a result.

        Raises:
            McugenError: an extent below one, or too many elements.
        """
        shape = tuple(int(extent) for extent in dims)
        if any(extent < 1 for extent in shape):
            raise self.node.wrong("the result has no elements", got=f"shape {list(shape)}")
        return checked_shape(shape, self.node.at)

    def add(
        self,
        target: str,
        arguments: Mapping[str, Argument],
        like: Live,
        shape: Sequence[int],
        base: str | None = None,
    ) -> Live:
        """A node of the new graph whose result has the type, and scaling, of `like`.

        `base` names the result, where it is not the node's.
        Scaling per channel is kept by shapes that keep the channels, which is all that matters.
        """
        name = self.to.named(base or self.node.outputs[0])
        found = replace(like, name=name, meta=Meta(self.shaped(shape), like.meta.dtype))
        origin = module(self.node)
        if self.node.op in _QUANTIZERS and like.name in self.to.modules:
            origin = self.to.modules[like.name]
        self.to.modules[name] = origin
        source = Source(name, origin, f"{self.node.kind}, node {self.node.index}")
        self.to.nodes.append(GraphNode(target, (name,), dict(arguments), source))
        self.to.metas[name] = found.meta
        return found

    def give(self, *results: Found) -> None:
        """The node's outputs; further ones are missing."""
        for index, name in enumerate(self.node.outputs):
            if name:
                why = Missing(f"output {index} of {self.node.at}, which is not supported")
                self.to.values[name] = results[index] if index < len(results) else why

    def known(self, data: np.ndarray, dtype: str) -> Known:
        """A folded constant, within what all of them may take."""
        self.to.room -= data.size
        if self.to.room < 0 or data.size > MAX_CONSTANT_ELEMENTS:
            raise self.node.wrong("the model's computed constants take too much memory")
        return Known(data, dtype)


_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")

Handler = Callable[[Call], None]
