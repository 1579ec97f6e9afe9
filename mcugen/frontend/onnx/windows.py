"""Windows that slide over sequences and images: kernel, stride, padding, dilation, extent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mcugen.frontend.onnx.translation import MOST_STEP, Call


@dataclass(frozen=True)
class Geometry:
    """Of an image; a sequence is an image of one row."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    """Top, bottom, left, right."""
    extent: tuple[int, int]
    """Of the result."""


def squared(extent: Sequence[int]) -> tuple[int, int]:
    """Height and width; those of a sequence are 1 and its length."""
    return (1, extent[0]) if len(extent) == 1 else (extent[0], extent[1])


def kernel_shape(call: Call, rank: int) -> tuple[int, ...]:
    """The attribute kernel_shape of a pool."""
    if call.integers("kernel_shape") is None:
        raise call.node.wrong("attribute kernel_shape is missing")
    return call.steps("kernel_shape", rank, 1, 1)


def windows(call: Call, size: Sequence[int], kernel: Sequence[int]) -> Geometry:
    """The windows of `kernel` over an input of `size`, one or two axes each.

    Raises:
        McugenError: attributes out of range, or windows that do not fit the input.
    """
    rank = len(size)
    if max(kernel) > MOST_STEP:
        raise call.node.wrong(f"a kernel of {list(kernel)}", want=f"at most {MOST_STEP}")
    stride = call.steps("strides", rank, 1, 1)
    dilation = call.steps("dilations", rank, 1, 1)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    before, after = _padding(call, size, stride, spans)
    ceil = bool(call.integer("ceil_mode", 0)) if call.node.op != "Conv" else False
    extent = []
    for n, step, span, first, last in zip(size, stride, spans, before, after, strict=True):
        room = n + first + last - span
        if room < 0:
            raise call.node.wrong(f"a window over {span} positions does not fit {n}")
        places = (math.ceil(room / step) if ceil else room // step) + 1
        if ceil and (places - 1) * step >= n + first:  # it would begin behind the image
            places -= 1
        extent.append(places)
    (top, left), (bottom, right) = ((0, *side)[-2:] for side in (before, after))
    return Geometry(
        squared(kernel),
        squared(stride),
        squared(dilation),
        (top, bottom, left, right),
        squared(extent),
    )


def spreads(call: Call, size: Sequence[int], kernel: Sequence[int]) -> Geometry:
    """What a transposed convolution of `kernel` makes of an input of `size`, two axes each.

    Raises:
        McugenError: attributes out of range, or a result that reaches beyond the input.
    """
    stride = call.steps("strides", 2, 1, 1)
    more = call.steps("output_padding", 2, 0, 0)
    mode, wanted = call.text("auto_pad", "NOTSET"), call.integers("output_shape")
    if mode not in ("NOTSET", "VALID") or wanted is not None:
        what = "attribute auto_pad or output_shape is not supported"
        raise call.node.wrong(what, want="pads")
    pads = call.steps("pads", 4, 0, 0)
    extent = [
        step * (n - 1) + extra + k - first - last
        for n, step, extra, k, first, last in zip(
            size, stride, more, kernel, pads[:2], pads[2:], strict=True
        )
    ]
    if max(kernel) > MOST_STEP or any(one >= step for one, step in zip(more, stride, strict=True)):
        raise call.node.wrong("attribute output_padding is not below strides")
    top, left, bottom, right = pads
    return Geometry(
        squared(kernel), squared(stride), (1, 1), (top, bottom, left, right), squared(extent)
    )


def _padding(
    call: Call, size: Sequence[int], stride: Sequence[int], spans: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """Padding before and after each axis."""
    rank, mode = len(size), call.text("auto_pad", "NOTSET")
    pads = call.steps("pads", 2 * rank, 0, 0)
    if mode == "NOTSET":
        return pads[:rank], pads[rank:]
    if mode == "VALID":
        return (0,) * rank, (0,) * rank
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        want = "NOTSET, VALID, SAME_UPPER or SAME_LOWER"
        raise call.node.wrong("attribute auto_pad is not known", got=ascii(mode), want=want)
    total = [
        max((-(-n // step) - 1) * step + span - n, 0)
        for n, step, span in zip(size, stride, spans, strict=True)
    ]
    less, more = [one // 2 for one in total], [one - one // 2 for one in total]
    return (less, more) if mode == "SAME_UPPER" else (more, less)
