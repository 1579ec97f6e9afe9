"""A random .tflite model under construction, and what builders of its operators share."""

from dataclasses import dataclass

import numpy as np
import tflite

from tests.frontend.tflite.writer import Writer

CODES = tflite.BuiltinOperator
INT8, INT16, INT32 = tflite.TensorType.INT8, tflite.TensorType.INT16, tflite.TensorType.INT32


@dataclass(frozen=True)
class Grid:
    """A computed tensor of the model under construction."""

    index: int
    shape: tuple[int, ...]
    scale: float
    zero: int


class Model:
    """The model under construction."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.writer = rng, Writer()
        self.made: list[Grid] = []

    def pick(self, *values: int) -> int:
        return int(values[int(self.rng.integers(len(values)))])

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def zero(self) -> int:
        return self.pick(-128, 127, 0, self.between(-128, 127))

    def scale(self, near: float) -> float:
        """About `near`; now and then a power of two, or far away."""
        kind = self.pick(0, 0, 0, 0, 1, 2)
        if kind == 1:
            return float(2.0 ** np.round(np.log2(near)))
        spread = 1 if kind == 0 else 5
        return float(np.float32(near * 2 ** self.rng.uniform(-spread, spread)))

    def input(self) -> Grid:
        shape = (1, self.between(3, 9), self.between(3, 9), self.between(1, 9))
        return self.made_of(shape, self.scale(0.05), self.zero())

    def made_of(self, shape: tuple[int, ...], scale: float, zero: int) -> Grid:
        index = self.writer.activation(f"t{len(self.writer.tensors)}", shape, scale, zero)
        grid = Grid(index, shape, float(np.float32(scale)), zero)
        self.made.append(grid)
        return grid

    def ints(self, values: object, kind: int = INT32) -> int:
        return self.writer.constant("constant", np.array(values), kind)

    def image(self, x: Grid) -> Grid:
        """`x` as an image."""
        if len(x.shape) == 4 and x.shape[0] == 1:
            return x
        size = int(np.prod(x.shape))
        width = next(width for width in (3, 2, 1) if size % width == 0)
        return reshape(self, x, (1, width, size // width, 1))


def reshape(model: Model, x: Grid, shape: tuple[int, ...] | None = None) -> Grid:
    size = int(np.prod(x.shape))
    half = next(part for part in (3, 2, 1) if size % part == 0)
    choices = [(1, size), (half, size // half), (1, half, size // half), (1, half, 1, size // half)]
    shape = choices[model.pick(0, 1, 2, 3)] if shape is None else shape
    y = model.made_of(shape, x.scale, x.zero)
    model.writer.operator(CODES.RESHAPE, [x.index, model.ints(shape)], [y.index], "ReshapeOptions")
    return y


def geometry(
    model: Model, x: Grid, size: tuple[int, int], dilated: bool = False
) -> tuple[dict[str, int], list[int]]:
    """Options of a window that fits, and the extents of its result."""
    same = model.pick(0, 1)
    options, extents = {"Padding": 1 - same}, []
    for axis, letter in ((1, "H"), (2, "W")):
        extent, reach = x.shape[axis], 2 * size[axis - 1] - 1
        dilation = 2 if dilated and reach <= extent and model.pick(0, 0, 1) else 1
        stride = model.between(1, 3) if dilation == 1 else 1
        covered = dilation * (size[axis - 1] - 1) + 1
        options[f"Stride{letter}"] = stride
        if dilated:
            options[f"Dilation{letter}Factor"] = dilation
        extents.append(-(-extent // stride) if same else (extent - covered) // stride + 1)
    return options, extents


def window(model: Model, x: Grid) -> tuple[int, int]:
    return tuple(model.between(1, min(4, extent)) for extent in x.shape[1:3])  # type: ignore[return-value]
