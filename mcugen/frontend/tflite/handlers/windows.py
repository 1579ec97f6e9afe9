"""Strides and padding of operators that slide a window."""

from typing import TypedDict

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE
from mcugen.frontend.tflite.options import Strided


class Geometry(TypedDict):
    """Attributes of an `ir.Windowed`."""

    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]


def geometry(
    shape: tuple[int, ...],
    size: tuple[int, int],
    options: Strided,
    dilation: tuple[int, int] = (1, 1),
) -> Geometry:
    """Where windows of `size` stand on an image of `shape`.

    With SAME there are ceil(extent / stride) of them, and what is missing is padded, the odd row
    or column behind: ComputePaddingHeightWidth of tflite/kernels/padding.h.
    """
    if len(shape) != 4 or shape[0] != 1:
        raise fail(STAGE, "no image", got=str(list(shape)), want="[1, height, width, channels]")
    stride = options.stride_h, options.stride_w
    if min(*stride, *dilation, *size) < 1:
        raise fail(STAGE, f"stride {stride}, dilation {dilation}, window {size}", want="at least 1")
    sides = [
        _padding(*axis, same=options.padding == "SAME")
        for axis in zip(shape[1:3], size, stride, dilation, strict=True)
    ]
    return Geometry(stride=stride, padding=(*sides[0], *sides[1]), dilation=dilation)


def _padding(extent: int, size: int, stride: int, dilation: int, same: bool) -> tuple[int, int]:
    if not same:
        return 0, 0
    outputs = -(-extent // stride)
    missing = max(0, (outputs - 1) * stride + (size - 1) * dilation + 1 - extent)
    return missing // 2, missing - missing // 2
