"""RESIZE_NEAREST_NEIGHBOR."""

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE, Context
from mcugen.frontend.tflite.graph import Operator
from mcugen.frontend.tflite.options import ResizeNearestNeighborOptions
from mcugen.ir import ops

_DTYPES = ("int8", "uint8", "int16")


def nearest(ctx: Context, operator: Operator) -> None:
    """Positions in float32: internal/reference/resize_nearest_neighbor.h."""
    x, result = ctx.activation(operator, 0, _DTYPES), ctx.result(operator, 0, _DTYPES)
    options = ctx.options(operator, ResizeNearestNeighborOptions)
    if len(x.shape) != 4 or len(result.shape) != 4 or x.shape[0] != 1:
        raise fail(STAGE, f"no image: {list(x.shape)} to {list(result.shape)}")
    rows, columns = (
        _positions(before, after, options)
        for before, after in zip(x.shape[1:3], result.shape[1:3], strict=True)
    )
    names = ctx.numbers(operator, "rows", rows), ctx.numbers(operator, "columns", columns)
    ctx.finish(operator, ops.Resize(x.ref, *names))


def _positions(before: int, after: int, options: ResizeNearestNeighborOptions) -> np.ndarray:
    aligned = options.align_corners and after > 1
    scale = (
        np.float32(before - 1) / np.float32(after - 1)
        if aligned
        else (np.float32(before) / np.float32(after))
    )
    offset = np.float32(0.5 if options.half_pixel_centers else 0)
    real = ((np.arange(after).astype(np.float32) + offset) * scale).astype(np.float64)
    near = np.floor(real + 0.5) if options.align_corners else np.floor(real)
    return np.clip(near.astype(np.int64), 0, before - 1)
