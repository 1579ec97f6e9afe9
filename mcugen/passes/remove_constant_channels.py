"""Remove channels of bit planes that never change, with the weights that made them.

    %1 = linear %x, @w                       %1 = linear %x, @w'      # rows of the others
    %2 = threshold %1, @t, @d {basis}   →    %2 = threshold %1, @t', @d {basis}
    %3 = linear %2, @v                       %3 = linear %2, @v'      # columns of the others
    %4 = threshold %3, @u, @e                %4 = threshold %3, @u', @e

where no accumulator of a channel of %1 can pass a threshold of its row, or none can fail it: the
channel's code is a constant, whose products with @v are taken out of @u.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mcugen.ir.ops import Conv2d, Linear, MaxPool, Op, Requantize, Threshold
from mcugen.ir.program import Const, Node, Program, constant
from mcugen.ir.types import INT32_MAX, INT32_MIN, Element, Int, Planes, accumulator
from mcugen.passes.retype import retyped


def remove_constant_channels(program: Program) -> Program:
    """The program without channels of bit planes that are the same for every input."""
    for name in [node.result.name for node in program.nodes if isinstance(node.op, Threshold)]:
        program = _removed(program, name)
    return program


@dataclass(frozen=True)
class _Reader:
    """A dense layer that reads the planes, and the epilogue that alone reads its accumulators."""

    dense: Node
    epilogue: Node


@dataclass(frozen=True, eq=False)
class _Constants:
    """Which channels stay, and the value of each that does not (0 for the others)."""

    kept: np.ndarray
    value: np.ndarray


def _removed(program: Program, name: str) -> Program:
    makers = {node.result.name: node for node in program.nodes}
    node = makers[name]
    producer = makers.get(node.op.operands[0])
    passed = list(_behind_pools(program, name))
    readers = [_reader(program, user) for value in passed for user in _dense_users(program, value)]
    if producer is None or None in readers or program.output in passed:
        return program
    if not _can_lose_rows(program, producer, node):
        return program
    found = _constants(program, producer, node)
    if found.kept.all():
        return program
    edits = _Edits(program)
    _narrow_producer(edits, producer, node, found.kept)
    for reader in readers:
        assert reader is not None
        _narrow_reader(edits, reader, found)
    # Reports compare values with PyTorch's tensors, which have all channels: these no longer can.
    silent = {producer.result.name, *passed}
    nodes = tuple(
        Node(replace(n.result, meaning=None), edits.ops.get(n.result.name, n.op))
        if n.result.name in silent
        else Node(n.result, edits.ops.get(n.result.name, n.op))
        for n in program.nodes
    )
    return retyped(program.with_nodes(nodes, (*program.consts, *edits.consts)))


class _Edits:
    """New constants, and the ops that read them."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.consts: list[Const] = []
        self.ops: dict[str, Op] = {}

    def data(self, ref: str) -> np.ndarray:
        return self._program.env.data(ref)

    def element(self, ref: str) -> Element:
        return self._program.env.type(ref).element

    def replace(self, node: Node, ref: str, data: np.ndarray, element: Element) -> None:
        """`data` in the place of the constant `ref` of `node`."""
        taken = {c.name for c in (*self._program.consts, *self.consts)}
        name = ref
        while name in taken:
            name += ".kept"
        self.consts.append(constant(name[1:], data, element))
        op = self.ops.get(node.result.name, node.op)
        self.ops[node.result.name] = op.renamed({ref: name})


def _behind_pools(program: Program, name: str) -> Iterator[str]:
    """`name`, and what max pools make of it."""
    yield name
    for user in program.users().get(name, []):
        if isinstance(user.op, MaxPool):
            yield from _behind_pools(program, user.result.name)


def _dense_users(program: Program, name: str) -> Iterator[Node]:
    return (user for user in program.users().get(name, []) if not isinstance(user.op, MaxPool))


def _reader(program: Program, dense: Node) -> _Reader | None:
    """`dense` with its epilogue, where a constant in its sums can move into the epilogue."""
    users = program.users()
    behind = users.get(dense.result.name, [])
    padded = isinstance(dense.op, Conv2d) and (any(dense.op.padding) or dense.op.groups > 1)
    if not isinstance(dense.op, Conv2d | Linear) or padded or len(behind) != 1:
        return None
    if not isinstance(behind[0].op, Threshold | Requantize) or program.output == dense.result.name:
        return None
    return _Reader(dense, behind[0])


def _can_lose_rows(program: Program, producer: Node, node: Node) -> bool:
    """Rows of `producer` are outputs of one dense op that only the threshold `node` reads."""
    op = node.op
    assert isinstance(op, Threshold)
    dense = isinstance(producer.op, Linear) or (
        isinstance(producer.op, Conv2d) and producer.op.groups == 1
    )
    alone = len(program.users()[producer.result.name]) == 1
    rising = bool((program.env.data(op.direction) == 1).all())
    unread = producer.result.name != program.output
    return dense and alone and rising and unread and bool(op.basis)


def _constants(program: Program, producer: Node, node: Node) -> _Constants:
    """At least one channel stays."""
    assert isinstance(producer.op, Conv2d | Linear)
    assert isinstance(node.op, Threshold)
    planes = Planes(node.op.basis)
    table = program.env.data(node.op.table)
    ends = [(end[:, None] >= table).sum(axis=1) for end in producer.op.products(program.env).bounds]
    kept = ends[0] != ends[1]
    kept[0] |= not kept.any()
    bits = planes.ranked[ends[0]][:, None] >> np.arange(planes.count) & 1
    return _Constants(kept, np.where(kept, 0, (2 * bits - 1) @ np.array(planes.basis)))


def _narrow_producer(edits: _Edits, producer: Node, node: Node, kept: np.ndarray) -> None:
    assert isinstance(producer.op, Conv2d | Linear)
    assert isinstance(node.op, Threshold)
    data, element = edits.data(producer.op.w), edits.element(producer.op.w)
    rows = np.compress(kept, data, axis=1 if isinstance(element, Planes) else 0)
    edits.replace(producer, producer.op.w, rows, element)
    table = edits.data(node.op.table)
    if len(table) > 1:
        edits.replace(node, node.op.table, table[kept], accumulator(*_ends(table)))
    direction = edits.data(node.op.direction)
    if len(direction) > 1:
        edits.replace(node, node.op.direction, direction[:1], Int(1, False, 1, 1))


def _narrow_reader(edits: _Edits, reader: _Reader, found: _Constants) -> None:
    """Columns of the channels that stay; what the others add joins the epilogue."""
    op = reader.dense.op
    assert isinstance(op, Conv2d | Linear)
    data, element = edits.data(op.w), edits.element(op.w)
    apart = data.reshape(*data.shape[: -1 if isinstance(op, Conv2d) else 2], -1, len(found.kept))
    whole = apart.sum(axis=0)
    gone = ~found.kept
    values = found.value[gone] - op.x_zero
    added = (whole[..., gone] * values).reshape(len(whole), -1).sum(axis=1)
    left = apart[..., found.kept]
    shape = (*data.shape[:-1], left.shape[-1]) if isinstance(op, Conv2d) else (*data.shape[:2], -1)
    edits.replace(reader.dense, op.w, left.reshape(shape), element)
    _shift(edits, reader.epilogue, added)


def _shift(edits: _Edits, node: Node, added: np.ndarray) -> None:
    """The epilogue for accumulators that lack `added` [channels]."""
    op = node.op
    if isinstance(op, Threshold):
        table, direction = edits.data(op.table), edits.data(op.direction)
        moved = np.clip(table - (direction * added)[:, None], INT32_MIN + 1, INT32_MAX)
        edits.replace(node, op.table, moved, accumulator(*_ends(moved)))
        return
    assert isinstance(op, Requantize)
    bias = edits.data(op.bias) + edits.data(op.multiplier) * added
    edits.replace(node, op.bias, bias, Int(64, True, *_ends(bias)))


def _ends(data: np.ndarray) -> tuple[int, int]:
    return int(data.min()), int(data.max())
