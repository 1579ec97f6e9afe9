"""Making a failing program small: cuts are tried as long as the program still fails."""

import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace

import numpy as np

from mcugen.ir import Int, Program, TensorType, Value, ops
from mcugen.ir.program import Const, constant
from scripts.fuzz_lib.rebuild import Parts, parts_of, rebuilt

#: The simplest value of each attribute.
_SIMPLEST: dict[str, int | tuple[int, ...]] = {
    "stride": (1, 1),
    "padding": (0, 0, 0, 0),
    "dilation": (1, 1),
    "window": (1, 1),
    "groups": 1,
    "x_zero": 0,
    "y_zero": 0,
    "x_factor": 1,
    "y_factor": 1,
    "shift": 0,
    "value": 0,
}


def shrink(program: Program, fails: Callable[[Program], bool], seconds: float) -> Program:
    """The smallest program that `fails`, of those reached within `seconds`.

    Args:
        program: one that fails.
        fails: whether a program still fails in the same way.
        seconds: no cut is begun later.
    """
    end = time.monotonic() + seconds
    small = rebuilt(parts_of(program), program.name)
    if small is None or not fails(small):
        return program
    while smaller := _step(small, fails, end):
        small = smaller
    return small


def _step(program: Program, fails: Callable[[Program], bool], end: float) -> Program | None:
    seen = set()
    for parts in _cuts(parts_of(program)):
        candidate = rebuilt(parts, program.name)
        if candidate is None or _size(candidate) >= _size(program):
            continue
        if time.monotonic() > end:
            return None
        key = _size(candidate), candidate.nodes
        if key not in seen and fails(candidate):
            return candidate
        seen.add(key)
    return None


def _size(program: Program) -> tuple[int, int, int, int, int]:
    """What shrinking makes smaller: ops, then attributes, then elements, then numbers."""
    odd = sum(
        value != _SIMPLEST.get(name, value)
        for node in program.nodes
        for name, value in node.op.attributes.items()
    )
    spread = sum(abs(n) for node in program.nodes for n in _numbers(node.op))
    return (
        len(program.nodes),
        odd,
        sum(value.type.size for value in program.values.values()),
        sum(const.data.size for const in program.consts),
        spread + sum(int(np.count_nonzero(const.data)) for const in program.consts),
    )


def _numbers(op: ops.Op) -> Iterator[int]:
    for value in op.attributes.values():
        yield from value if isinstance(value, tuple) else (value,)


def _cuts(parts: Parts) -> Iterator[Parts]:
    """Smaller versions, those that take most away first."""
    for result, _ in parts.nodes:
        yield replace(parts, output=result)
    yield from _later_inputs(parts)
    yield from _bypasses(parts)
    yield from _smaller_inputs(parts)
    yield from _simpler_ops(parts)
    yield from _smaller_constants(parts)


def _later_inputs(parts: Parts) -> Iterator[Parts]:
    """An intermediate value becomes the input."""
    program = rebuilt(parts, "cut")
    for node in reversed(program.nodes if program else ()):
        if node.result.name != parts.output:
            yield replace(parts, input=Value(node.result.name, node.result.type))


def _bypasses(parts: Parts) -> Iterator[Parts]:
    """An op gives way to one of its operands."""
    for result, op in parts.nodes:
        for ref in op.operands:
            if ref not in parts.consts:
                rest = [(name, other.renamed({result: ref})) for name, other in parts.nodes]
                output = ref if parts.output == result else parts.output
                yield replace(parts, nodes=tuple(rest), output=output)


def _smaller_inputs(parts: Parts) -> Iterator[Parts]:
    kind = parts.input.type
    for axis, extent in enumerate(kind.shape):
        for smaller in dict.fromkeys((1, extent // 2, extent - 1)):
            if axis and 1 <= smaller < extent:
                shape = (*kind.shape[:axis], smaller, *kind.shape[axis + 1 :])
                value = replace(parts.input, type=TensorType(shape, kind.element))
                yield replace(parts, input=value)


def _simpler_ops(parts: Parts) -> Iterator[Parts]:
    for index, (result, op) in enumerate(parts.nodes):
        simplest = {f.name: _SIMPLEST[f.name] for f in fields(op) if f.name in _SIMPLEST}
        for change in (simplest, *({name: value} for name, value in simplest.items())):
            simpler = replace(op, **change)
            yield replace(parts, nodes=_with(parts, index, (result, simpler)))
        if isinstance(op, ops.Conv2d):
            # Less padding may need a smaller window, and a smaller window less padding.
            w = parts.consts[op.w]
            tap = constant(w.name[1:], w.data[..., :1, :1, :], w.type.element)
            point = _with(parts, index, (result, replace(op, **simplest)))
            yield replace(parts, nodes=point, consts=parts.consts | {w.name: tap})
        if isinstance(op, ops.Concat):
            for ref in op.xs:
                yield replace(parts, nodes=_with(parts, index, (result, replace(op, xs=(ref,)))))


def _with(parts: Parts, index: int, node: tuple[str, ops.Op]) -> tuple[tuple[str, ops.Op], ...]:
    return (*parts.nodes[:index], node, *parts.nodes[index + 1 :])


def _smaller_constants(parts: Parts) -> Iterator[Parts]:
    for name, const in parts.consts.items():
        for data in (*_slices(const.data), *_plainer(const)):
            element = const.type.element
            if isinstance(element, Int):
                element = replace(element, lo=int(data.min()), hi=int(data.max()))
            yield replace(parts, consts=parts.consts | {name: constant(name[1:], data, element)})


def _slices(data: np.ndarray) -> Iterator[np.ndarray]:
    """One axis cut to its first element, its first half, or by one."""
    for axis, extent in enumerate(data.shape):
        for smaller in dict.fromkeys((1, extent // 2, extent - 1)):
            if 1 <= smaller < extent:
                yield np.take(data, np.arange(smaller), axis)


def _plainer(const: Const) -> Iterator[np.ndarray]:
    """Half of the elements set to zero."""
    if isinstance(const.type.element, Int):
        flat = np.arange(const.data.size).reshape(const.data.shape)
        for chosen in (flat >= 0, flat < flat.size // 2, flat >= flat.size // 2, flat % 2 == 0):
            yield np.where(chosen, 0, const.data)
