"""How handlers read a node: tensors by argument name, numbers with ATen's defaults."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.graph import QUANTIZE, GraphNode, Ref
from mcugen.frontend.lower.bases import BasisConstant
from mcugen.frontend.lower.epilogues import LOOKUP_LEVELS
from mcugen.frontend.lower.functions import Affine, evaluate_exact
from mcugen.frontend.lower.place import materialize
from mcugen.frontend.lower.state import (
    Constant,
    Context,
    GridConstant,
    Joined,
    RawInput,
    Real,
    Tensor,
    unquantized,
)
from mcugen.ir import ops
from mcugen.ir.types import Int


def tensor(ctx: Context, node: GraphNode, name: str) -> Tensor | None:
    """The tensor argument `name`, or None where it is absent."""
    argument = node.arguments.get(name)
    if isinstance(argument, Ref):
        return ctx.tensors[argument.name]
    return None


def spelled(ctx: Context, node: GraphNode, name: str) -> str:
    """How an error names the tensor argument `name`."""
    argument = node.arguments.get(name)
    if not isinstance(argument, Ref):
        return f"'{name}'"
    return f"'{ctx.graph.qualified.get(argument.name, argument.name)}'"


def real(ctx: Context, node: GraphNode, name: str) -> Real:
    """A real tensor argument, functions and pending ops included.

    Raises:
        McugenError: it is the unquantized input, a concatenation still without a quantizer, or a
            constant.
    """
    found = tensor(ctx, node, name)
    if isinstance(found, Real):
        return found
    if isinstance(found, RawInput):
        raise fail(
            "lower",
            f"the model's input '{found.name}' is not quantized",
            help=QUANTIZE,
        )
    if isinstance(found, Joined):
        raise unquantized(f"the concatenation {spelled(ctx, node, name)}")
    raise fail("lower", f"{spelled(ctx, node, name)} is a constant where a tensor is needed")


def gridded(ctx: Context, node: GraphNode, name: str) -> Real:
    """A tensor argument that lies on a grid; functions that stay on it become a table.

    Raises:
        McugenError: it is not quantized.
    """
    x = real(ctx, node, name)
    if not x.quantized:
        raise unquantized(f"the input {spelled(ctx, node, name)} of {node.target}")
    x = _absorb_scaling(x)
    if x.functions:
        x = _close(ctx, x, node, spelled(ctx, node, name))
    return materialize(ctx, x, node.source)


def _absorb_scaling(x: Real) -> Real:
    """Leading multiplications by one number go into the scale."""
    while x.functions and isinstance(first := x.functions[0], Affine) and not x.pending:
        if len(first.scale) != 1 or first.offset[0] != 0 or first.scale[0] <= 0:
            break
        factor = float(first.scale[0])
        scaled = replace(
            x.meaning,
            scale=tuple(s * factor for s in x.meaning.scale),
            offset=tuple(o * factor for o in x.meaning.offset),
        )
        x = replace(x, meaning=scaled, functions=x.functions[1:])
    return x


def _close(ctx: Context, x: Real, node: GraphNode, spelling: str) -> Real:
    """Apply functions that map the grid onto itself (ReLU behind a quantizer) as a table."""
    element = ctx.builder.types[x.ref].element
    problem = unquantized(f"the input {spelling} of {node.target}")
    uniform = len(x.meaning.scale) == 1 and x.meaning.offset == (0.0,) and not x.pending
    if not uniform or not isinstance(element, Int) or element.levels > LOOKUP_LEVELS:
        raise problem
    scale = Fraction(x.meaning.scale[0])
    table = []
    for q in range(element.lo, element.hi + 1):
        value = evaluate_exact(x.functions, scale * (q - x.meaning.zero), 0) / scale
        if value.denominator != 1:
            raise problem
        table.append(int(value) + x.meaning.zero)
    values = Int(element.bits, element.signed, min(table), max(table))
    base = f"{x.ref[1:]}.{node.outputs[0]}"
    const = ctx.builder.constant(f"{base}.table", np.array([table]), values)
    ref = ctx.builder.add(ops.Lookup(x.ref, const), base, node.source, x.meaning)
    return replace(x, ref=ref, functions=())


def weights(
    ctx: Context, node: GraphNode, name: str, axis: int = 0
) -> GridConstant | BasisConstant:
    """A quantized weight argument with its output channels along `axis`.

    Raises:
        McugenError: it is float, not a constant, or has scales along another axis.
    """
    found = tensor(ctx, node, name)
    if isinstance(found, GridConstant) and len(found.scale) > 1 and found.axis != axis:
        raise fail(
            "lower",
            f"the scales of {spelled(ctx, node, name)} lie along axis {found.axis}",
            want=f"axis {axis}, the output channels, or one scale",
        )
    if isinstance(found, GridConstant | BasisConstant):
        return found
    if isinstance(found, Constant):
        raise fail(
            "lower",
            f"the weight {spelled(ctx, node, name)} of {node.target} is not quantized",
            help=QUANTIZE,
        )
    raise fail("lower", f"the weight {spelled(ctx, node, name)} of {node.target} is not a constant")


def array(ctx: Context, node: GraphNode, name: str) -> np.ndarray | None:
    """A float constant argument (bias, batch-norm statistics) as float64, or None where absent."""
    found = tensor(ctx, node, name)
    if found is None:
        return None
    if isinstance(found, Constant):
        return found.data.astype(np.float64)
    if isinstance(found, GridConstant):
        shape = [1] * found.q.ndim
        if len(found.scale) > 1:
            shape[found.axis] = len(found.scale)
        return found.q * found.scale.reshape(shape)
    if isinstance(found, BasisConstant):
        return found.real()
    raise fail("lower", f"{spelled(ctx, node, name)} of {node.target} must be a constant")


def finite(ctx: Context, node: GraphNode, name: str) -> np.ndarray | None:
    """Like `array`; McugenError where it has NaN or infinite values."""
    data = array(ctx, node, name)
    if data is not None and not np.isfinite(data).all():
        raise fail("lower", f"{spelled(ctx, node, name)} has NaN or infinite values")
    return data


def integer(node: GraphNode, name: str, default: int) -> int:
    value = node.arguments.get(name, default)
    if not isinstance(value, int):
        raise fail("lower", f"{node.target}: {name} is {value!r}", want="an integer")
    return int(value)


def number(node: GraphNode, name: str, default: float) -> float:
    value = node.arguments.get(name, default)
    if value is None:
        return default
    if not isinstance(value, int | float):
        raise fail("lower", f"{node.target}: {name} is {value!r}", want="a number")
    return float(value)


def flag(node: GraphNode, name: str, default: bool) -> bool:
    return bool(node.arguments.get(name, default))


def integers(node: GraphNode, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    """A list of integers; ATen gives one integer for all axes as a list of one or as a number."""
    value = node.arguments.get(name)
    if value is None:
        return default
    if isinstance(value, int):
        return (int(value),)
    if isinstance(value, tuple) and all(isinstance(item, int) for item in value):
        return tuple(int(item) for item in value if isinstance(item, int))
    raise fail("lower", f"{node.target}: {name} is {value!r}", want="integers")


def sides(node: GraphNode, name: str) -> tuple[int, int, int, int]:
    """Padding at top, bottom, left and right: ATen gives one amount for two sides, ONNX all four.

    Absent, it is 0.
    """
    if len(values := integers(node, name, (0, 0))) == 4:
        return (values[0], values[1], values[2], values[3])
    vertical, horizontal = pair(node, name, (0, 0))
    return (vertical, vertical, horizontal, horizontal)


def pair(node: GraphNode, name: str, default: tuple[int, int]) -> tuple[int, int]:
    values = integers(node, name, default) or default
    if len(values) > 2:
        raise fail("lower", f"{node.target}: {name} has {len(values)} entries", want="1 or 2")
    return (values[0], values[-1])
