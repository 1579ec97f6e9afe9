"""Shapes as ONNX's operators define them, for tensors and constants alike."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mcugen.frontend.onnx.translation import Call

Shape = tuple[int, ...]


def order(call: Call, rank: int) -> Shape:
    """The permutation of a Transpose, which reverses where none is given."""
    perm = call.integers("perm")
    perm = tuple(reversed(range(rank))) if perm is None else perm
    if sorted(perm) != list(range(rank)):
        got = str(list(perm[:16]))
        raise call.node.wrong("attribute perm is no order of the axes", got=got)
    return perm


def _axes(call: Call, since: int) -> Shape | None:
    """Axes out of an attribute, from version `since` on out of input 1."""
    if call.opset < since:
        return call.integers("axes")
    return call.whole(1, "the axes") if call.given(1) else None


def _checked_axes(call: Call, axes: Shape, rank: int) -> Shape:
    """`axes` counted from the front, each once."""
    found = tuple(call.axis(axis, rank) for axis in axes)
    if len(set(found)) != len(found):
        raise call.node.wrong("an axis is named twice", got=str(list(axes)))
    return found


def reduced_axes(call: Call, rank: int) -> Shape:
    """The axes a ReduceMean averages over: all where none are given."""
    axes = _axes(call, 18)
    if call.integer("noop_with_empty_axes", 0) and not axes:
        raise call.node.wrong("attribute noop_with_empty_axes is not supported", want="axes")
    return _checked_axes(call, axes, rank) if axes else tuple(range(rank))


def _reshape(call: Call, before: Shape) -> Shape:
    wanted = list(call.whole(1, "the extents"))
    if not call.integer("allowzero", 0):
        kept = (*before, *(0 for _ in wanted))
        wanted = [kept[index] if one == 0 else one for index, one in enumerate(wanted)]
    if wanted.count(-1) > 1 or any(one < -1 or one == 0 for one in wanted):
        raise call.node.wrong("the extents are no shape", got=str(wanted))
    if -1 in wanted:
        rest = -math.prod(wanted)
        wanted[wanted.index(-1)] = math.prod(before) // rest
    return call.shaped(wanted)


def _flatten(call: Call, before: Shape) -> Shape:
    axis = call.integer("axis", 1)
    if not -len(before) <= axis <= len(before):
        raise call.node.wrong(f"axis {axis} does not fit a tensor of {len(before)} axes")
    axis = axis + len(before) if axis < 0 else axis
    return (math.prod(before[:axis]), math.prod(before[axis:]))


def _squeeze(call: Call, before: Shape) -> Shape:
    axes = _axes(call, 13)
    if axes is None:
        return tuple(extent for extent in before if extent != 1)
    found = _checked_axes(call, axes, len(before))
    if any(before[axis] != 1 for axis in found):
        raise call.node.wrong(f"axes {list(axes)} of {list(before)} are not all of extent 1")
    return tuple(extent for axis, extent in enumerate(before) if axis not in found)


def _unsqueeze(call: Call, before: Shape) -> Shape:
    axes = _axes(call, 13)
    if axes is None:
        raise call.node.wrong("no axes are given")
    rank = len(before) + len(axes)
    found = _checked_axes(call, axes, rank)
    rest = iter(before)
    return call.shaped([1 if axis in found else next(rest) for axis in range(rank)])


#: Shape of the result, from that of the input.
RESHAPES: dict[str, Callable[[Call, Shape], Shape]] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}


def broadcast(call: Call, x: Shape, y: Shape) -> Shape:
    """The shape that `x` and `y` both stretch to."""
    rank = max(len(x), len(y))
    wide = [(1,) * (rank - len(one)) + one for one in (x, y)]
    if any(a != b and 1 not in (a, b) for a, b in zip(*wide, strict=True)):
        raise call.node.wrong(f"shapes {list(x)} and {list(y)} do not fit each other")
    return tuple(b if a == 1 else a for a, b in zip(*wide, strict=True))


def concatenated(call: Call, parts: Sequence[Shape]) -> Shape:
    """The shape of a Concat."""
    axis = call.axis(call.integer("axis", 0), len(parts[0]))
    rest = {(*part[:axis], *part[axis + 1 :]) for part in parts}
    if len(rest) != 1 or len({len(part) for part in parts}) != 1:
        raise call.node.wrong(f"shapes {[list(part) for part in parts[:8]]} do not join")
    whole = list(parts[0])
    whole[axis] = sum(part[axis] for part in parts)
    return call.shaped(whole)


@dataclass(frozen=True)
class Cut:
    """Positions begin … end − 1 of one axis."""

    axis: int
    begin: int
    end: int


def cuts(call: Call, shape: Shape) -> tuple[Cut, ...]:
    """What a Slice keeps of each axis it names."""
    if call.opset < 10:
        begins, ends, axes = (call.integers(name) for name in ("starts", "ends", "axes"))
        steps = None
    else:
        begins, ends = call.whole(1, "the starts"), call.whole(2, "the ends")
        axes = call.whole(3, "the axes") if call.given(3) else None
        steps = call.whole(4, "the steps") if call.given(4) else None
    if begins is None or ends is None:
        raise call.node.wrong("starts or ends are missing")
    axes = tuple(range(len(begins))) if axes is None else axes
    if len(begins) != len(ends) or len(axes) != len(ends) or len(steps or axes) != len(ends):
        raise call.node.wrong("starts, ends, axes and steps are not equally many")
    if any(step != 1 for step in steps or ()):
        raise call.node.wrong("a slice with steps", got=str(list(steps or ())), want="steps 1")
    found = []
    for axis, begin, end in zip(_checked_axes(call, axes, len(shape)), begins, ends, strict=True):
        extent = shape[axis]
        first, last = (min(max(at + extent if at < 0 else at, 0), extent) for at in (begin, end))
        if first >= last:
            raise call.node.wrong(f"a slice {begin}:{end} of {extent} positions is empty")
        found.append(Cut(axis, first, last))
    return tuple(found)
