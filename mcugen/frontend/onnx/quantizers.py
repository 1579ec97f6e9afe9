"""QuantizeLinear and DequantizeLinear: real numbers to levels and back."""

import numpy as np

from mcugen.frontend.graph import Argument, Meta
from mcugen.frontend.onnx.graph import Known
from mcugen.frontend.onnx.tensors import DTYPES, FLOATS, LEVELS
from mcugen.frontend.onnx.translation import Call
from mcugen.frontend.onnx.values import Live, Scaling, Stored

_DECOMPOSED = "quantized_decomposed"


def quantize(call: Call) -> None:
    """QuantizeLinear: saturate(round(x / scale) + zero), ties to even."""
    call.ignore("saturate", "precision")
    x = call.value(0)
    scaling, dtype = _scaling(call, x, None)
    if isinstance(x, Known):
        call.give(_levels(call, x, scaling, dtype))
        return
    if isinstance(x, Stored):
        real = x.real.astype(np.float32)
        call.give(_levels(call, Known(real, "float32"), scaling, dtype))
        return
    x = call.real(0)
    levels = Live(x.name, Meta(x.shape, dtype), scaling)
    call.give(_placed(call, "quantize", x, levels))


def dequantize(call: Call) -> None:
    """DequantizeLinear: scale·(levels − zero)."""
    x = call.value(0)
    if isinstance(x, Stored) or (isinstance(x, Live) and x.is_real):
        raise call.node.wrong("input 0 is real already", want="levels")
    dtype = x.dtype if isinstance(x, Known) else x.meta.dtype
    if dtype not in LEVELS and dtype != "int32":
        raise call.node.wrong("input 0 holds no levels", got=dtype, want=", ".join(LEVELS))
    scaling, _ = _scaling(call, x, dtype)
    if isinstance(x, Known):
        call.give(Stored(x.data, scaling, call.node.inputs[0]))
        return
    if dtype == "int32":
        raise call.node.wrong("input 0 holds sums", got=dtype, want="levels of at most 16 bits")
    real = Live(x.name, Meta(x.shape, "float32"))
    call.give(_placed(call, "dequantize", x, real, scaling))


def _placed(call: Call, verb: str, x: Live, result: Live, scaling: Scaling | None = None) -> Live:
    """The node of the new graph between `x` and `result`."""
    scaling, levels = (result.scaling, result) if scaling is None else (scaling, x)
    assert scaling is not None
    lo, hi = LEVELS[levels.meta.dtype]
    one = scaling.scale.size == 1
    arguments: dict[str, Argument] = {
        "input": x.ref,
        "scale" if one else "scales": call.to.constant(scaling.scale, f"{x.name}.scale"),
        "zero_point" if one else "zero_points": call.to.constant(scaling.zero, f"{x.name}.zero"),
        "quant_min": lo,
        "quant_max": hi,
        "axis": -1 if one else scaling.axis,
    }
    target = f"{_DECOMPOSED}.{verb}_per_{'tensor' if one else 'channel'}.default"
    return call.add(target, arguments, Live(x.name, result.meta, result.scaling), x.shape)


def _scaling(call: Call, x: Known | Stored | Live, dtype: str | None) -> tuple[Scaling, str]:
    """Scale and zero point, and the levels' type; `dtype` is that of the input, if it has levels.

    Raises:
        McugenError: a scale that is computed, not positive, NaN or infinite; a zero point of
            another type or shape; a block size; an axis beyond the tensor's.
    """
    if call.integer("block_size", 0):
        raise call.node.wrong("attribute block_size is not supported", want="0: per axis or tensor")
    shape = x.data.shape if isinstance(x, Known) else _shape(x)
    scale = call.constant(1, "the scale")
    if scale.ndim > 1 or not scale.size or not np.isfinite(scale).all() or (scale <= 0).any():
        got = f"scale {scale.ravel()[:4].tolist()} of shape {list(scale.shape)}"
        raise call.node.wrong("the scale is not positive", got=got, want="one, or one per channel")
    zero, chosen = _zero(call, dtype)
    if zero.size not in (1, scale.size):
        raise call.node.wrong(f"{zero.size} zero points for {scale.size} scales")
    axis = call.integer("axis", 1)
    if scale.size > 1:
        axis = call.axis(axis, len(shape))
        if shape[axis] != scale.size:
            raise call.node.wrong(
                f"{scale.size} scales along axis {axis} of {list(shape)}", want=f"{shape[axis]}"
            )
        zero = np.broadcast_to(zero.ravel(), scale.size)
    else:
        scale, zero = scale.reshape(()), zero.reshape(())
    return Scaling(scale, zero, axis), chosen


def _shape(x: Stored | Live) -> tuple[int, ...]:
    return x.levels.shape if isinstance(x, Stored) else x.shape


def _zero(call: Call, dtype: str | None) -> tuple[np.ndarray, str]:
    """The zero point, and the type of the levels."""
    given = call.integer("output_dtype", 0)
    chosen = dtype or (DTYPES.get(given, f"type {given}") if given else "uint8")
    if dtype and given and DTYPES.get(given) not in FLOATS:
        raise call.node.wrong("attribute output_dtype is no real type", got=f"type {given}")
    zero = np.zeros((), np.int64)
    if call.given(2):
        found = call.value(2)
        if not isinstance(found, Known) or found.data.dtype.kind not in "iu":
            raise call.node.wrong("the zero point is no constant integer")
        if (dtype or given) and found.dtype != chosen:
            raise call.node.wrong("the zero point has another type", got=found.dtype, want=chosen)
        zero, chosen = found.data.astype(np.int64), found.dtype
    if zero.ndim > 1 or (chosen == "int32" and zero.any()):
        raise call.node.wrong("the zero point is no single one per channel, or not 0 for int32")
    if chosen not in LEVELS and chosen != "int32":
        raise call.node.wrong("levels of a type without a grid", got=chosen, want=", ".join(LEVELS))
    return zero, chosen


def _levels(call: Call, x: Known, scaling: Scaling, dtype: str) -> Known:
    """A constant on its grid, in float32 as ONNX Runtime rounds it."""
    if x.dtype not in FLOATS or not np.isfinite(x.data).all():
        raise call.node.wrong("input 0 is no tensor of finite real numbers", got=x.dtype)
    if dtype not in LEVELS:
        raise call.node.wrong("levels of a type without a grid", got=dtype, want=", ".join(LEVELS))
    lo, hi = LEVELS[dtype]
    shape = [1] * x.data.ndim
    if scaling.scale.size > 1:
        shape[scaling.axis] = scaling.scale.size
    scale, zero = (part.reshape(shape) for part in (scaling.scale, scaling.zero))
    with np.errstate(over="ignore"):
        steps = np.rint(x.data.astype(np.float32) / scale.astype(np.float32)).astype(np.float64)
    return call.known(np.clip(steps + zero, lo, hi).astype(np.int64), dtype)
