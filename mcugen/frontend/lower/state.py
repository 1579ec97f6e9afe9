"""What lowering knows of each tensor of the PyTorch graph, and the program under construction."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from mcugen.errors import Fault, McugenError, fail
from mcugen.frontend.builder import Builder
from mcugen.frontend.graph import QUANTIZE, ExportedGraph
from mcugen.frontend.lower.bases import BasisConstant
from mcugen.frontend.lower.functions import Function
from mcugen.frontend.lower.packing import Packing
from mcugen.ir import ops
from mcugen.ir.program import Meaning, Source

#: Ops that move values without looking at them, or only compare them.
Structural = ops.MaxPool | ops.Pad | ops.Reshape | ops.Resize | ops.Slice | ops.Transpose


@dataclass(frozen=True)
class Pending:
    """A structural op that waits for a quantizer: it commutes with everything elementwise.

    `op` has an empty operand; `position` is how many functions stood before it; `fill` is the real
    value a padding writes.
    """

    op: Structural
    source: Source
    position: int
    fill: float | None = None


@dataclass(frozen=True, eq=False)
class Real:
    """A real tensor: functions(meaning(q)) of the integer tensor `ref`, then the pending ops.

    `shape` is PyTorch's, `memory` the program's, both behind the pending ops. Images lie NHWC in
    the program; a tensor flattened from an image keeps that memory until someone needs PyTorch's
    order (`layout.plain`).
    """

    ref: str
    meaning: Meaning
    shape: tuple[int, ...]
    memory: tuple[int, ...]
    functions: tuple[Function, ...] = ()
    pending: tuple[Pending, ...] = ()
    quantized: bool = False
    """On the grid of a quantizer, rather than an accumulator."""

    @property
    def on_grid(self) -> bool:
        return self.quantized and not self.functions and not self.pending

    def then(self, *functions: Function) -> "Real":
        return replace(self, functions=(*self.functions, *functions))

    @property
    def is_image(self) -> bool:
        """PyTorch's NCHW tensor, NHWC in memory."""
        return len(self.shape) == 4

    @property
    def is_flat_image(self) -> bool:
        """Flattened in PyTorch, still an image in memory."""
        return len(self.memory) == 4 and len(self.shape) != 4


@dataclass(frozen=True, eq=False)
class RawInput:
    """The float input before its quantizer; layout ops on it wait."""

    name: str
    input_shape: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Joined:
    """A concatenation whose parts are still real; functions and quantizers go to each part."""

    parts: tuple[Real, ...]
    axis: int
    """PyTorch's axis."""
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Constant:
    """A parameter, buffer or computed constant."""

    data: np.ndarray
    name: str


@dataclass(frozen=True, eq=False)
class GridConstant:
    """A quantized constant: real = scale·q, one scale or one per place along `axis`.

    q is centred.
    """

    q: np.ndarray
    scale: np.ndarray
    name: str
    axis: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.q.shape


@dataclass(frozen=True)
class Poisoned:
    """The result of a node that failed: its users stay silent."""


Tensor = Real | RawInput | Joined | Constant | GridConstant | BasisConstant | Poisoned


@dataclass
class Context:
    """Lowering of one graph: tensors by name, the builder, the faults so far."""

    graph: ExportedGraph
    builder: Builder = field(default_factory=Builder)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    packing: Mapping[str, Packing] = field(default_factory=dict)
    """How activations on a basis lie in memory."""
    output_function: str | None = None

    def fault(self, error: McugenError, source: Source) -> None:
        """Keep the faults of `error`, each with the place in the user's model."""
        for item in error.faults:
            help = self.graph.quantize if item.help == QUANTIZE else item.help
            self.faults.append(replace(item, at=item.at or str(source), help=help))


def unquantized(what: str) -> McugenError:
    """The error for a tensor that reaches an integer op without a quantizer."""
    return fail(
        "lower",
        f"{what} is not quantized",
        want="a quantizer between every two layers",
        help=QUANTIZE,
    )
