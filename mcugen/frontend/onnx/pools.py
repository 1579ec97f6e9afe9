"""Pools over sequences and images."""

from mcugen.frontend.graph import Argument
from mcugen.frontend.onnx import shapes
from mcugen.frontend.onnx.layout import view
from mcugen.frontend.onnx.translation import Call
from mcugen.frontend.onnx.values import Live
from mcugen.frontend.onnx.windows import kernel_shape, squared, windows


def _image(call: Call, x: Live) -> Live:
    """`x` as an image [1, C, H, W]."""
    if len(x.shape) not in (3, 4):
        raise call.node.wrong(f"a pool of {list(x.shape)}", want="[1, C, L] or [1, C, H, W]")
    return view(call, x, (*x.shape[:2], *squared(x.shape[2:])))


def _pool(call: Call, x: Live, target: str, **more: Argument) -> None:
    """A pool of windows."""
    image = _image(call, x)
    geometry = windows(call, x.shape[2:], kernel_shape(call, len(x.shape) - 2))
    arguments: dict[str, Argument] = {
        "self": image.ref,
        "kernel_size": geometry.kernel,
        "stride": geometry.stride,
        "padding": geometry.padding,
        **more,
    }
    if geometry.dilation != (1, 1):
        arguments["dilation"] = geometry.dilation
    extent = (*x.shape[:2], *geometry.extent)
    found = call.add(target, arguments, image, extent)
    call.give(view(call, found, extent if len(x.shape) == 4 else (*extent[:2], extent[3])))


def max_pool(call: Call) -> None:
    """MaxPool of real numbers or levels; its indices are not given."""
    call.ignore("storage_order")
    _pool(call, call.moved(0), "aten.max_pool2d.default")


def average_pool(call: Call) -> None:
    x = call.real(0)
    if any(one != 1 for one in call.integers("dilations") or ()):
        raise call.node.wrong("attribute dilations is not supported", want="1")
    whole = bool(call.integer("count_include_pad", 0))
    _pool(call, x, "aten.avg_pool2d.default", count_include_pad=whole)


def global_pool(call: Call) -> None:
    """GlobalAveragePool and GlobalMaxPool."""
    average = call.node.op == "GlobalAveragePool"
    x = call.real(0) if average else call.moved(0)
    image = _image(call, x)
    kind = "avg" if average else "max"
    found = call.add(
        f"aten.adaptive_{kind}_pool2d.default",
        {"self": image.ref, "output_size": (1, 1)},
        image,
        (*x.shape[:2], 1, 1),
    )
    call.give(view(call, found, (*x.shape[:2], *(1 for _ in x.shape[2:]))))


def reduce_mean(call: Call) -> None:
    """ReduceMean over all of a sequence or image."""
    x = call.real(0)
    rank = len(x.shape)
    axes = shapes.reduced_axes(call, rank)
    keep = bool(call.integer("keepdims", 1))
    if sorted(axes) != list(range(2, rank)) or rank not in (3, 4):
        raise call.node.wrong(
            f"a mean over axes {list(axes)} of {list(x.shape)}",
            want="all axes behind the channels",
        )
    image = _image(call, x)
    found = call.add("aten.mean.dim", {"self": image.ref, "dim": (2, 3)}, image, x.shape[:2])
    call.give(view(call, found, (*x.shape[:2], 1, 1)[: rank if keep else 2]))
