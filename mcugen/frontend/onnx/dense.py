"""Convolutions and matrix products: real in the graph, integer once lowered."""

import numpy as np

from mcugen.frontend.graph import Argument, Ref
from mcugen.frontend.onnx.graph import Known
from mcugen.frontend.onnx.layout import view
from mcugen.frontend.onnx.translation import Call
from mcugen.frontend.onnx.values import Live, Scaling, Stored
from mcugen.frontend.onnx.windows import spreads, squared, windows


def _stored(call: Call, index: int) -> Stored:
    """A quantized weight."""
    found = call.value(index)
    if isinstance(found, Stored):
        return found
    what = "is not quantized" if isinstance(found, Known) else "is computed"
    raise call.node.wrong(
        f"the weight '{call.node.inputs[index]}' {what}",
        want="a constant behind a DequantizeLinear",
        help="onnxruntime.quantization.quantize_static, with this node among those to quantize",
    )


def _weight(call: Call, stored: Stored, levels: np.ndarray, axis: int) -> Ref:
    """The weight in the new graph: `levels` with the scales of `stored` along `axis`."""
    scale, zero = stored.scaling.scale, stored.scaling.zero
    per = "tensor" if scale.size == 1 else "channel"
    plural = "" if scale.size == 1 else "s"
    data = call.to.constant(levels, stored.name)
    arguments: dict[str, Argument] = {
        "input": data,
        f"scale{plural}": call.to.constant(scale, f"{stored.name}.scale"),
        f"zero_point{plural}": call.to.constant(zero, f"{stored.name}.zero"),
        "axis": axis,
    }
    target = f"quantized_decomposed.dequantize_per_{per}.default"
    like = Live(data.name, call.to.metas[data.name])
    return call.add(target, arguments, like, levels.shape, data.name).ref


def _channel_axis(call: Call, stored: Stored, axis: int) -> None:
    """McugenError where a weight has scales along another axis than its output channels."""
    scaling = stored.scaling
    if scaling.scale.size > 1 and scaling.axis % stored.levels.ndim != axis:
        raise call.node.wrong(
            f"the weight's scales lie along axis {scaling.axis}",
            want=f"axis {axis}, its output channels, or one scale",
        )


def _bias(call: Call, index: int, count: int) -> np.ndarray | None:
    """A bias of `count` values."""
    if not call.given(index):
        return None
    data = call.constant(index, "the bias")
    if data.size not in (1, count) or data.shape[-1:] not in ((), (1,), (count,)):
        raise call.node.wrong(f"a bias of shape {list(data.shape)}", want=f"{count} values")
    return np.broadcast_to(data.reshape(-1), (count,))


def convolution(call: Call) -> None:
    """Conv of images and of sequences, with groups."""
    x, stored = call.real(0), _stored(call, 1)
    _channel_axis(call, stored, 0)
    shape, groups = stored.levels.shape, call.integer("group", 1)
    if len(shape) != len(x.shape) or len(x.shape) not in (3, 4):
        raise call.node.wrong(f"convolution of {list(x.shape)} by {list(shape)}")
    if groups < 1 or shape[1] * groups != x.shape[1] or shape[0] % groups:
        raise call.node.wrong(
            f"{groups} groups with weights {list(shape)} on {x.shape[1]} channels",
            want="channels that the groups divide",
        )
    kernel = call.integers("kernel_shape") or shape[2:]
    if kernel != shape[2:]:
        raise call.node.wrong(f"attribute kernel_shape is {list(kernel)}", want=f"{shape[2:]}")
    geometry = windows(call, x.shape[2:], kernel)
    levels = stored.levels.reshape(*shape[:2], *squared(shape[2:]))
    arguments: dict[str, Argument] = {
        "input": view(call, x, (*x.shape[:2], *squared(x.shape[2:]))).ref,
        "weight": _weight(call, stored, levels, 0),
        "stride": geometry.stride,
        "padding": geometry.padding,
        "dilation": geometry.dilation,
        "groups": groups,
    }
    bias = _bias(call, 2, shape[0])
    if bias is not None:
        arguments["bias"] = call.to.constant(bias, call.node.inputs[2])
    extent = (x.shape[0], shape[0], *geometry.extent)
    found = call.add("aten.conv2d.default", arguments, x, extent)
    call.give(view(call, found, extent if len(x.shape) == 4 else (*extent[:2], extent[3])))


def transposed_convolution(call: Call) -> None:
    """ConvTranspose of images; its weight is [inputs, outputs, h, w]."""
    x, stored = call.real(0), _stored(call, 1)
    _channel_axis(call, stored, 1)
    shape = stored.levels.shape
    if len(shape) != 4 or len(x.shape) != 4 or shape[0] != x.shape[1]:
        raise call.node.wrong(f"transposed convolution of {list(x.shape)} by {list(shape)}")
    if call.integer("group", 1) != 1 or any(one != 1 for one in call.integers("dilations") or ()):
        raise call.node.wrong("groups or dilations are not supported", want="1")
    kernel = call.integers("kernel_shape") or shape[2:]
    if kernel != shape[2:]:
        raise call.node.wrong(f"attribute kernel_shape is {list(kernel)}", want=f"{shape[2:]}")
    geometry = spreads(call, x.shape[2:], kernel)
    arguments: dict[str, Argument] = {
        "input": x.ref,
        "weight": _weight(call, stored, stored.levels, 1),
        "stride": geometry.stride,
        "padding": geometry.padding,
    }
    bias = _bias(call, 2, shape[1])
    if bias is not None:
        arguments["bias"] = call.to.constant(bias, call.node.inputs[2])
    extent = (x.shape[0], shape[1], *geometry.extent)
    call.give(call.add("aten.conv_transpose2d.input", arguments, x, extent))


def matrix_product(call: Call) -> None:
    """MatMul by a constant matrix [inputs, outputs]."""
    x, stored = call.real(0), _stored(call, 1)
    _linear(call, x, stored, transposed=False, bias=None)


def gemm(call: Call) -> None:
    """Gemm: alpha·A·B + beta·C with a constant B."""
    x, stored = call.real(0), _stored(call, 1)
    if call.integer("transA", 0):
        raise call.node.wrong("attribute transA is not supported", want="0")
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    if alpha <= 0:
        raise call.node.wrong(f"attribute alpha is {alpha:g}", want="a positive number")
    transposed = bool(call.integer("transB", 0))
    scaling = stored.scaling
    stored = Stored(
        stored.levels, Scaling(scaling.scale * alpha, scaling.zero, scaling.axis), stored.name
    )
    outputs = stored.levels.shape[0 if transposed else -1] if stored.levels.ndim else 0
    bias = _bias(call, 2, outputs)
    _linear(call, x, stored, transposed, None if bias is None else bias * beta)


def _linear(call: Call, x: Live, stored: Stored, transposed: bool, bias: np.ndarray | None) -> None:
    levels = stored.levels
    if levels.ndim != 2 or len(x.shape) < 2:
        raise call.node.wrong(f"product of {list(x.shape)} by {list(levels.shape)}")
    _channel_axis(call, stored, 0 if transposed else 1)
    levels = levels if transposed else np.ascontiguousarray(levels.T)
    if levels.shape[1] != x.shape[-1]:
        raise call.node.wrong(f"{x.shape[-1]} features meet weights for {levels.shape[1]}")
    arguments: dict[str, Argument] = {"input": x.ref, "weight": _weight(call, stored, levels, 0)}
    if bias is not None:
        arguments["bias"] = call.to.constant(bias, call.node.inputs[2])
    shape = (*x.shape[:-1], levels.shape[0])
    call.give(call.add("aten.linear.default", arguments, x, shape))
