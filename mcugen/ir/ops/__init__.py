"""The operations of the integer program: one frozen dataclass each.

A field made by `operand()` refers to a value or constant; every other field is an attribute. Each
op states its result type, interval included, from its operands (`infer`); what it computes is
defined by the numpy interpreter (`interp.py`). The channel is the last axis, the batch the first.
"""

from mcugen.ir.ops.base import Env, Op, Ref
from mcugen.ir.ops.dense import Conv2d, Linear
from mcugen.ir.ops.elementwise import Add, Mul
from mcugen.ir.ops.epilogues import ArgMax, Lookup, Requantize, Rescale, Threshold
from mcugen.ir.ops.layout import Concat, Pad, Reshape, Slice, Transpose
from mcugen.ir.ops.resample import Resize, Spread, TransposeConv2d
from mcugen.ir.ops.smooth import Interpolate, Logistic, Smooth, Tanh
from mcugen.ir.ops.softmax import Softmax
from mcugen.ir.ops.states import StateWrite
from mcugen.ir.ops.windows import AveragePool, MaxPool, SumPool, Window, Windowed

_OPS: tuple[type[Op], ...] = (
    Conv2d,
    TransposeConv2d,
    Linear,
    Add,
    Mul,
    SumPool,
    AveragePool,
    MaxPool,
    Resize,
    Pad,
    Reshape,
    Slice,
    Transpose,
    Concat,
    Requantize,
    Rescale,
    Threshold,
    Lookup,
    Logistic,
    Tanh,
    Interpolate,
    Softmax,
    ArgMax,
    StateWrite,
)

OPS: dict[str, type[Op]] = {op.mnemonic: op for op in _OPS}

__all__ = [
    "OPS",
    "Add",
    "ArgMax",
    "AveragePool",
    "Concat",
    "Conv2d",
    "Env",
    "Interpolate",
    "Linear",
    "Logistic",
    "Lookup",
    "MaxPool",
    "Mul",
    "Op",
    "Pad",
    "Ref",
    "Requantize",
    "Rescale",
    "Reshape",
    "Resize",
    "Slice",
    "Smooth",
    "Softmax",
    "Spread",
    "StateWrite",
    "SumPool",
    "Tanh",
    "Threshold",
    "Transpose",
    "TransposeConv2d",
    "Window",
    "Windowed",
]
