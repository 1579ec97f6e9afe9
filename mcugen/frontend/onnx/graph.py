"""An ONNX model as plain data, checked: what the reader gives and the translation takes."""

from dataclasses import dataclass

import numpy as np

from mcugen.errors import Fault, McugenError
from mcugen.frontend.graph import Meta

STAGE = "onnx"
#: The domain of ONNX's own operators.
STANDARD = ""
MICROSOFT = "com.microsoft"


@dataclass(frozen=True, eq=False)
class Known:
    """A tensor whose value is in the file, or follows from what is."""

    data: np.ndarray
    dtype: str
    """ONNX's element type in lower case; `int4` and `uint4` lie one to an int8 or uint8."""


Attribute = int | float | str | Known | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class OnnxNode:
    """One operator of the graph."""

    file: str
    index: int
    """Place in the graph, from 0."""
    name: str
    domain: str
    op: str
    inputs: tuple[str, ...]
    """Empty where an optional input is left out."""
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]
    written: str = ""
    """The operator as the file has it, where it was spelled out as others."""

    @property
    def kind(self) -> str:
        """The operator with its domain, like `Conv` or `com.microsoft.QGemm`."""
        return self.written or (f"{self.domain}.{self.op}" if self.domain else self.op)

    @property
    def at(self) -> str:
        """How a message names the node."""
        name = f" '{self.name}'" if self.name else ""
        return f"{self.file}: node {self.index}, {self.kind}{name}"

    def wrong(
        self, what: str, got: str | None = None, want: str | None = None, help: str | None = None
    ) -> McugenError:
        """An error at this node; the caller raises it."""
        return McugenError(STAGE, Fault(what, self.at, got, want, help))


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """The main graph of a model."""

    file: str
    data: bytes
    """The file itself, for ONNX Runtime."""
    opset: int
    """Version of ONNX's own operators."""
    inputs: dict[str, Meta]
    outputs: tuple[str, ...]
    nodes: tuple[OnnxNode, ...]
    constants: dict[str, Known]
