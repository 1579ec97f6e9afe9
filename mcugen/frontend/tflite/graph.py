"""A .tflite file as plain data: what the reader gives and lowering takes."""

from dataclasses import dataclass

import numpy as np

from mcugen.frontend.tflite.options import Options


@dataclass(frozen=True)
class Quantization:
    """real = scale · (q − zero), one pair for the tensor or one per position of `axis`."""

    scales: tuple[float, ...]
    """float32 numbers, above zero."""
    zeros: tuple[int, ...]
    """As many as scales."""
    axis: int = 0

    @property
    def per_tensor(self) -> bool:
        return len(self.scales) == 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the file."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    """Of the schema, in lower case: `int8`, `int4`, `float32` …"""
    quantization: Quantization | None
    data: np.ndarray | None
    """The elements of a constant; int4 is unpacked to int8."""
    variable: bool
    """Keeps its value from one run to the next; starts at real zero."""

    def __str__(self) -> str:
        return f"tensor {self.index} '{self.name}'"


@dataclass(frozen=True)
class Operator:
    """An operator of the file; `inputs` and `outputs` are indices of tensors, −1 where omitted."""

    index: int
    name: str
    """Of the schema, like `CONV_2D`."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options
    intermediates: tuple[int, ...] = ()
    """Tensors that only carry scales of what is computed on the way."""

    def __str__(self) -> str:
        return f"{self.name}, operator {self.index}"


@dataclass(frozen=True, eq=False)
class Graph:
    """A whole file. Operators are in an order in which each reads what is there."""

    sha256: str
    content: bytes
    """The file itself: the framework runs it for comparison."""
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
