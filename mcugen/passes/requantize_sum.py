"""Sum two tensors of few levels directly where that is proven equal to summing them rescaled.

    %2 = rescale %x, ...                       %4 = add %x, %y {x_factor, y_factor}
    %3 = rescale %y, ...                  →    %5 = requantize %4, @m, @b {shift}
    %4 = add %2, %3
    %5 = rescale %4, ...

TFLite scales both operands by 2^20 and rounds them to integers. With integer factors in the ratio
of the scales a sum orders all pairs of levels (65,536 for 8 bits) as the rescaled sums do, up to
pairs that round to one level; each pair is compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mcugen.ir import ops
from mcugen.ir.ops import Env, Op
from mcugen.ir.program import Node, Program, constant
from mcugen.ir.types import Int, spanning
from mcugen.passes.drop_dead import drop_dead
from mcugen.passes.retype import retyped
from mcugen.passes.staircase import Affine, Steps, affine

#: Pairs of levels that are compared.
_MOST_PAIRS = 2**16
#: Bits of factors, the fewest first; and how many ratios are tried of each.
_FACTOR_BITS = (8, 12, 15, 18, 22)
_TRIES = 24


@dataclass(frozen=True)
class _Sum:
    """A sum or difference of rescaled operands, and what turns it into levels."""

    x: ops.Rescale
    y: ops.Rescale
    sign: int
    """Of `y`."""
    node: Node
    result: Node


@dataclass(frozen=True, eq=False)
class _Found:
    factors: tuple[int, int]
    affine: Affine


def requantize_sum(program: Program) -> Program:
    """The program with every such sum direct that is proven."""
    for node in program.nodes:
        found = _match(program, node)
        chosen = _search(found, program.env) if found else None
        if found and chosen:
            program = _replaced(program, found, chosen)
    return program


def _match(program: Program, node: Node) -> _Sum | None:
    """The sum in front of `node`, if that rescales one."""
    makers = {item.result.name: item for item in program.nodes}
    total = makers.get(node.op.x) if isinstance(node.op, ops.Rescale) else None
    if total is None or not isinstance(total.op, ops.Add):
        return None
    sign = total.op.y_factor
    plain = ops.Add(total.op.x, total.op.y, y_factor=sign)
    parts = [makers.get(ref) for ref in (total.op.x, total.op.y)]
    if abs(sign) != 1 or total.op != plain or len(program.users()[total.result.name]) > 1:
        return None
    x, y = (part.op if part else None for part in parts)
    if not isinstance(x, ops.Rescale) or not isinstance(y, ops.Rescale):
        return None
    scalar = all(_is_scalar(op, program.env) for op in (x, y, node.op))
    elements = [program.env.type(op.x).integer for op in (x, y)]
    few = elements[0].levels * elements[1].levels <= _MOST_PAIRS
    return _Sum(x, y, sign, total, node) if scalar and few else None


def _is_scalar(op: Op, env: Env) -> bool:
    """All channels are rescaled alike."""
    assert isinstance(op, ops.Rescale)
    return all(len(env.data(ref)) == 1 for ref in (op.bias, op.multiplier, op.exponent))


def _search(found: _Sum, env: Env) -> _Found | None:
    """Factors, multiplier and bias that give every pair its level; None where none are found."""
    assert isinstance(found.result.op, ops.Rescale)
    final = found.result.op
    pairs = [_levels(env.type(op.x).integer) for op in (found.x, found.y)]
    x, y = (grid.ravel() for grid in np.meshgrid(*pairs, indexing="ij"))
    levels = final.apply(found.x.apply(x, env) + found.sign * found.y.apply(y, env), env)
    order = np.argsort(levels, kind="stable")
    x, y, levels = x[order], y[order], levels[order]
    slopes = _slope(found.x, env), _slope(found.y, env)
    for one, other in _factors(slopes):
        factors = one, found.sign * other
        acc = factors[0] * x + factors[1] * y
        steps = _steps(acc, levels, (final.lo, final.hi))
        if steps is None:
            continue
        slope = max(slopes) * _slope(final, env) / max(one, other)
        chosen = affine(steps, np.array([slope]))
        if chosen.proven.all():
            return _Found(factors, chosen)
    return None


def _levels(element: Int) -> np.ndarray:
    return np.arange(element.lo, element.hi + 1, dtype=np.int64)


def _slope(op: ops.Rescale, env: Env) -> float:
    multiplier, exponent = env.data(op.multiplier), env.data(op.exponent)
    return float(multiplier[0] * 2.0 ** (exponent[0] + op.left - 31))


def _factors(slopes: tuple[float, float]) -> Iterator[tuple[int, int]]:
    """Pairs of integers in about the ratio of the slopes, the smallest and nearest first."""
    large, small = max(slopes), min(slopes)
    if small <= 0:
        return
    ratio = Fraction(large) / Fraction(small)
    for bits in _FACTOR_BITS:
        tried = set()
        for most in (2**bits - (2**bits >> 6) * part for part in range(_TRIES)):
            near = (1 / ratio).limit_denominator(most)
            tried.add((near.denominator, near.numerator))
            tried.add((most, round(most / ratio)))
        for pair in sorted(tried, key=lambda pair: abs(pair[0] - ratio * pair[1]) / pair[0]):
            if min(pair) > 0:
                yield pair if slopes[0] >= slopes[1] else (pair[1], pair[0])


def _steps(acc: np.ndarray, levels: np.ndarray, clamp: tuple[int, int]) -> Steps | None:
    """The steps of sums whose levels rise; None where a greater sum has a lower level."""
    values, starts = np.unique(levels, return_index=True)
    least = np.minimum.reduceat(acc, starts)
    most = np.maximum.reduceat(acc, starts)
    if (most[:-1] >= least[1:]).any():
        return None
    level = np.arange(max(values[0], clamp[0] + 1), min(values[-1] + 1, clamp[1]) + 1)
    place = np.searchsorted(values, level)
    has_below, has_at = place > 0, place < len(values)
    below = most[np.maximum(place - 1, 0)]
    at = least[np.minimum(place, len(values) - 1)]
    reach = int(np.abs(acc).max())
    level, below, at = level[:, None], below[:, None], at[:, None]
    return Steps(int(values[0]), level, below, at, has_below[:, None], has_at[:, None], reach)


def _replaced(program: Program, found: _Sum, chosen: _Found) -> Program:
    assert isinstance(found.result.op, ops.Rescale)
    name, final = found.result.result.name, found.result.op
    consts = tuple(
        constant(f"{name[1:]}.{role}", values, spanning(int(values.min()), int(values.max())))
        for role, values in (
            ("factor", chosen.affine.multiplier),
            ("start", chosen.affine.bias),
        )
    )
    add = ops.Add(found.x.x, found.y.x, x_factor=chosen.factors[0], y_factor=chosen.factors[1])
    requantize = ops.Requantize(
        found.node.result.name,
        *(const.name for const in consts),
        shift=chosen.affine.shift,
        lo=final.lo,
        hi=final.hi,
    )
    changed = {found.node.result.name: add, name: requantize}
    nodes = tuple(
        Node(node.result, changed.get(node.result.name, node.op)) for node in program.nodes
    )
    edited = retyped(program.with_nodes(nodes, (*program.consts, *consts)))
    return drop_dead(edited)
