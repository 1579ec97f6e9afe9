"""Inputs that find more than random ones do: the ends of every interval, alone and together."""

from collections.abc import Iterator

import numpy as np

from mcugen.ir import Int, Program, TensorType, ops
from mcugen.ir.ops import Env, Window
from mcugen.ir.types import Planes
from tests.programs import random_inputs

SEED = 7


def samples(program: Program, count: int) -> np.ndarray:
    """Inputs for `program` as its interpreter takes them; more of them begin with the same.

    Zero, the ends in turn, inputs that drive an accumulator to its bounds, all low, all high, the
    ends at random, then about `count` random ones.
    """
    source = program.inputs[0]
    kind = source.type
    shape = kind.shape[1:]
    lo, hi = ends(kind)
    zero = min(max(source.meaning.zero if source.meaning else 0, lo), hi)
    turns = np.resize(np.array([lo, hi]), shape)
    if isinstance(kind.element, Planes):
        # The same codes in every plane: values at the ends of what occurs.
        first = [np.stack([turns, -turns]), *adversarial(program)]
        parts = [np.stack([codes] * kind.element.count) for codes in first]
        return np.concatenate([*parts, random_inputs(program, count, SEED)], axis=1).astype(np.int8)
    parts = [np.full(shape, zero)[None], turns[None], *adversarial(program)]
    return np.concatenate([*parts, random_inputs(program, count, SEED)])


def ends(kind: TensorType) -> tuple[int, int]:
    """Lowest and highest element; of planes, the codes."""
    return (kind.element.lo, kind.element.hi) if isinstance(kind.element, Int) else (-1, 1)


def adversarial(program: Program) -> Iterator[np.ndarray]:
    """Two samples for each dense op that reads the input (see `driving`)."""
    source = program.inputs[0]
    aliases = {source.name}
    for node in program.nodes:
        if isinstance(node.op, ops.Reshape) and node.op.x in aliases:
            aliases.add(node.result.name)
        if isinstance(node.op, ops.Conv2d | ops.Linear) and node.op.x in aliases:
            yield driving(node.op, program.env).reshape(2, *source.type.shape[1:])


def driving(op: ops.Conv2d | ops.Linear, env: Env) -> np.ndarray:
    """Two inputs of `op`, which take an accumulator as low and as high as it can go.

    The sign of each weight picks the end of the input's interval; planes come as codes.
    """
    kind = env.type(op.x)
    lo, hi = ends(kind)
    weights, reach = env.data(op.w).astype(np.int64), 1
    if isinstance(kind.element, Planes):
        weights, reach = weights.sum(axis=0), kind.element.reach
    products = np.stack([weights * (end * reach - op.x_zero) for end in (lo, hi)])
    rows = tuple(range(1, weights.ndim))
    lowest = int(np.argmin(products.min(axis=0).sum(axis=rows)))
    highest = int(np.argmax(products.max(axis=0).sum(axis=rows)))
    low = np.where(weights[lowest] >= 0, lo, hi)
    high = np.where(weights[highest] >= 0, hi, lo)
    if isinstance(op, ops.Linear):
        return np.stack([low, high]).reshape(2, *kind.shape[1:])
    per_group = len(weights) // op.groups
    pairs = ((low, lowest // per_group), (high, highest // per_group))
    return np.stack([_placed(op, kind, taps, group) for taps, group in pairs])


def _placed(op: ops.Conv2d, kind: TensorType, taps: np.ndarray, group: int) -> np.ndarray:
    """An image with `taps` under the window where most of it lies inside."""
    image = np.full(kind.shape[1:], ends(kind)[0])
    vertical, horizontal = op.windows((taps.shape[0], taps.shape[1]))
    rows = taps_inside(vertical, kind.shape[1])
    columns = taps_inside(horizontal, kind.shape[2])
    depth = taps.shape[2]
    for ky, y in rows:
        for kx, x in columns:
            image[y, x, group * depth : (group + 1) * depth] = taps[ky, kx]
    return image


def taps_inside(window: Window, extent: int) -> list[tuple[int, int]]:
    """Taps and the positions under them, for the output position that has most of them inside."""

    def under(output: int) -> list[tuple[int, int]]:
        first = output * window.stride - window.before
        places = [(tap, first + tap * window.dilation) for tap in range(window.size)]
        return [(tap, place) for tap, place in places if 0 <= place < extent]

    return max((under(output) for output in range(window.extent(extent))), key=len)
