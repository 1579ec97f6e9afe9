"""Quantizer ops: mcugen's own, aten.fake_quantize_* and quantized_decomposed.*."""

from dataclasses import dataclass, replace

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.graph import GraphNode
from mcugen.frontend.lower.bases import (
    MOST_BYTE,
    MOST_PLANES,
    activation_grid,
    weights_on_basis,
)
from mcugen.frontend.lower.functions import channels_of
from mcugen.frontend.lower.grids import (
    BasisGrid,
    Grid,
    Ties,
    UniformGrid,
    check_scale,
    uniform_grid,
)
from mcugen.frontend.lower.layout import memory_axis, memory_shape, plain, reshaped
from mcugen.frontend.lower.operands import array, integer, number, tensor
from mcugen.frontend.lower.packing import Packing
from mcugen.frontend.lower.place import grid_meaning, materialize, quantize_real
from mcugen.frontend.lower.state import (
    Constant,
    Context,
    GridConstant,
    Joined,
    RawInput,
    Real,
    Tensor,
)
from mcugen.ir import ops
from mcugen.ir.program import Meaning, Value
from mcugen.ir.types import Int, TensorType, spanning


def _scale_and_zero(
    ctx: Context, node: GraphNode, scale: str, zero: str
) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero point, given as tensors or as numbers."""
    values = []
    for name in (scale, zero):
        data = array(ctx, node, name)
        values.append(np.asarray(number(node, name, 0.0)) if data is None else data)
    return values[0], values[1]


def quantize(ctx: Context, node: GraphNode) -> Tensor:
    """mcugen.quantize: scale·(q − zero), ties up."""
    scale, zero = _scale_and_zero(ctx, node, "scale", "zero_point")
    bounds = integer(node, "lo", 0), integer(node, "hi", 255)
    return _place(ctx, node, "x", _Request(scale, zero, bounds, integer(node, "axis", -1), Ties.UP))


def fake_quantize(ctx: Context, node: GraphNode) -> Tensor:
    """aten.fake_quantize_per_{tensor,channel}_affine: the same grid, ties to even."""
    scale, zero = _scale_and_zero(ctx, node, "scale", "zero_point")
    bounds = integer(node, "quant_min", 0), integer(node, "quant_max", 255)
    return _place(
        ctx, node, "self", _Request(scale, zero, bounds, integer(node, "axis", -1), Ties.EVEN)
    )


def quantize_decomposed(ctx: Context, node: GraphNode) -> Tensor:
    """quantized_decomposed.quantize_per_{tensor,channel}: on the grid, still called an integer."""
    scales = "scales" if "scales" in node.arguments else "scale"
    zeros = "zero_points" if "zero_points" in node.arguments else "zero_point"
    scale, zero = _scale_and_zero(ctx, node, scales, zeros)
    bounds = integer(node, "quant_min", 0), integer(node, "quant_max", 255)
    request = _Request(scale, zero, bounds, integer(node, "axis", -1), Ties.EVEN)
    return _place(ctx, node, "input", request)


def dequantize_decomposed(ctx: Context, node: GraphNode) -> Tensor:
    """The other half: stored integers become a grid constant, a quantized tensor stays as it is.

    Raises:
        McugenError: scale or zero point differ from the quantize op's.
    """
    scales = "scales" if "scales" in node.arguments else "scale"
    zeros = "zero_points" if "zero_points" in node.arguments else "zero_point"
    scale, zero = _scale_and_zero(ctx, node, scales, zeros)
    found = tensor(ctx, node, "input")
    if isinstance(found, RawInput):  # the model takes levels
        bounds = integer(node, "quant_min", 0), integer(node, "quant_max", 255)
        return _program_input(ctx, node, found, uniform_grid(scale, zero, bounds))
    if isinstance(found, Constant):
        levels = found.data.astype(np.int64)
        return _stored(levels, scale, zero, integer(node, "axis", -1), found.name)
    if found is None or not _on_grid(found, scale.ravel(), zero.ravel()):
        raise fail("lower", f"{node.target} has another grid than the tensor it reads")
    return found


def _on_grid(found: Tensor, scale: np.ndarray, zero: np.ndarray) -> bool:
    """Whether a quantized tensor lies on the grid of `scale` and `zero`."""
    if isinstance(found, GridConstant):  # centred: its zero point is no longer known
        return found.scale.shape == scale.shape and bool((found.scale == scale).all())
    if not isinstance(found, Real) or not found.on_grid:
        return False
    return found.meaning == Meaning(tuple(scale.tolist()), int(zero[0]))


def _stored(
    levels: np.ndarray, scale: np.ndarray, zero: np.ndarray, axis: int, name: str
) -> GridConstant:
    scales = check_scale(scale)
    zeros = np.atleast_1d(np.asarray(zero)).ravel().astype(np.int64)
    shape = _along(levels, axis, max(len(scales), len(zeros)))
    zeros = zeros.reshape(shape) if len(zeros) > 1 else zeros
    return GridConstant(levels - zeros, scales, name, _checked_axis(axis, len(scales), levels))


@dataclass(frozen=True, eq=False)
class _Request:
    """Arguments of a uniform quantizer."""

    scale: np.ndarray
    zero: np.ndarray
    bounds: tuple[int, int]
    axis: int
    ties: Ties


def _place(ctx: Context, node: GraphNode, argument: str, request: _Request) -> Tensor:
    found = tensor(ctx, node, argument)
    if isinstance(found, Constant):
        return _quantize_constant(found, request)
    grid = uniform_grid(request.scale, request.zero, request.bounds, request.ties)
    shape = getattr(found, "shape", ())
    if len(grid.scale) > 1 and request.axis % max(len(shape), 1) != 1:
        raise fail(
            "lower", f"activation scales along axis {request.axis}", want="axis 1 or per tensor"
        )
    return _quantize(ctx, node, found, grid, planes=False)


def _along(data: np.ndarray, axis: int, count: int) -> tuple[int, ...]:
    shape = [1] * data.ndim
    if count > 1 and data.ndim:
        shape[axis] = count
    return tuple(shape)


def _checked_axis(axis: int, count: int, data: np.ndarray) -> int:
    """The axis of `count` scales counted from the front, 0 for a single one."""
    if count == 1:
        return 0
    if axis % data.ndim > 1 or data.shape[axis] != count:
        raise fail(
            "lower",
            f"{count} weight scales along axis {axis} of {list(data.shape)}",
            want="one per output channel, or one per tensor",
        )
    return axis % data.ndim


def _quantize_constant(found: Constant, request: _Request) -> GridConstant:
    """Weights on their grid, rounded in float64 as activations are."""
    scales = check_scale(request.scale)
    zeros = np.atleast_1d(np.asarray(request.zero, dtype=np.float64)).ravel()
    if not np.isfinite(zeros).all() or (zeros != np.rint(zeros)).any():
        raise fail("lower", "zero point is not an integer", got=f"{zeros[:4].tolist()}")
    lo, hi = request.bounds
    if lo >= hi or hi - lo > 65535:
        raise fail(
            "lower", f"quantizer has lo = {lo} and hi = {hi}", want="lo < hi, at most 16 bits"
        )
    if not np.isfinite(found.data).all():
        raise fail("lower", f"{found.name} has NaN or infinite values")
    axis = _checked_axis(request.axis, len(scales), found.data)
    wide_scale = scales.reshape(_along(found.data, axis, len(scales)))
    wide_zero = zeros.reshape(_along(found.data, request.axis, len(zeros)))
    steps = found.data.astype(np.float64) / wide_scale
    rounded = np.floor(steps + 0.5) if request.ties is Ties.UP else np.rint(steps)
    q = (np.clip(rounded + wide_zero, lo, hi) - wide_zero).astype(np.int64)
    return GridConstant(q, scales, found.name, axis)


def quantize_basis(ctx: Context, node: GraphNode) -> Tensor:
    """mcugen.quantize_basis: weights and activations in K bit planes (K = 1 is binary)."""
    basis, offset = array(ctx, node, "basis"), array(ctx, node, "offset")
    if basis is None or offset is None:
        raise fail("lower", "quantize_basis needs a basis and an offset")
    found = tensor(ctx, node, "x")
    if isinstance(found, Constant):
        if offset.any():
            raise fail("lower", f"the basis of {found.name} has an offset", want="offset 0")
        rows = len(np.atleast_2d(basis))
        if _checked_axis(integer(node, "axis", -1), rows, found.data):
            raise fail("lower", f"the bases of {found.name} lie along axis 1", want="axis 0")
        return weights_on_basis(found.data, basis, found.name)
    packing = ctx.packing.get(node.outputs[0], Packing())
    most = MOST_PLANES if packing.planes else MOST_BYTE
    integer_offset = packing.padded and bool(offset.any())
    grid = activation_grid(basis, offset, most, integer_offset)
    if packing.planes and isinstance(found, Real):
        found = _dense(ctx, found, node)
    return _quantize(ctx, node, found, grid, planes=packing.planes)


def _dense(ctx: Context, x: Real, node: GraphNode) -> Real:
    """`x` without the axes of a flattened image: planes would take words for each of its pixels."""
    shared = len(x.meaning.scale) == channels_of(x.functions) == 1
    if not x.is_flat_image or not x.quantized or not shared or x.pending:
        return x
    return materialize(ctx, plain(ctx, x, node), node.source)


def _quantize(
    ctx: Context, node: GraphNode, found: Tensor | None, grid: Grid, planes: bool
) -> Tensor:
    if isinstance(found, RawInput):
        return _program_input(ctx, node, found, grid)
    if isinstance(found, Joined):
        return _join(ctx, node, found, grid)
    if not isinstance(found, Real):
        raise fail("lower", f"{node.target} on something that is no tensor")
    if found.on_grid and _same_grid(ctx, found, grid):
        return found
    return quantize_real(ctx, found, grid, node, planes)


def _same_grid(ctx: Context, x: Real, grid: Grid) -> bool:
    """Quantizing again onto the grid a tensor lies on changes nothing."""
    element = ctx.builder.types[x.ref].element
    if not isinstance(grid, UniformGrid) or not isinstance(element, Int):
        return False
    inside = grid.lo <= element.lo and element.hi <= grid.hi
    return inside and x.meaning == grid_meaning(grid)


def _join(ctx: Context, node: GraphNode, joined: Joined, grid: Grid) -> Real:
    """A quantizer behind a concatenation goes to its parts."""
    refs = []
    for index, part in enumerate(joined.parts):
        share = _share(grid, joined, index)
        named = replace(node, outputs=(f"{node.outputs[0]}.{index}",))
        on_grid = part.on_grid and _same_grid(ctx, part, share)
        refs.append(part.ref if on_grid else quantize_real(ctx, part, share, named, False).ref)
    meaning, axis = grid_meaning(grid), memory_axis(joined.axis, len(joined.shape))
    ref = ctx.builder.add(ops.Concat(tuple(refs), axis=axis), node.outputs[0], node.source, meaning)
    memory = ctx.builder.types[ref].shape
    return Real(ref, meaning, joined.shape, memory, quantized=True)


def _share(grid: Grid, joined: Joined, index: int) -> Grid:
    """The part of a per-channel grid that falls to one part of a concatenation."""
    if not isinstance(grid, UniformGrid) or len(grid.scale) == 1 or joined.axis != 1:
        return grid
    first = sum(part.shape[1] for part in joined.parts[:index])
    return replace(grid, scale=grid.scale[first : first + joined.parts[index].shape[1]])


def _program_input(ctx: Context, node: GraphNode, raw: RawInput, grid: Grid) -> Tensor:
    """The program's input: the integers of the input's quantizer."""
    if isinstance(grid, BasisGrid) or len(grid.scale) != 1:
        raise fail("lower", "the input's quantizer must be uniform and per tensor")
    meaning = grid_meaning(grid)
    for value in ctx.builder.inputs:
        if value.meaning != meaning:
            raise fail("lower", f"the input '{raw.name}' is quantized twice, onto different grids")
        x = Real(value.name, meaning, raw.input_shape, value.type.shape, quantized=True)
        return reshaped(ctx, x, raw.shape, node)
    full = spanning(grid.lo, grid.hi)
    shape = memory_shape(raw.input_shape)
    kind = TensorType(shape, Int(full.bits, full.signed, grid.lo, grid.hi))
    value = Value(f"%{ctx.builder.fresh(raw.name)}", kind, meaning, node.source)
    ctx.builder.input(value)
    return reshaped(
        ctx, Real(value.name, meaning, raw.input_shape, shape, quantized=True), raw.shape, node
    )
