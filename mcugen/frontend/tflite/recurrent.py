"""What layers that remember are made of: states, weights of one scale, steps of rescaling."""

from dataclasses import dataclass, field

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import ELEMENTS, STAGE, Context, node_name, source_of
from mcugen.frontend.tflite.graph import Operator, Tensor
from mcugen.ir import ops
from mcugen.ir.types import INT32_MAX, Int, TensorType

INT8, INT16 = ELEMENTS["int8"], ELEMENTS["int16"]
INT32 = Int(32, True, -INT32_MAX, INT32_MAX)
Pair = tuple[int, int]
"""A multiplier and its exponent, as `quantized_multiplier` gives them."""


@dataclass(frozen=True, eq=False)
class Onto:
    """What accumulators are multiplied by, and the levels that they become."""

    pairs: list[Pair]
    element: Int
    zero: int = 0
    bias: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    left: int = 0


def grid_of(tensor: Tensor) -> tuple[float, int]:
    """The one scale and zero point of a tensor.

    Raises:
        McugenError: it has none, or several.
    """
    found = tensor.quantization
    if found is None or not found.per_tensor:
        raise fail(STAGE, "a tensor without a grid", got=str(tensor), want="one scale")
    return found.scales[0], found.zeros[0]


def scale_of(ctx: Context, operator: Operator, position: int) -> float:
    return grid_of(ctx.present(operator, position))[0]


def weights_of(ctx: Context, operator: Operator, position: int, dtype: str) -> np.ndarray:
    """A constant matrix of one scale and zero point 0, int64 [rows, columns]."""
    tensor, data = ctx.present(operator, position), ctx.constant(operator, position)
    if tensor.dtype != dtype or data.ndim != 2 or grid_of(tensor)[1]:
        want = f"{dtype} of two axes with zero point 0"
        raise fail(STAGE, f"weights {tensor.dtype}{list(tensor.shape)}", got=str(tensor), want=want)
    return data.astype(np.int64)


def state_of(
    ctx: Context, operator: Operator, position: int, element: Int, shape: tuple[int, ...]
) -> str:
    """A state for a variable tensor of the file, which holds real zero at first."""
    tensor = ctx.present(operator, position)
    dtype = "int8" if element.bits <= 8 and tensor.dtype == "int8" else "int16"
    if not tensor.variable or tensor.dtype != dtype:
        got, want = str(tensor), f"a variable tensor of {dtype}"
        raise fail(STAGE, f"input {position} of {operator.name} is no state", got=got, want=want)
    if f"%{node_name(tensor)}" in ctx.builder.types:
        raise fail(STAGE, f"{tensor} is the state of another operator")
    kind = TensorType(shape, element)
    return ctx.builder.state(node_name(tensor), kind, grid_of(tensor)[1], source_of(tensor))


def rescale(ctx: Context, operator: Operator, ref: str, role: str, onto: Onto) -> str:
    """Accumulators on the levels of `onto`."""
    op = ops.Rescale(
        ref,
        ctx.numbers(operator, f"{role}.bias", onto.bias),
        ctx.numbers(operator, f"{role}.multiplier", np.array([pair[0] for pair in onto.pairs])),
        ctx.numbers(operator, f"{role}.exponent", np.array([pair[1] for pair in onto.pairs])),
        zero=onto.zero,
        lo=onto.element.lo,
        hi=onto.element.hi,
        left=onto.left,
    )
    return ctx.add(operator, op, role)


def shifted(ctx: Context, operator: Operator, ref: str, role: str, bits: int) -> str:
    """Products divided by 2^bits, halves away from zero, as 16 bits.

    Twice x times one half is x: all that a rescaling then does is the division.
    """
    return rescale(ctx, operator, ref, role, Onto([(2**30, -bits)], INT16, left=1))


def clamped(ctx: Context, operator: Operator, ref: str, role: str, element: Int) -> str:
    """A sum, brought back to `element`."""
    one, none = (ctx.numbers(operator, f"{role}.{n}", np.array([n])) for n in (1, 0))
    op = ops.Requantize(ref, one, none, shift=0, lo=element.lo, hi=element.hi)
    return ctx.add(operator, op, role)
