"""An exported PyTorch graph as plain data: what the archive reader gives and lowering takes."""

from dataclasses import dataclass

import numpy as np

from mcugen.ir.program import Source


@dataclass(frozen=True)
class Meta:
    """Shape and dtype (`float32`, `int64`, ...) of a tensor in the graph."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Ref:
    """An argument that is another tensor of the graph."""

    name: str


Argument = Ref | int | float | bool | str | None | tuple["Argument", ...]


@dataclass(frozen=True)
class GraphNode:
    """One ATen or quantizer op; arguments by their schema names, omitted ones absent."""

    target: str
    """Like `aten.conv2d.default` or `mcugen.quantize.default`."""
    outputs: tuple[str, ...]
    arguments: dict[str, Argument]
    source: Source

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors among the arguments."""
        values = self.arguments.values()
        items = (item for v in values for item in (v if isinstance(v, tuple) else (v,)))
        return tuple(item.name for item in items if isinstance(item, Ref))


#: The help of errors about a missing quantizer; the graph knows better words.
QUANTIZE = "put a quantizer there"
_QUANTIZE_TORCH = (
    "mcugen.quant.quantize_(model, weight=..., activation=...) places quantizers; "
    "or call torch.ops.mcugen.quantize on the tensor"
)


@dataclass(frozen=True)
class ExportedGraph:
    """A whole exported program: inference graph, parameters and buffers as arrays."""

    sha256: str
    """Of the archive."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[GraphNode, ...]
    tensors: dict[str, np.ndarray]
    """Parameters, buffers and constants by their name in the graph."""
    metas: dict[str, Meta]
    """Every tensor of the graph, inputs and results included."""
    qualified: dict[str, str]
    """Name in the graph → name in the model, like `p_conv1_bias` → `conv1.bias`."""
    quantize: str = _QUANTIZE_TORCH
    """How quantizers get into a model of this kind: the help where one is missing."""
