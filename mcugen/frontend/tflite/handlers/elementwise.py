"""ADD, SUB, MUL, RELU and its kin, QUANTIZE.

Sums bring both operands to one scale, 2^20 times finer (2^15 of int16), and their result to its
own; products are rescaled once. A function of one operand of 8 bits is a table.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.broadcast import broadcast_shape, spread
from mcugen.frontend.tflite.context import STAGE, Activation, Context, grid
from mcugen.frontend.tflite.epilogues import (
    activation_range,
    multiplied,
    quantized_multiplier,
    rescaled_by,
)
from mcugen.frontend.tflite.graph import Operator, Tensor
from mcugen.frontend.tflite.options import Activated, AddOptions
from mcugen.frontend.tflite.tables import look_up
from mcugen.ir import ops

#: Operands of sums are shifted so far before they are scaled.
_LEFT = {"int8": 20, "int16": 15}
#: Of a table for each channel.
_MOST_ROWS = 2**12
_BYTES = ("int8", "uint8")
_SIGNED = ("int8", "int16")
_ALL = (*_BYTES, "int16")


@dataclass(frozen=True, eq=False)
class _Operand:
    """One side: a computed tensor, or a constant."""

    tensor: Tensor
    scale: float
    zero: int
    ref: str = ""
    """Of a computed tensor, in the shape of the result."""

    @property
    def activation(self) -> bool:
        return self.tensor.data is None

    @property
    def centred(self) -> np.ndarray:
        """A constant minus its zero point, or all levels of the type, int64."""
        if self.tensor.data is not None:
            return self.tensor.data.astype(np.int64).reshape(-1, 1) - self.zero
        return Activation("", self.tensor, self.scale, self.zero).levels - self.zero


def add(ctx: Context, operator: Operator) -> None:
    """tflite/kernels/add.cc and internal/reference/integer_ops/add.h."""
    _sum(ctx, operator, 1)


def subtract(ctx: Context, operator: Operator) -> None:
    """tflite/kernels/sub.cc and internal/reference/sub.h."""
    _sum(ctx, operator, -1)


def _sum(ctx: Context, operator: Operator, sign: int) -> None:
    x, y = _operands(ctx, operator)
    result = ctx.result(operator, 0, (x.tensor.dtype,))
    left = _LEFT[x.tensor.dtype]
    if left < 20 and ctx.options(operator, AddOptions).pot_scale_int16:
        _no_powers_of_two(operator, (x.scale, y.scale, result.scale))
    most = 2 * max(x.scale, y.scale)
    pairs = [quantized_multiplier(item.scale / most) for item in (x, y)]
    final = quantized_multiplier(most / (2**left * result.scale))
    if not (x.activation and y.activation):
        sides = [
            multiplied(item.centred, pair, left) for item, pair in zip((x, y), pairs, strict=True)
        ]
        _of_one(ctx, operator, multiplied(sides[0] + sign * sides[1], final))
        return
    total = ops.Add(
        _scaled(ctx, operator, x, pairs[0], "x"),
        _scaled(ctx, operator, y, pairs[1], "y"),
        y_factor=sign,
    )
    acc = ctx.add(operator, total, "sum")
    ctx.finish(operator, rescaled_by(ctx, operator, acc, [final], result))


def _scaled(ctx: Context, operator: Operator, x: _Operand, pair: tuple[int, int], role: str) -> str:
    """A computed operand times its scale and a power of two."""
    left = _LEFT[x.tensor.dtype]
    low, high = multiplied(x.centred[[0, -1]], pair, left)
    op = ops.Rescale(
        x.ref,
        ctx.numbers(operator, f"{role}.bias", np.array([-x.zero])),
        ctx.numbers(operator, f"{role}.multiplier", np.array(pair[:1])),
        ctx.numbers(operator, f"{role}.exponent", np.array(pair[1:])),
        zero=0,
        lo=int(low),
        hi=int(high),
        left=left,
    )
    return ctx.add(operator, op, role)


def _no_powers_of_two(operator: Operator, scales: tuple[float, float, float]) -> None:
    """Refuse scales for which LiteRT has other arithmetic: those that CheckedLog2 takes."""
    logarithms = np.log2(np.array(scales))
    if (np.abs(logarithms - np.rint(logarithms)) < 1e-3).all():
        what = f"{operator.name} of int16 whose scales are powers of two"
        raise fail(STAGE, what, want="pot_scale_int16 false, as converters write it")


def multiply(ctx: Context, operator: Operator) -> None:
    """tflite/kernels/mul.cc, whose scales are float32; integer_ops/mul.h."""
    x, y = _operands(ctx, operator)
    result = ctx.result(operator, 0, (x.tensor.dtype,))
    scale = np.float32(x.scale) * np.float32(y.scale) / np.float32(result.scale)
    pair = quantized_multiplier(float(scale))
    if not (x.activation and y.activation):
        _of_one(ctx, operator, multiplied(x.centred * y.centred, pair))
        return
    acc = ctx.add(operator, ops.Mul(x.ref, y.ref, x_zero=x.zero, y_zero=y.zero), "product")
    ctx.finish(operator, rescaled_by(ctx, operator, acc, [pair], result))


def _operands(ctx: Context, operator: Operator) -> tuple[_Operand, _Operand]:
    """Both sides, of one shape where both are computed; one at least is."""
    tensors = ctx.present(operator, 0), ctx.present(operator, 1)
    x, y = (_Operand(tensor, *grid(operator, tensor, _SIGNED)) for tensor in tensors)
    if x.tensor.dtype != y.tensor.dtype:
        raise fail(STAGE, f"{operator.name} of {x.tensor.dtype} and {y.tensor.dtype}")
    if x.tensor.dtype == "int16" and (x.zero or y.zero):
        raise fail(STAGE, f"{operator.name} of int16 with zero points", want="0")
    if not (x.activation or y.activation):
        raise fail(STAGE, f"{operator.name} of two constants", want="a computed operand")
    if x.activation and y.activation:
        onto = broadcast_shape(x.tensor.shape, y.tensor.shape)
        return _spread(ctx, operator, x, onto), _spread(ctx, operator, y, onto)
    if x.tensor.dtype == "int16":
        raise fail(STAGE, f"{operator.name} of int16 and a constant", want="int8, or no constant")
    for constant, other in ((x, y), (y, x)):
        shape = constant.tensor.shape
        last = shape[-1] if shape else 1
        if not constant.activation and (
            np.prod(shape) != last or last not in (1, other.tensor.shape[-1]) or last > _MOST_ROWS
        ):
            got = f"{list(shape)} beside {list(other.tensor.shape)}"
            want = "one number, or one for each channel"
            raise fail(STAGE, f"a constant of {operator.name} does not fit", got=got, want=want)
    return x, y


def _spread(ctx: Context, operator: Operator, x: _Operand, onto: tuple[int, ...]) -> _Operand:
    ref = ctx.refs[x.tensor.index]
    return replace(x, ref=spread(ctx, operator, ref, x.tensor.shape, onto))


def _of_one(ctx: Context, operator: Operator, scaled: np.ndarray) -> None:
    """Finish with a function of the one computed operand: [channels, levels], no zero point yet."""
    position = 1 if ctx.is_constant(operator, 0) else 0
    x, result = ctx.activation(operator, position, _BYTES), ctx.result(operator, 0, _BYTES)
    activation = ctx.options(operator, Activated).fused_activation_function
    levels = np.clip(scaled + result.zero, *activation_range(activation, result))
    ctx.finish(operator, look_up(ctx, operator, x, result, levels))


def rectify(activation: str) -> Callable[[Context, Operator], None]:
    """RELU and its kin: QuantizedReluX of tflite/kernels/activations.cc, scales in float32."""

    def handler(ctx: Context, operator: Operator) -> None:
        x, result = ctx.activation(operator, 0, _ALL), ctx.result(operator, 0, _ALL)
        scale = float(np.float32(x.scale) / np.float32(result.scale))
        _onto(ctx, operator, scale, activation_range(activation, result))

    return handler


def requantize(ctx: Context, operator: Operator) -> None:
    """QUANTIZE from a grid to another: internal/reference/requantize.h."""
    x, result = ctx.activation(operator, 0, _ALL), ctx.result(operator, 0, _ALL)
    _onto(ctx, operator, x.scale / result.scale, (result.element.lo, result.element.hi))


def _onto(ctx: Context, operator: Operator, scale: float, ends: tuple[int, int]) -> None:
    """Finish with the one operand times `scale`, clamped: a table of 8 bits, else arithmetic."""
    x, result = ctx.activation(operator, 0, _ALL), ctx.result(operator, 0, _ALL)
    pair = quantized_multiplier(scale)
    if x.tensor.dtype in _BYTES:
        levels = np.clip(multiplied(x.levels - x.zero, pair) + result.zero, *ends)
        ctx.finish(operator, look_up(ctx, operator, x, result, levels))
        return
    bias = np.array([-x.zero])
    rescale = rescaled_by(ctx, operator, x.ref, [pair], result, bias)
    assert isinstance(rescale, ops.Rescale)
    ctx.finish(operator, replace(rescale, lo=ends[0], hi=ends[1]))
