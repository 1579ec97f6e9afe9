"""A program with parts exchanged: types are inferred anew, constants cut to what their op reads."""

from dataclasses import dataclass, replace

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Int, Node, Planes, Program, TensorType, Value, ops, verify
from mcugen.ir.ops import Env
from mcugen.ir.program import Const, constant


@dataclass(frozen=True)
class Parts:
    """What a program is rebuilt from; constants may be larger than their op wants."""

    input: Value
    nodes: tuple[tuple[str, ops.Op], ...]
    """Name of the result, and the op."""
    consts: dict[str, Const]
    output: str


def parts_of(program: Program) -> Parts:
    return Parts(
        program.inputs[0],
        tuple((node.result.name, node.op) for node in program.nodes),
        {const.name: const for const in program.consts},
        program.output,
    )


def rebuilt(parts: Parts, name: str) -> Program | None:
    """The verified program, without what its output does not need; None where it is not valid."""
    types = {parts.input.name: parts.input.type}
    consts: dict[str, Const] = {}
    nodes: list[Node] = []
    try:
        for result, op in _needed(parts):
            op = _fitted(op, types, parts.consts, consts)
            data = {ref: const.data for ref, const in consts.items()}
            env = Env(types | {ref: const.type for ref, const in consts.items()}, data)
            types[result] = op.infer(env)
            nodes.append(Node(Value(result, types[result]), op))
        value = replace(parts.input, meaning=None, source=None)
        whole = Program(name, "", (value,), tuple(consts.values()), tuple(nodes), parts.output)
        return verify(whole)
    except (McugenError, ValueError, IndexError):
        return None


def _needed(parts: Parts) -> list[tuple[str, ops.Op]]:
    wanted, kept = {parts.output}, []
    for result, op in reversed(parts.nodes):
        if result in wanted and result != parts.input.name:
            wanted.update(op.operands)
            kept.append((result, op))
    return kept[::-1]


def _fitted(
    op: ops.Op,
    types: dict[str, TensorType],
    pool: dict[str, Const],
    consts: dict[str, Const],
) -> ops.Op:
    """`op` on constants of its own, cut to its operand; they join `consts`."""
    if isinstance(op, ops.Reshape):
        return _reshaped(op, types[op.x].size)
    names = {}
    for ref in op.operands:
        if ref in pool:
            old = pool[ref]
            data = _cut(op, ref, old, types[op.operands[0]])
            new = constant(f"c{len(consts)}", data, _element(old, data))
            names[ref] = new.name
            consts[new.name] = new
    if isinstance(op, ops.Conv2d) and op.groups > 1:
        op = replace(op, groups=types[op.x].channels)
    return op.renamed(names)


def _element(old: Const, data: np.ndarray) -> Int | Planes:
    element = old.type.element
    if isinstance(element, Int):
        lo, hi = min(element.lo, int(data.min())), max(element.hi, int(data.max()))
        return replace(element, lo=lo, hi=hi)
    return element


def _reshaped(op: ops.Reshape, size: int) -> ops.Reshape:
    if np.prod(op.shape) == size:
        return op
    return replace(op, shape=(*(1 for _ in op.shape[:-1]), size))


def _cut(op: ops.Op, ref: str, const: Const, x: TensorType) -> np.ndarray:
    """The leading part of a constant that fits operand `x` of `op`."""
    data = const.data
    if isinstance(op, ops.Conv2d):
        if op.groups == 1:
            return data[..., : x.channels]
        multiple = data.shape[-4] // op.groups
        return data[..., : x.channels * multiple, :, :, :1]
    if isinstance(op, ops.Linear):
        return data[..., : x.size]
    if isinstance(op, ops.Lookup):
        data = data[:, : x.integer.levels]
    return data[: x.channels] if len(data) > 1 else data
