"""Putting a real tensor on a grid: its epilogue, and the structural ops that waited for it."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.graph import GraphNode
from mcugen.frontend.lower.epilogues import (
    FINE_LEVELS,
    Epilogue,
    Multiplier,
    ThresholdTable,
    choose,
    fine_grid,
    real_functions,
)
from mcugen.frontend.lower.functions import (
    Affine,
    channels_of,
    clamped_affine,
    directions,
    evaluate_exact,
)
from mcugen.frontend.lower.grids import BasisGrid, Grid, UniformGrid
from mcugen.frontend.lower.state import Context, Pending, Real, Structural, unquantized
from mcugen.ir import ops
from mcugen.ir.ops import Op
from mcugen.ir.program import Meaning, Source
from mcugen.ir.types import Int, accumulator, spanning


def grid_meaning(grid: Grid) -> Meaning:
    if isinstance(grid, BasisGrid):
        return Meaning((grid.scale,), grid.zero, (grid.meaning_offset,))
    return Meaning(tuple(grid.scale.tolist()), grid.zero)


def quantize_real(ctx: Context, x: Real, grid: Grid, node: GraphNode, planes: bool) -> Real:
    """`x` on `grid`; `planes`: in bit planes, where the grid is one of a basis."""
    x = _pool_first(ctx, x, node.source)
    _check_channels(ctx, x, grid)
    if isinstance(grid, BasisGrid):
        ref = _on_basis(ctx, x, grid, node, planes)
    else:
        ref = _epilogue(ctx, x, grid, node)
        ref = _structure(ctx, x, ref, grid, node, grid_meaning(grid))
    return Real(ref, grid_meaning(grid), x.shape, x.memory, quantized=True)


def _structure(
    ctx: Context, x: Real, ref: str, grid: Grid, node: GraphNode, meaning: Meaning | None
) -> str:
    """The ops that waited, on the levels `ref` of `grid`."""
    for item in x.pending:
        op: Structural = replace(item.op, x=ref)
        if item.fill is not None and isinstance(op, ops.Pad):
            op = replace(op, value=_fill_level(x, item, grid))
        # The quantizer's node, whose result this now is, at the place of the op that waited.
        source = Source(node.source.node, item.source.module or item.source.node, item.source.at)
        ref = ctx.builder.add(op, f"{node.outputs[0]}.{op.mnemonic}", source, meaning)
    return ref


def _on_basis(ctx: Context, x: Real, grid: BasisGrid, node: GraphNode, planes: bool) -> str:
    """Bit planes straight from thresholds where nothing but max pools waits, else from ranks."""
    builder, base, meaning = ctx.builder, node.outputs[0], grid_meaning(grid)
    pools_only = all(isinstance(item.op, ops.MaxPool) for item in x.pending)
    direct = not x.pending or (pools_only and grid.planes.ordered)
    chosen = _chosen(ctx, x, grid)
    if planes and direct and isinstance(chosen, ThresholdTable):
        ref = _emit(ctx, x.ref, chosen, grid, node, basis=grid.integers)
        return _structure(ctx, x, ref, grid, node, meaning)
    ranked = replace(node, outputs=(f"{base}.rank",))
    ref = _structure(ctx, x, _emit(ctx, x.ref, chosen, grid, ranked), grid, ranked, None)
    if planes:
        borders = np.arange(1, grid.levels)[None]
        table = builder.constant(f"{base}.ranks", borders, accumulator(1, grid.hi))
        rising = builder.constant(f"{base}.rising", np.ones(1, np.int64), spanning(1, 1))
        return builder.add(
            ops.Threshold(ref, table, rising, basis=grid.integers), base, node.source, meaning
        )
    rank = builder.types[ref].integer
    values = grid.values()[rank.lo : rank.hi + 1][None]
    table = builder.constant(f"{base}.values", values, spanning(*_ends(grid.values())))
    return builder.add(ops.Lookup(ref, table), base, node.source, meaning)


def _check_channels(ctx: Context, x: Real, grid: Grid) -> None:
    """Per-channel arrays must run along the last axis of the integer tensor."""
    channels = ctx.builder.channels(x.ref)
    scales = len(grid.scale) if isinstance(grid, UniformGrid) else 1
    for count in (channels_of(x.functions), scales):
        if count not in (1, channels):
            raise fail(
                "lower",
                f"{count} per-channel values on a tensor of {channels} channels",
                help="quantize before flattening, or use one scale per tensor",
            )
    if _leaves_channels(ctx, x, scales):
        raise fail(
            "lower",
            "per-channel values behind a transpose, or on other than images and features",
            help="quantize before the transpose, or use one value per tensor",
        )


def _leaves_channels(ctx: Context, x: Real, scales: int) -> bool:
    """Whether per-channel arrays meet a tensor whose last axis in memory is not the channel."""
    per_channel = [index for index, one in enumerate(x.functions) if one.channels > 1]
    per_channel += [len(x.functions)] if scales > 1 else []
    if per_channel and len(ctx.builder.types[x.ref].shape) == 3:
        return True
    turns = [item.position for item in x.pending if isinstance(item.op, ops.Transpose)]
    return any(place >= turn for place in per_channel for turn in turns)


def _fill_level(x: Real, item: Pending, grid: Grid) -> int:
    """The level a padding of `item.fill` takes, the same in every channel."""
    rest = x.functions[item.position :]
    value = Fraction(float(item.fill or 0.0))
    levels = {grid.quantize(evaluate_exact(rest, value, c), c) for c in range(channels_of(rest))}
    if len(levels) != 1:
        raise fail(
            "lower", "padding before a per-channel function", help="pad the quantized tensor"
        )
    return levels.pop()


def _pool_first(ctx: Context, x: Real, source: Source) -> Real:
    """Run pending ops on the accumulators where a falling function behind forbids to wait."""
    blocked = any(
        isinstance(item.op, ops.MaxPool) and (directions(x.functions[item.position :]) != 1).any()
        for item in x.pending
    )
    return materialize(ctx, x, source) if blocked else x


def reach(ctx: Context, x: Real) -> float | None:
    """The largest absolute value of `x`, 1 where that is 0; None for other than clamped affine."""
    form = clamped_affine(real_functions(x.meaning, x.functions))
    if form is None:
        return None
    element = ctx.builder.types[x.ref].integer
    ends = [form.scale * end + form.offset for end in (element.lo, element.hi)]
    return max(float(np.abs(np.clip(end, form.lo, form.hi)).max()) for end in ends) or 1.0


def on_fine_grid(ctx: Context, x: Real, node: GraphNode, name: str) -> Real | None:
    """`x` on a grid of 16 bits around 0; `name` tells it from the node's result.

    None where functions stand behind `x` that are not clamped affine.
    """
    largest = reach(ctx, x)
    if largest is None:
        return None
    grid = UniformGrid(np.array([largest / FINE_LEVELS]), 0, -FINE_LEVELS, FINE_LEVELS)
    source = replace(node, outputs=(f"{node.outputs[0]}.{name}",))
    return quantize_real(ctx, x, grid, source, planes=False)


def materialize(ctx: Context, x: Real, source: Source) -> Real:
    """`x` with its pending ops done on the integers, functions still to come.

    Raises:
        McugenError: a max pool behind a function that does not rise, or a padding.
    """
    ref = x.ref
    for item in x.pending:
        before = (*real_functions(x.meaning, ()), *x.functions[: item.position])
        if isinstance(item.op, ops.MaxPool) and (directions(before) != 1).any():
            raise fail(
                "lower",
                "max_pool between functions that fall in some channel",
                help="put a quantizer in front of the pool",
            )
        if item.fill is not None:
            raise unquantized("the padded tensor")
        ref = ctx.builder.add(replace(item.op, x=ref), f"{ref[1:]}.{item.op.mnemonic}", source)
    return replace(x, ref=ref, pending=())


def _chosen(ctx: Context, x: Real, grid: Grid) -> Epilogue | None:
    element = ctx.builder.types[x.ref].element
    if not isinstance(element, Int):
        raise fail("lower", "a tensor in bit planes is quantized again")
    return choose(element, real_functions(x.meaning, x.functions), grid)


def _epilogue(ctx: Context, x: Real, grid: UniformGrid, node: GraphNode) -> str:
    chosen = _chosen(ctx, x, grid)
    if chosen is None:
        return _through_fine_grid(ctx, x, grid, node)
    return _emit(ctx, x.ref, chosen, grid, node)


def _through_fine_grid(ctx: Context, x: Real, grid: UniformGrid, node: GraphNode) -> str:
    """Per-channel affine part onto a 16-bit grid, then thresholds shared by all channels."""
    split = 0
    while split < len(x.functions) and isinstance(x.functions[split], Affine):
        split += 1
    prefix, rest = x.functions[:split], x.functions[split:]
    if channels_of(rest) > 1 or len(grid.scale) > 1:
        raise fail(
            "lower",
            f"a per-channel function onto {grid.levels} levels that is no clamped affine map",
            help="put a quantizer in front of the per-channel operation",
        )
    chain = real_functions(x.meaning, x.functions)
    fine = fine_grid(chain, real_functions(x.meaning, prefix), grid)
    step = replace(x, functions=prefix, pending=())
    ref = _epilogue(ctx, step, fine, replace(node, outputs=(f"{node.outputs[0]}.fine",)))
    closing = replace(step, ref=ref, meaning=grid_meaning(fine), functions=rest)
    return _epilogue(ctx, closing, grid, node)


def _emit(
    ctx: Context,
    ref: str,
    chosen: Epilogue | None,
    grid: Grid,
    node: GraphNode,
    basis: tuple[int, ...] = (),
) -> str:
    """Append the op of an epilogue; its constants carry the layer's name.

    The result is the grid's level, or with a `basis` the level's value in bit planes.
    """
    builder, base = ctx.builder, node.outputs[0]
    op: Op
    if isinstance(chosen, ThresholdTable):
        table = builder.constant(
            f"{base}.thresholds", chosen.table, accumulator(*_ends(chosen.table))
        )
        direction = builder.constant(f"{base}.direction", chosen.direction, spanning(-1, 1))
        op = ops.Threshold(ref, table, direction, lo=grid.lo, basis=basis)
    elif isinstance(chosen, Multiplier):
        arrays = [
            builder.constant(f"{base}.{name}", data, element)
            for name, data, element in (
                ("multiplier", chosen.multiplier, accumulator(*_ends(chosen.multiplier))),
                ("bias", chosen.bias, Int(64, True, *_ends(chosen.bias))),
            )
        ]
        op = ops.Requantize(ref, *arrays, shift=chosen.shift, lo=chosen.lo, hi=chosen.hi)
    else:
        assert chosen is not None  # only uniform grids have none, and they are split before
        full = spanning(grid.lo, grid.hi)
        element = Int(full.bits, full.signed, *_ends(chosen.table))
        op = ops.Lookup(ref, builder.constant(f"{base}.table", chosen.table, element))
    meaning = grid_meaning(grid) if isinstance(grid, UniformGrid) or basis else None
    return builder.add(op, base, node.source, meaning)


def _ends(data: np.ndarray) -> tuple[int, int]:
    return int(data.min()), int(data.max())
