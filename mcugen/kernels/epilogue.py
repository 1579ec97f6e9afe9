"""Epilogues: the function that turns one accumulator into one output element.

Each becomes a `static inline` function of the layer, from templates/epilogues/. No instruction path
depends on the value: selects are made of sign bits, searches take a fixed number of steps. Only
intervals that span more than 31 bits fall back to a comparison, which the compiler may branch on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mcugen.errors import fail
from mcugen.ir import ops
from mcugen.ir.types import Int, Planes
from mcugen.kernels.clamp import Clamp, clamp, fit
from mcugen.kernels.constants import Constant, literal, numbers, within_32_bits
from mcugen.kernels.rescale import rescaling
from mcugen.kernels.step import Step
from mcugen.kernels.storage import BITS, INT32, UINT8
from mcugen.kernels.upper import most, upper

#: Up to this many thresholds are compared one after the other, more are searched by halving.
MOST_IN_SEQUENCE = 4
#: Bits that sums are too large, where they fit, so that the upper half of a product is precise.
UPPER_BITS = 8


@dataclass(frozen=True)
class Epilogue:
    """The epilogue of one layer; templates see `context` as `e`."""

    template: str
    returns: str
    """C type of the element; that of bit planes is a uint32_t with one bit per plane."""
    per_channel: bool
    constants: tuple[Constant, ...]
    context: object
    helpers: frozenset[str] = frozenset()
    """Shared functions of templates/helpers/ that it calls."""


@dataclass(frozen=True)
class Nothing:
    """Context of templates/epilogues/none.c.j2."""


@dataclass(frozen=True)
class Affine:
    """Context of templates/epilogues/requantize.c.j2."""

    sum_c: str
    wide: bool
    """The product is formed in 64 bits."""
    multiplier: str | None
    """The number as C; None where there is one per channel, in a table."""
    bias: str | None
    shift: int
    clamp: Clamp


@dataclass(frozen=True)
class UpperHalf:
    """Context of templates/epilogues/upper.c.j2; numbers as in `Affine`."""

    start: str | None
    up: int
    """What sums are multiplied by first."""
    multiplier: str | None
    addend: str | None
    shift: int
    clamp: Clamp


@dataclass(frozen=True)
class Halving:
    """One step of a search: `gain` more thresholds are passed if this one is."""

    gain: int
    index: str


@dataclass(frozen=True)
class Steps:
    """Context of templates/epilogues/threshold.c.j2."""

    table_c: str
    row: str
    """First threshold of the channel, behind the table's name; empty where none is needed."""
    value: str
    """The accumulator in its channel's direction."""
    in_sequence: tuple[str, ...]
    halvings: tuple[Halving, ...]
    base: str
    """What is added to the count, empty where nothing is."""
    coded: bool
    """The count is a rank, whose code a table gives."""
    by_sign: bool
    shift: int | None
    """Where a single threshold is 2^shift, and what is compared is below twice that: the answer is
    a bit of it."""


@dataclass(frozen=True)
class Table:
    """Context of templates/epilogues/lookup.c.j2."""

    least: str
    levels: int
    per_channel: bool


def epilogue_of(step: Step) -> Epilogue:
    """The epilogue of `step`; `none` where it stores accumulators.

    Raises:
        McugenError: constants that no C type of 32 bits holds.
    """
    if step.epilogue is None:
        return Epilogue("none", INT32.name, False, (), Nothing())
    return _BUILDERS[type(step.epilogue.op)](step, step.epilogue.op)


def _returns(step: Step) -> str:
    return step.output.storage.c.name


def _requantize(step: Step, op: ops.Op) -> Epilogue:
    assert isinstance(op, ops.Requantize)
    multiplier, bias = step.env.data(op.multiplier), step.env.data(op.bias)
    within_32_bits(step, "a multiplier", int(multiplier.min()), int(multiplier.max()))
    x = step.accumulator.integer
    # Python integers: the sum may need 64 bits, its bounds a few more on the way.
    biases = [int(value) for value in bias]
    products = [int(value) * end for value in multiplier for end in (x.lo, x.hi)]
    sums = [
        int(part)
        for end in (x.lo, x.hi)
        for part in multiplier.astype(object) * end + bias.astype(object)
    ]
    wide = not fit(*products, *biases, *sums)
    if wide and (found := _upper_half(step, op)):
        return found
    limits = clamp(op.lo, op.hi, min(sums) >> op.shift, max(sums) >> op.shift)
    per_channel = max(multiplier.size, bias.size) > 1
    constants = [
        numbers(suffix, data, "table", "[channel]")
        for suffix, data in (("multiplier", multiplier), ("bias", bias))
        if data.size > 1
    ]
    context = Affine(
        sum_c="int64_t" if wide else "int32_t",
        wide=wide,
        multiplier=literal(int(multiplier[0])) if multiplier.size == 1 else None,
        bias=literal(int(bias[0])) if bias.size == 1 else None,
        shift=op.shift,
        clamp=limits,
    )
    helpers = frozenset({"product"} if wide else ())
    return Epilogue("requantize", _returns(step), per_channel, tuple(constants), context, helpers)


def _upper_half(step: Step, op: ops.Requantize) -> Epilogue | None:
    """From the upper half of one product, where that gives the same bytes (see `upper`)."""
    if op.hi - op.lo > UINT8.hi:
        return None
    x, channels = step.accumulator.integer, step.accumulator.channels
    bounds = np.full(channels, x.lo), np.full(channels, x.hi)
    bits = UPPER_BITS if max(-x.lo, x.hi) <= most(UPPER_BITS) else 0
    form = upper(step, bounds, bits)
    if form is None:
        return None
    # Not called "start": kernels have tables of that name.
    columns = {"offset": form.start, "multiplier": form.multiplier, "addend": form.addend}
    single = {name: len(set(data.tolist())) == 1 for name, data in columns.items()}
    ends = [
        (int((int(end + start) << bits) * factor >> 32) + int(addend)) >> form.shift
        for start, factor, addend in zip(*(data.tolist() for data in columns.values()), strict=True)
        for end in (x.lo, x.hi)
    ]
    numbers_c = {
        name: literal(int(data[0])) if single[name] else None for name, data in columns.items()
    }
    context = UpperHalf(
        start=numbers_c["offset"],
        up=2**bits,
        multiplier=numbers_c["multiplier"],
        addend=numbers_c["addend"],
        shift=form.shift,
        clamp=clamp(op.lo, op.hi, min(ends), max(ends)),
    )
    tables = tuple(
        numbers(name, data, "table", "[channel]")
        for name, data in columns.items()
        if not single[name]
    )
    helpers = context.clamp.helpers | {"upper"}
    return Epilogue("upper", _returns(step), bool(tables), tables, context, helpers)


def _rescale(step: Step, op: ops.Op) -> Epilogue:
    assert isinstance(op, ops.Rescale)
    context, constants = rescaling(step, op)
    helpers = context.clamp.helpers | {"product"}
    return Epilogue("rescale", _returns(step), bool(constants), constants, context, helpers)


def _threshold(step: Step, op: ops.Op) -> Epilogue:
    assert isinstance(op, ops.Threshold)
    direction = step.env.data(op.direction)
    table = _clipped(step, step.env.data(op.table), direction)
    within_32_bits(step, "a threshold", int(table.min()), int(table.max()))
    count, rows = table.shape[1], len(table)
    x = step.accumulator.integer
    same_way = bool((direction == direction[0]).all())
    listed = count <= MOST_IN_SEQUENCE
    constants = []
    if rows > 1 or not listed:
        constants.append(numbers("thresholds", table, "table", "[channel][threshold]"))
    if not same_way:
        constants.append(numbers("direction", direction, "table", "[channel]"))
    planes = Planes(op.basis) if op.basis else None
    if planes and not planes.ordered:
        constants.append(numbers("codes", planes.ranked, "table", "[rank]: one bit per plane"))
    elements = [literal(int(t)) if rows == 1 else None for t in table[0]]
    context = Steps(
        table_c=constants[0].c.name if constants else INT32.name,
        row=_row(rows, count, listed),
        value=_directed(same_way, int(direction[0])),
        in_sequence=tuple(
            element or f"threshold[{i}]" for i, element in enumerate(elements) if listed
        ),
        halvings=() if listed else _halvings(count),
        base=f"{literal(op.lo)} + (int32_t)" if op.lo else "",
        coded=planes is not None and not planes.ordered,
        by_sign=2 * max(abs(x.lo), abs(x.hi)) + 1 <= INT32.hi,
        shift=_shift(x, table, same_way and int(direction[0]) == 1),
    )
    returns = BITS.name if planes else _returns(step)
    per_channel = rows > 1 or not same_way
    return Epilogue("threshold", returns, per_channel, tuple(constants), context)


def _shift(x: Int, table: np.ndarray, rising: bool) -> int | None:
    if table.size > 1 or not rising:
        return None
    power = int(table.item()).bit_length() - 1
    fits = table.item() == 2**power and x.lo >= 0 and x.hi < 2 ** (power + 1)
    return power if fits else None


def _clipped(step: Step, table: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Thresholds brought to the ends of the values compared: the same answers in narrower types."""
    x = step.accumulator.integer
    if len(direction) > 1 and len(table) == 1:
        ends = np.array([[min(x.lo, -x.hi), max(x.hi, -x.lo) + 1]])
    else:
        ends = np.array([[x.lo, x.hi + 1] if d > 0 else [-x.hi, -x.lo + 1] for d in direction])
    return np.clip(table, ends[:, :1], ends[:, 1:])


def _row(rows: int, count: int, listed: bool) -> str:
    if rows == 1:
        return "" if listed else "thresholds"
    return "thresholds + channel" + (f" * {count}u" if count > 1 else "")


def _directed(same_way: bool, first: int) -> str:
    if not same_way:
        return "table"
    return "acc" if first > 0 else "-acc"


def _halvings(count: int) -> tuple[Halving, ...]:
    """Steps that find how many of `count` sorted thresholds are passed, whatever the value."""
    steps = []
    while count > 1:
        half = count // 2
        steps.append(Halving(half, f"threshold[passed + {half - 1}u]"))
        count -= half
    return (*steps, Halving(1, "threshold[passed]"))


def _lookup(step: Step, op: ops.Op) -> Epilogue:
    assert isinstance(op, ops.Lookup)
    if isinstance(step.output.type.element, Planes):
        raise fail("plan", "lookup cannot give bit planes", at=step.where, want="integers")
    table = step.env.data(op.table)
    within_32_bits(step, "a table entry", int(table.min()), int(table.max()))
    rows = len(table)
    constants = (numbers("table", table, "table", "[channel][level]"),)
    x = step.accumulator.integer
    context = Table(literal(x.lo), x.levels, rows > 1)
    return Epilogue("lookup", _returns(step), rows > 1, constants, context)


_BUILDERS: dict[type[ops.Op], Callable[[Step, ops.Op], Epilogue]] = {
    ops.Requantize: _requantize,
    ops.Rescale: _rescale,
    ops.Threshold: _threshold,
    ops.Lookup: _lookup,
}
