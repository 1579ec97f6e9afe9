"""What the translation knows of each ONNX tensor."""

from dataclasses import dataclass

import numpy as np

from mcugen.frontend.graph import Meta, Ref
from mcugen.frontend.onnx.graph import Known
from mcugen.frontend.onnx.tensors import FLOATS


@dataclass(frozen=True, eq=False)
class Scaling:
    """Scale and zero point of a quantizer: one of each, or one per place along `axis`."""

    scale: np.ndarray
    zero: np.ndarray
    axis: int

    def real(self, levels: np.ndarray) -> np.ndarray:
        """The real numbers of `levels`, float64."""
        shape = [1] * levels.ndim
        if self.scale.size > 1:
            shape[self.axis] = self.scale.size
        scale, zero = (np.asarray(part, np.float64) for part in (self.scale, self.zero))
        if self.scale.size > 1:
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        real: np.ndarray = (levels - zero) * scale
        return real


@dataclass(frozen=True, eq=False)
class Stored:
    """A constant that a DequantizeLinear made real."""

    levels: np.ndarray
    scaling: Scaling
    name: str

    @property
    def real(self) -> np.ndarray:
        return self.scaling.real(self.levels)


@dataclass(frozen=True, eq=False)
class Live:
    """A tensor computed from the input: one of the graph that lowering takes."""

    name: str
    """In that graph."""
    meta: Meta
    scaling: Scaling | None = None
    """Of levels, where a quantizer has made them."""

    @property
    def ref(self) -> Ref:
        return Ref(self.name)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.meta.shape

    @property
    def is_real(self) -> bool:
        return self.meta.dtype in FLOATS


@dataclass(frozen=True)
class Missing:
    """An output that its node's translation does not give."""

    why: str


@dataclass(frozen=True)
class Failed:
    """The result of a node with a fault: its users stay silent."""


Found = Known | Stored | Live | Missing | Failed
