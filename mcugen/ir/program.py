"""The integer program: constants, inputs, states, nodes in execution order, one output.

References are spelled as in the text form: `%name` a value, `@name` a constant.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from mcugen.errors import fail
from mcugen.ir.ops import Env, Op, StateWrite
from mcugen.ir.types import Element, Int, Planes, TensorType

Array = np.ndarray


@dataclass(frozen=True)
class Meaning:
    """What an integer stands for: real = scale · (q − zero) + offset, per tensor or per channel.

    For bit planes q is the value Σ basis·e. Metadata for checks and reports: never arithmetic.
    """

    scale: tuple[float, ...]
    zero: int = 0
    offset: tuple[float, ...] = (0.0,)


@dataclass(frozen=True)
class Source:
    """Where in the user's model a value came from."""

    node: str
    module: str = ""
    at: str = ""
    """File and line, as in `lenet.py:14`."""

    def __str__(self) -> str:
        return ", ".join(part for part in (self.module or self.node, self.at) if part)


@dataclass(frozen=True)
class Value:
    """A tensor computed at run time."""

    name: str
    type: TensorType
    meaning: Meaning | None = None
    source: Source | None = None


@dataclass(frozen=True)
class State:
    """A tensor kept from run to run; nodes read it like an input, one `state_write` replaces it."""

    value: Value
    initial: int
    """What each element holds before the first run, and after a reset."""


@dataclass(frozen=True, eq=False)
class Const:
    """A constant tensor.

    Bit planes have the plane as their first axis and rows as the next; plane j of row r holds ±B_rj
    (the row's basis), so that the sum over planes is the row's values.
    """

    name: str
    type: TensorType
    data: Array

    def __post_init__(self) -> None:
        element = self.type.element
        shape = self.type.shape if isinstance(element, Int) else (element.count, *self.type.shape)
        if self.data.shape != shape:
            raise fail(
                "ir", f"constant {self.name} has shape {list(self.data.shape)}", want=f"{shape}"
            )
        if isinstance(element, Int):
            low, high = int(self.data.min()), int(self.data.max())
            if low < element.lo or high > element.hi:
                raise fail(
                    "ir",
                    f"constant {self.name} leaves its interval",
                    got=f"[{low}..{high}]",
                    want=f"[{element.lo}..{element.hi}]",
                )
        else:
            sizes = np.abs(self.data).reshape(*self.data.shape[:2], -1)
            if (sizes != sizes[..., :1]).any():
                raise fail("ir", f"constant {self.name} has a row whose plane is not ±one number")
            if (sizes[..., 0].max(axis=1) > np.array(element.basis)).any():
                raise fail("ir", f"constant {self.name} leaves {element.spelling}")
        self.data.setflags(write=False)

    @property
    def digest(self) -> str:
        """SHA-256 of type and values, independent of the host's byte order."""
        payload = str(self.type).encode() + b"\0" + self.data.astype("<i8").tobytes()
        return hashlib.sha256(payload).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self.name == other.name and self.digest == other.digest

    def __hash__(self) -> int:
        return hash((self.name, self.type))


def constant(name: str, data: Array, element: Element) -> Const:
    """A constant named `@name`; `data` includes the plane axis when `element` is `Planes`."""
    shape = data.shape[1:] if isinstance(element, Planes) else data.shape
    data = np.ascontiguousarray(data, np.int64).copy()
    return Const(f"@{name}", TensorType(shape, element), data)


@dataclass(frozen=True)
class Node:
    """One operation and the value it defines."""

    result: Value
    op: Op


@dataclass(frozen=True)
class Program:
    """A whole model in integers."""

    name: str
    sha256: str
    """SHA-256 of the model file it was lowered from; empty where there is none."""
    inputs: tuple[Value, ...]
    consts: tuple[Const, ...]
    nodes: tuple[Node, ...]
    output: str
    output_function: str | None = None
    """Order-preserving function of the last layer that was left out (softmax, log_softmax)."""
    states: tuple[State, ...] = ()
    _env: Env = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        types = {value.name: value.type for value in self.inputs}
        types |= {state.value.name: state.value.type for state in self.states}
        types |= {const.name: const.type for const in self.consts}
        types |= {node.result.name: node.result.type for node in self.nodes}
        data: Mapping[str, Array] = {const.name: const.data for const in self.consts}
        object.__setattr__(self, "_env", Env(types, data))

    @property
    def env(self) -> Env:
        """Types of all names and data of the constants."""
        return self._env

    @property
    def values(self) -> dict[str, Value]:
        """Inputs, states and results by name."""
        states = (state.value for state in self.states)
        results = (node.result for node in self.nodes)
        return {value.name: value for value in (*self.inputs, *states, *results)}

    @property
    def wanted(self) -> frozenset[str]:
        """What a run computes all others for: the output, and what states become."""
        writes = (n.result.name for n in self.nodes if isinstance(n.op, StateWrite))
        return frozenset((self.output, *writes))

    def users(self) -> dict[str, list[Node]]:
        """The nodes that read each name, in order."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for ref in dict.fromkeys(node.op.operands):
                found.setdefault(ref, []).append(node)
        return found

    def with_nodes(
        self, nodes: tuple[Node, ...], consts: tuple[Const, ...] | None = None
    ) -> "Program":
        """The same program with other nodes, and only the constants that they still read."""
        read = {ref for node in nodes for ref in node.op.operands}
        pool = self.consts if consts is None else consts
        kept = tuple(const for const in pool if const.name in read)
        return replace(self, nodes=nodes, consts=kept)
