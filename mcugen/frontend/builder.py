"""The program under construction: what every frontend appends to."""

import re
from dataclasses import dataclass, field

import numpy as np

from mcugen.ir.ops import Env, Op
from mcugen.ir.program import Const, Meaning, Node, Source, State, Value, constant
from mcugen.ir.types import Int, Planes, TensorType


@dataclass
class Builder:
    """The program under construction; one place that names, types and appends."""

    types: dict[str, TensorType] = field(default_factory=dict)
    data: dict[str, np.ndarray] = field(default_factory=dict)
    consts: dict[str, Const] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

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

    def state(self, base: str, kind: TensorType, initial: int, source: Source) -> str:
        """The reference of a state that holds `initial` everywhere at first."""
        value = Value(f"%{self.fresh(base)}", kind, None, source)
        self.types[value.name] = kind
        self.states.append(State(value, initial))
        return value.name

    def add(self, op: Op, base: str, source: Source, meaning: Meaning | None = None) -> str:
        """Append `op` and return the name of its result."""
        value = Value(f"%{self.fresh(base)}", op.infer(self.env()), meaning, source)
        self.types[value.name] = value.type
        self.nodes.append(Node(value, op))
        return value.name

    def channels(self, ref: str) -> int:
        return self.types[ref].channels
