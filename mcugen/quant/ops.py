"""The two quantizer ops, `mcugen::quantize` and `mcugen::quantize_basis`.

Importing this module registers them. They are ordinary float → float functions that `torch.export`
keeps in the graph: all that a training method tells the lowering is said with them. Every value is
computed in the type of `x` (float32 or float64); the grid's tensors are converted to it first.
"""

import torch
from torch import Tensor

from mcugen.errors import McugenError, fail

MAX_PLANES = 8
_FLOATS = (torch.float32, torch.float64)


@torch.library.custom_op("mcugen::quantize", mutates_args=())
def quantize(x: Tensor, scale: Tensor, zero_point: Tensor, lo: int, hi: int, axis: int) -> Tensor:
    """The value of the level nearest to x on an affine grid, half a step upwards.

    `(clamp(floor(x / scale + zero_point + 1/2), lo, hi) − zero_point) · scale`, evaluated from
    left to right. `scale` (float, positive) and `zero_point` (int64) are `[]` with axis = −1, or
    `[C]` along `axis` of x. NaN stays NaN, an infinity takes the outermost level. The result has
    the shape and type of x.

    Gradient: straight through to x where the level was not clamped. To the scale as in LSQ (Esser
    et al., 2020, eq. 3): level − x/scale inside, the clamped level outside, without LSQ's constant
    factor (Adam does not see it, and other methods choose their own). None to the zero point.

    Raises McugenError for lo > hi, an axis outside x, wrong types or shapes.
    """
    _check_float(x, scale, "scale")
    _check_affine(x, scale, zero_point, lo, hi, axis)
    step, zero = _affine(x, scale, zero_point, axis)
    level = torch.floor(x / step + zero + 0.5).clamp(lo, hi)
    return (level - zero) * step


@torch.library.custom_op("mcugen::quantize_basis", mutates_args=())
def quantize_basis(x: Tensor, basis: Tensor, offset: Tensor, axis: int) -> Tensor:
    """The nearest of the 2^K levels `offset + Σ_k basis_k · e_k`, e_k ∈ {−1, +1}.

    Levels without offset are sorted; a border is the mean of two neighbours plus the offset; x
    takes the upper level where x > border, so a tie goes down (LQ-Nets, Zhang et al., 2018).
    `basis` is `[K]` and `offset` `[]` with axis = −1, or `[C, K]` and `[C]` along `axis` of x;
    1 ≤ K ≤ 8. NaN takes the lowest level. The result has the shape and type of x.

    Gradient: straight through to x where |x − offset| ≤ Σ|basis| · 2^K / (2^K − 1), half a mean
    step beyond the outermost level; to the basis by the codes e; to the offset everywhere.

    Raises McugenError for an axis outside x, wrong types or shapes.
    """
    _check_float(x, basis, "basis")
    _check_float(x, offset, "offset")
    _check_basis(x, basis, offset, axis)
    rows = _rows(x, axis)  # [C, n]
    levels = sorted_levels(basis.to(x.dtype).reshape(rows.shape[0], -1))
    shift = offset.to(x.dtype).reshape(-1, 1)
    rank = rank_of(rows, levels, shift)
    return _unrows(levels.gather(1, rank) + shift, x, axis)


def _affine(x: Tensor, scale: Tensor, zero_point: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Scale and zero point in x's type, shaped to broadcast against x."""
    shape = [1] * x.dim()
    if axis >= 0:
        shape[axis] = -1
    else:
        shape = []
    return scale.to(x.dtype).reshape(shape), zero_point.to(x.dtype).reshape(shape)


def _rows(x: Tensor, axis: int) -> Tensor:
    """x as `[C, n]`, one row for each channel along axis (one row in all for −1)."""
    if axis < 0:
        return x.reshape(1, -1)
    return x.movedim(axis, 0).reshape(x.shape[axis], -1)


def _unrows(rows: Tensor, x: Tensor, axis: int) -> Tensor:
    """Undoes `_rows` for a tensor with the shape of x."""
    if axis < 0:
        return rows.reshape(x.shape)
    moved = x.movedim(axis, 0).shape
    return rows.reshape(moved).movedim(0, axis).contiguous()


def _codes(planes: int, like: Tensor) -> Tensor:
    """All codes e as `[2^K, K]` of −1 and +1; bit k of the row's number is plane k."""
    numbers = torch.arange(2**planes, device=like.device)
    bits = (numbers[:, None] >> torch.arange(planes, device=like.device)) & 1
    return (2 * bits - 1).to(like.dtype)


def _sorted(basis: Tensor) -> tuple[Tensor, Tensor]:
    """For basis `[C, K]`: ascending levels `[C, 2^K]` without offset, and each one's code."""
    codes = _codes(basis.shape[1], basis)
    total = basis.new_zeros(basis.shape[0], codes.shape[0])
    for plane in range(basis.shape[1]):  # this order of additions is part of the definition
        total = total + basis[:, plane, None] * codes[:, plane]
    levels, order = total.sort(dim=1, stable=True)
    return levels, order


def sorted_levels(basis: Tensor) -> Tensor:
    """For basis `[C, K]`: the levels without offset, `[C, 2^K]`, ascending."""
    return _sorted(basis)[0]


def sorted_codes(basis: Tensor) -> Tensor:
    """For basis `[C, K]`: the codes −1 and +1 of the ascending levels, `[C, 2^K, K]`."""
    return _codes(basis.shape[1], basis)[_sorted(basis)[1]]


def rank_of(rows: Tensor, levels: Tensor, shift: Tensor) -> Tensor:
    """The rank of the level nearest to each value of rows `[C, n]`, int64; the lower at a border.

    `levels` `[C, L]` ascend, `shift` `[C, 1]` is the offset. NaN gets rank 0.
    """
    borders = (levels[:, :-1] + levels[:, 1:]) / 2 + shift
    if borders.shape[1] < 16:  # a few comparisons cost less than the search
        rank = torch.zeros(rows.shape, dtype=torch.uint8, device=rows.device)
        for index in range(borders.shape[1]):
            rank += rows > borders[:, index, None]
        return rank.long()
    found = torch.searchsorted(borders.contiguous(), rows.contiguous())
    return found.masked_fill(rows.isnan(), 0)


@quantize.register_fake
def _(x: Tensor, scale: Tensor, zero_point: Tensor, lo: int, hi: int, axis: int) -> Tensor:
    _check_affine(x, scale, zero_point, lo, hi, axis)
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@quantize_basis.register_fake
def _(x: Tensor, basis: Tensor, offset: Tensor, axis: int) -> Tensor:
    _check_basis(x, basis, offset, axis)
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _save_affine(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    x, scale, zero_point, ctx.lo, ctx.hi, ctx.axis = inputs
    ctx.save_for_backward(x, scale, zero_point)


def _affine_gradient(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
    x, scale, zero_point = ctx.saved_tensors
    step, zero = _affine(x, scale, zero_point, ctx.axis)
    position = x / step + zero
    level = torch.floor(position + 0.5)
    inside = (level >= ctx.lo) & (level <= ctx.hi)
    to_scale = None
    if ctx.needs_input_grad[1]:
        clamped = level.clamp(ctx.lo, ctx.hi)
        slope = torch.where(inside, level - position, clamped - zero)
        to_scale = _rows(gradient * slope, ctx.axis).sum(1).reshape(scale.shape).to(scale.dtype)
    return gradient * inside, to_scale, None, None, None, None


def _save_basis(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    x, basis, offset, ctx.axis = inputs
    ctx.save_for_backward(x, basis, offset)


def _basis_gradient(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
    x, basis, offset = ctx.saved_tensors
    rows, incoming = _rows(x, ctx.axis), _rows(gradient, ctx.axis)
    matrix = basis.to(x.dtype).reshape(rows.shape[0], -1)  # [C, K]
    shift = offset.to(x.dtype).reshape(-1, 1)
    steps = 2.0 ** matrix.shape[1]
    reach = matrix.abs().sum(1, keepdim=True) * (steps / (steps - 1))
    to_x = _unrows(incoming * ((rows - shift).abs() <= reach), x, ctx.axis)
    to_basis = to_offset = None
    if ctx.needs_input_grad[1]:
        levels, order = _sorted(matrix)
        number = order.gather(1, rank_of(rows, levels, shift))
        planes = [
            (incoming * (2 * ((number >> plane) & 1) - 1)).sum(1)
            for plane in range(matrix.shape[1])
        ]
        to_basis = torch.stack(planes, 1).reshape(basis.shape).to(basis.dtype)
    if ctx.needs_input_grad[2]:
        to_offset = incoming.sum(1).reshape(offset.shape).to(offset.dtype)
    return to_x, to_basis, to_offset, None


quantize.register_autograd(_affine_gradient, setup_context=_save_affine)
quantize_basis.register_autograd(_basis_gradient, setup_context=_save_basis)


@quantize.register_vmap
def _(info, in_dims, x, scale, zero_point, lo, hi, axis):  # type: ignore[no-untyped-def]
    _check_vmap(in_dims)
    x = x.movedim(in_dims[0], 0)
    return quantize(x, scale, zero_point, lo, hi, axis + 1 if axis >= 0 else axis), 0


@quantize_basis.register_vmap
def _(info, in_dims, x, basis, offset, axis):  # type: ignore[no-untyped-def]
    _check_vmap(in_dims)
    x = x.movedim(in_dims[0], 0)
    return quantize_basis(x, basis, offset, axis + 1 if axis >= 0 else axis), 0


def _check_vmap(in_dims: tuple[int | None, ...]) -> None:
    if in_dims[0] is None or any(dim is not None for dim in in_dims[1:]):
        raise _wrong("vmap over the grid is not supported", got=str(in_dims), want="x only")


def _check_float(x: Tensor, grid: Tensor, name: str) -> None:
    for label, tensor in (("x", x), (name, grid)):
        if tensor.dtype not in _FLOATS:
            raise _wrong(f"{label} is not float32 or float64", got=str(tensor.dtype))


def _check_affine(
    x: Tensor, scale: Tensor, zero_point: Tensor, lo: int, hi: int, axis: int
) -> None:
    if lo > hi:
        raise _wrong("the range of levels is empty", got=f"lo = {lo}, hi = {hi}", want="lo ≤ hi")
    want = _channels(x, axis)
    if zero_point.dtype != torch.int64:
        raise _wrong("zero_point is not int64", got=str(zero_point.dtype))
    _check_shape("scale", scale, want)
    _check_shape("zero_point", zero_point, want)


def _check_basis(x: Tensor, basis: Tensor, offset: Tensor, axis: int) -> None:
    want = _channels(x, axis)
    planes = basis.shape[-1] if basis.dim() else 0
    if not 1 <= planes <= MAX_PLANES:
        raise _wrong("the basis has no plane or too many", str(list(basis.shape)), "1 … 8 planes")
    _check_shape("basis", basis, [*want, planes])
    _check_shape("offset", offset, want)


def _channels(x: Tensor, axis: int) -> list[int]:
    """The shape of a parameter that varies along axis: `[]` for −1, else `[C]`."""
    if axis == -1:
        return []
    if not 0 <= axis < x.dim():
        want = f"-1 … {x.dim() - 1}"
        raise _wrong("axis is outside the tensor", got=f"{axis} for {list(x.shape)}", want=want)
    return [x.shape[axis]]


def _check_shape(name: str, tensor: Tensor, want: list[int]) -> None:
    if list(tensor.shape) != want:
        raise _wrong(f"{name} has the wrong shape", got=str(list(tensor.shape)), want=str(want))


def _wrong(what: str, got: str, want: str | None = None) -> McugenError:
    return fail("quant", what, at="quantizer op", got=got, want=want)
