"""What lowering knows of each tensor of the PyTorch graph, and the program under construction."""

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from mcugen.errors import Fault, McugenError, fail
from mcugen.frontend.graph import ExportedGraph, GraphNode
from mcugen.frontend.lower.epilogues import (
    Multiplier,
    Table,
    ThresholdTable,
    choose,
    fine_grid,
    real_functions,
)
from mcugen.frontend.lower.functions import (
    Affine,
    Function,
    channels_of,
    directions,
    evaluate_exact,
)
from mcugen.frontend.lower.grids import BinaryGrid, Grid, UniformGrid
from mcugen.ir import ops
from mcugen.ir.ops import Env, Op
from mcugen.ir.program import Const, Meaning, Node, Source, Value, constant
from mcugen.ir.types import Int, Planes, TensorType, accumulator, spanning

#: Ops that move values without looking at them, or only compare them.
Structural = ops.MaxPool | ops.Pad | ops.Reshape | ops.Transpose


@dataclass(frozen=True)
class Pending:
    """A structural op that waits for a quantizer: it commutes with everything elementwise.

    `op` has an empty operand; `position` is how many functions stood before it; `fill` is the real
    value a padding writes.
    """

    op: Structural
    source: Source
    position: int
    fill: float | None = None


@dataclass(frozen=True, eq=False)
class Real:
    """A real tensor: functions(meaning(q)) of the integer tensor `ref`, then the pending ops.

    `shape` is PyTorch's, `memory` the program's, both behind the pending ops. Images lie NHWC in
    the program; a tensor flattened from an image keeps that memory until someone needs PyTorch's
    order (`layout.plain`).
    """

    ref: str
    meaning: Meaning
    shape: tuple[int, ...]
    memory: tuple[int, ...]
    functions: tuple[Function, ...] = ()
    pending: tuple[Pending, ...] = ()
    quantized: bool = False
    """On the grid of a quantizer, rather than an accumulator."""

    @property
    def on_grid(self) -> bool:
        return self.quantized and not self.functions and not self.pending

    def then(self, *functions: Function) -> "Real":
        return replace(self, functions=(*self.functions, *functions))

    @property
    def is_image(self) -> bool:
        """PyTorch's NCHW tensor, NHWC in memory."""
        return len(self.shape) == 4

    @property
    def is_flat_image(self) -> bool:
        """Flattened in PyTorch, still an image in memory."""
        return len(self.memory) == 4 and len(self.shape) != 4


@dataclass(frozen=True, eq=False)
class RawInput:
    """The float input before its quantizer; layout ops on it wait."""

    name: str
    input_shape: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Joined:
    """A concatenation whose parts are still real; functions and quantizers go to each part."""

    parts: tuple[Real, ...]
    axis: int
    """PyTorch's axis."""
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Constant:
    """A parameter, buffer or computed constant."""

    data: np.ndarray
    name: str


@dataclass(frozen=True, eq=False)
class GridConstant:
    """A quantized constant: real = scale·q along `axis` (None per tensor); q is centred."""

    q: np.ndarray
    scale: np.ndarray
    name: str
    binary: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.q.shape


@dataclass(frozen=True)
class Poisoned:
    """The result of a node that failed: its users stay silent."""


Tensor = Real | RawInput | Joined | Constant | GridConstant | Poisoned


@dataclass
class Builder:
    """The program under construction; one place that names, types and appends."""

    types: dict[str, TensorType] = field(default_factory=dict)
    data: dict[str, np.ndarray] = field(default_factory=dict)
    consts: dict[str, Const] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)

    def env(self) -> Env:
        return Env(self.types, self.data)

    def fresh(self, base: str) -> str:
        """A name not yet taken, from `base` reduced to letters, digits, dots and underscores."""
        clean = re.sub(r"[^A-Za-z0-9_.]", "_", base) or "value"
        name, number = clean, 2
        while f"%{name}" in self.types or f"@{name}" in self.types:
            name, number = f"{clean}.{number}", number + 1
        return name

    def constant(self, base: str, data: np.ndarray, element: Int | Planes) -> str:
        """The reference of a constant; equal ones are not shared, each has its layer's name."""
        const = constant(self.fresh(base), data, element)
        self.types[const.name], self.data[const.name] = const.type, const.data
        self.consts[const.name] = const
        return const.name

    def input(self, value: Value) -> str:
        self.types[value.name] = value.type
        self.inputs.append(value)
        return value.name

    def add(self, op: Op, base: str, source: Source, meaning: Meaning | None = None) -> str:
        """Append `op` and return the name of its result."""
        value = Value(f"%{self.fresh(base)}", op.infer(self.env()), meaning, source)
        self.types[value.name] = value.type
        self.nodes.append(Node(value, op))
        return value.name

    def channels(self, ref: str) -> int:
        return self.types[ref].channels


@dataclass
class Context:
    """Lowering of one graph: tensors by name, the builder, the faults so far."""

    graph: ExportedGraph
    builder: Builder = field(default_factory=Builder)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    planes: frozenset[str] = frozenset()
    """Binary tensors that only binary layers read: they stay packed."""
    output_function: str | None = None

    def fault(self, error: McugenError, source: Source) -> None:
        """Keep the faults of `error`, each with the place in the user's model."""
        for item in error.faults:
            self.faults.append(replace(item, at=item.at or str(source)))


def unquantized(what: str) -> McugenError:
    """The error for a tensor that reaches an integer op without a quantizer."""
    return fail(
        "lower",
        f"{what} is not quantized",
        want="a quantizer between every two layers",
        help="mcugen.quant.quantize_(model, weight=..., activation=...) places them; "
        "or call torch.ops.mcugen.quantize on the tensor",
    )


def grid_meaning(grid: Grid) -> Meaning:
    if isinstance(grid, BinaryGrid):
        return Meaning((grid.scale,), 0, (grid.offset,))
    return Meaning(tuple(grid.scale.tolist()), grid.zero)


def quantize_real(ctx: Context, x: Real, grid: Grid, node: GraphNode, planes: bool) -> Real:
    """`x` on `grid`: its epilogue, then the structural ops that waited for it."""
    x = _pool_first(ctx, x, node.source)
    _check_channels(ctx, x, grid)
    ref = _epilogue(ctx, x, grid, node, planes)
    meaning = grid_meaning(grid)
    for item in x.pending:
        op: Structural = replace(item.op, x=ref)
        if item.fill is not None and isinstance(op, ops.Pad):
            op = replace(op, value=_fill_level(x, item, grid))
        # The quantizer's node, whose result this now is, at the place of the op that waited.
        source = Source(node.source.node, item.source.module or item.source.node, item.source.at)
        ref = ctx.builder.add(op, f"{node.outputs[0]}.{op.mnemonic}", source, meaning)
    return Real(ref, meaning, x.shape, x.memory, quantized=True)


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


def _epilogue(ctx: Context, x: Real, grid: Grid, node: GraphNode, planes: bool) -> str:
    element = ctx.builder.types[x.ref].element
    if not isinstance(element, Int):
        raise fail("lower", "a packed binary tensor is quantized again")
    chain = real_functions(x.meaning, x.functions)
    chosen = choose(element, chain, grid)
    if chosen is None:
        return _through_fine_grid(ctx, x, grid, node, planes)
    return emit_epilogue(ctx, x.ref, chosen, grid, node, planes)


def _through_fine_grid(ctx: Context, x: Real, grid: Grid, node: GraphNode, planes: bool) -> str:
    """Per-channel affine part onto a 16-bit grid, then thresholds shared by all channels."""
    split = 0
    while split < len(x.functions) and isinstance(x.functions[split], Affine):
        split += 1
    prefix, rest = x.functions[:split], x.functions[split:]
    if channels_of(rest) > 1 or not isinstance(grid, UniformGrid) or len(grid.scale) > 1:
        raise fail(
            "lower",
            f"a per-channel function onto {grid.levels} levels that is no clamped affine map",
            help="put a quantizer in front of the per-channel operation",
        )
    chain = real_functions(x.meaning, x.functions)
    fine = fine_grid(chain, real_functions(x.meaning, prefix), grid)
    step = replace(x, functions=prefix, pending=())
    ref = _epilogue(ctx, step, fine, replace(node, outputs=(f"{node.outputs[0]}.fine",)), False)
    return _epilogue(
        ctx, replace(step, ref=ref, meaning=grid_meaning(fine), functions=rest), grid, node, planes
    )


def emit_epilogue(
    ctx: Context,
    ref: str,
    chosen: ThresholdTable | Multiplier | Table,
    grid: Grid,
    node: GraphNode,
    planes: bool,
) -> str:
    """Append the op of an epilogue; its constants carry the layer's name."""
    builder, base = ctx.builder, node.outputs[0]
    op: Op
    if isinstance(chosen, ThresholdTable):
        table = builder.constant(
            f"{base}.thresholds", chosen.table, accumulator(*_ends(chosen.table))
        )
        direction = builder.constant(f"{base}.direction", chosen.direction, spanning(-1, 1))
        op = ops.Threshold(ref, table, direction, lo=grid.lo, basis=(1,) if planes else ())
        if isinstance(grid, BinaryGrid) and not planes:
            ref = builder.add(op, f"{base}.bit", node.source)
            bit = builder.types[ref].integer
            codes = np.array([[2 * value - 1 for value in range(bit.lo, bit.hi + 1)]])
            op = ops.Lookup(ref, builder.constant(f"{base}.codes", codes, spanning(-1, 1)))
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
        values = chosen.table if not isinstance(grid, BinaryGrid) else 2 * chosen.table - 1
        full = spanning(grid.lo, grid.hi) if isinstance(grid, UniformGrid) else spanning(-1, 1)
        element = Int(full.bits, full.signed, *_ends(values))
        op = ops.Lookup(ref, builder.constant(f"{base}.table", values, element))
    return builder.add(op, base, node.source, grid_meaning(grid))


def _ends(data: np.ndarray) -> tuple[int, int]:
    return int(data.min()), int(data.max())
