"""What the reference may run: an allow-list of ATen operators, and quantizers in plain arithmetic.

PyTorch is imported on the first use.
"""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mcugen.errors import fail

if TYPE_CHECKING:
    from torch import Tensor

STAGE = "reference"

_ELEMENTWISE = """
    _to_copy abs add.Scalar add.Tensor alias ceil clamp clamp.Tensor clamp_max clamp_min clone
    contiguous detach div.Scalar div.Tensor dropout elu eq.Scalar eq.Tensor exp feature_dropout
    floor ge.Scalar ge.Tensor gelu gt.Scalar gt.Tensor hardsigmoid hardswish hardtanh le.Scalar
    le.Tensor leaky_relu lift_fresh_copy log log1p lt.Scalar lt.Tensor masked_fill.Scalar
    maximum minimum mul.Scalar mul.Tensor ne.Scalar ne.Tensor neg pow.Tensor_Scalar reciprocal
    relu relu6 round rsqrt rsub.Scalar sigmoid sign silu softplus sqrt sub.Scalar sub.Tensor
    tanh threshold to.dtype to.dtype_layout where.self
"""
_SPATIAL = """
    _native_batch_norm_legit_no_training adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_max_pool2d addmm avg_pool1d avg_pool2d batch_norm conv1d conv1d.padding conv2d
    conv2d.padding conv_transpose2d.input convolution linear matmul max_pool1d max_pool2d
    max_pool2d_with_indices mm upsample_nearest2d.vec
"""
_SHAPED = """
    _unsafe_view constant_pad_nd expand flatten.using_ints pad permute reshape squeeze
    squeeze.dim squeeze.dims t transpose.int unflatten.int unsqueeze view
"""
_ALONG = """
    _log_softmax _softmax _weight_norm amax amin argmax cat chunk log_softmax.int max max.dim
    mean mean.dim min min.dim narrow select.int slice.Tensor softmax.int split.Tensor
    split_with_sizes stack sum sum.dim_IntList
"""
#: ATen operators that may run, with their overload where it is not `default`.
ALLOWED = frozenset(f"{_ELEMENTWISE} {_SPATIAL} {_SHAPED} {_ALONG}".split())


def load_torch() -> ModuleType:
    """PyTorch.

    Raises:
        McugenError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise fail(
            STAGE,
            "PyTorch is not installed, and the comparison with it needs it",
            help="pip install 'mcugen[train]'",
        ) from error
    return torch


def short_name(target: str) -> str:
    """`conv2d`, `add.Tensor` of an ATen target; without the underscore of an in-place op."""
    namespace, name, overload = target.split(".")
    name = name.removesuffix("_")
    if namespace != "aten":
        return f"{namespace}.{name}"
    return name if overload == "default" else f"{name}.{overload}"


def find_operator(target: str) -> Callable[..., Any] | None:
    """What runs a target, if it is allowed."""
    if target in QUANTIZERS:
        return QUANTIZERS[target]
    short = short_name(target)
    if not target.startswith("aten.") or short not in ALLOWED:
        return None
    name, _, overload = short.partition(".")
    operator: Callable[..., Any] = getattr(
        getattr(load_torch().ops.aten, name), overload or "default"
    )
    return operator


def _along(x: "Tensor", grid: "Tensor | float", axis: int) -> "Tensor | float":
    """A grid's parameter, shaped to meet `axis` of x; a single one as it is."""
    if isinstance(grid, int | float) or axis < 0:
        return grid
    return grid.reshape([-1 if index == axis else 1 for index in range(x.dim())])


def _quantize(
    x: "Tensor", scale: "Tensor", zero_point: "Tensor", lo: int, hi: int, axis: int
) -> "Tensor":
    """`mcugen::quantize`: the level is floor(x / scale + zero_point + 1/2) within [lo, hi]."""
    step, zero = _along(x, scale, axis), _along(x, zero_point, axis)
    level = (x / step + zero + 0.5).floor().clamp(lo, hi)
    return (level - zero) * step


def _quantize_basis(x: "Tensor", basis: "Tensor", offset: "Tensor", axis: int) -> "Tensor":
    """`mcugen::quantize_basis`: the level after the last border that x is above."""
    torch = load_torch()
    levels = basis[..., :1] * 0  # [1] or [C, 1], one column for each code in the end
    for plane in range(basis.shape[-1]):
        step = basis[..., plane : plane + 1]
        levels = torch.cat((levels - step, levels + step), -1)
    levels = levels.sort(-1).values.reshape(-1, levels.shape[-1])
    rows = x.movedim(axis, 0).reshape(x.shape[axis], -1) if axis >= 0 else x.reshape(1, -1)
    shift = offset.reshape(-1, 1)
    borders = (levels[:, 1:] + levels[:, :-1]) / 2 + shift
    rank = torch.searchsorted(borders.contiguous(), rows.contiguous())
    rank = rank.masked_fill(rows.isnan(), 0)
    found: Tensor = levels.gather(1, rank) + shift
    if axis < 0:
        return found.reshape(x.shape)
    return found.reshape(x.movedim(axis, 0).shape).movedim(0, axis)


def _to_level(
    x: "Tensor", scale: "Tensor | float", zero_point: "Tensor | float", low: int, high: int
) -> "Tensor":
    """PyTorch's grid: ties go to the even level before the zero point is added.

    A fractional zero point, which only per-channel fake quantization takes, is added first.
    """
    fractional = not isinstance(zero_point, int | float) and zero_point.is_floating_point()
    position = x / scale
    level = (position + zero_point).round() if fractional else position.round() + zero_point
    return level.clamp(low, high)


def _fake_quantize(
    self: "Tensor",
    scale: "Tensor | float",
    zero_point: "Tensor | float",
    quant_min: int,
    quant_max: int,
    axis: int = -1,
) -> "Tensor":
    """`aten::fake_quantize_per_tensor_affine` and `_per_channel_affine`."""
    step, zero = _along(self, scale, axis), _along(self, zero_point, axis)
    return (_to_level(self, step, zero, quant_min, quant_max) - zero) * step


def _quantize_tensor(
    input: "Tensor", scale: Any, zero_point: Any, quant_min: Any, quant_max: Any, dtype: Any
) -> "Tensor":
    """`quantized_decomposed::quantize_per_tensor`: the level, kept in a floating-point tensor."""
    return _to_level(input, scale, zero_point, int(quant_min), int(quant_max))


def _dequantize_tensor(input: "Tensor", scale: Any, zero_point: Any, **limits: Any) -> "Tensor":
    """`quantized_decomposed::dequantize_per_tensor`."""
    level: Tensor = (input - zero_point) * scale
    return level


def _quantize_channel(
    input: "Tensor", scales: "Tensor", zero_points: "Tensor", axis: int, **limits: Any
) -> "Tensor":
    """`quantized_decomposed::quantize_per_channel`, like `_quantize_tensor`."""
    step, zero = _along(input, scales, axis), _along(input, zero_points, axis)
    return _quantize_tensor(input, step, zero, **limits)


def _dequantize_channel(
    input: "Tensor", scales: "Tensor", zero_points: "Tensor | None", axis: int, **limits: Any
) -> "Tensor":
    """`quantized_decomposed::dequantize_per_channel`; no zero points are zeros."""
    zero = 0.0 if zero_points is None else _along(input, zero_points, axis)
    return _dequantize_tensor(input, _along(input, scales, axis), zero)


_DECOMPOSED = "quantized_decomposed"
QUANTIZERS: Mapping[str, Callable[..., Any]] = {
    "mcugen.quantize.default": _quantize,
    "mcugen.quantize_basis.default": _quantize_basis,
    "aten.fake_quantize_per_tensor_affine.default": _fake_quantize,
    "aten.fake_quantize_per_tensor_affine.tensor_qparams": _fake_quantize,
    "aten.fake_quantize_per_channel_affine.default": _fake_quantize,
    **{
        f"{_DECOMPOSED}.quantize_per_tensor.{overload}": _quantize_tensor
        for overload in ("default", "tensor", "tensor2")
    },
    **{
        f"{_DECOMPOSED}.dequantize_per_tensor.{overload}": _dequantize_tensor
        for overload in ("default", "tensor", "tensor2")
    },
    f"{_DECOMPOSED}.quantize_per_channel.default": _quantize_channel,
    f"{_DECOMPOSED}.dequantize_per_channel.default": _dequantize_channel,
}
