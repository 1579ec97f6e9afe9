"""Small programs written by hand in tests."""

import numpy as np

from mcugen.ir import Int, Node, Planes, Program, Source, TensorType, Value, ops, verify
from mcugen.ir.program import Const, Meaning, constant


class Builder:
    """Appends nodes to a program with one input, `x`."""

    def __init__(self, kind: TensorType, meaning: Meaning | None = None) -> None:
        self.x = "%x"
        self._input = Value(self.x, kind, meaning)
        self._consts: list[Const] = []
        self._nodes: list[Node] = []

    def const(self, data: np.ndarray, element: Int | Planes) -> str:
        self._consts.append(constant(f"c{len(self._consts)}", np.asarray(data), element))
        return self._consts[-1].name

    def codes(self, shape: tuple[int, ...], seed: int = 0) -> str:
        """Random codes of bit planes ±1, ±2, ±4 …; the plane is the first axis."""
        basis = 2 ** np.arange(shape[0])
        data = np.random.default_rng(seed).choice([-1, 1], shape)
        data *= basis.reshape(-1, *[1] * (len(shape) - 1))
        return self.const(data, Planes(tuple(basis.tolist())))

    def op(self, op: ops.Op, source: Source | None = None, meaning: Meaning | None = None) -> str:
        name = f"%{len(self._nodes)}"
        kind = op.infer(self.program(self.x).env)
        self._nodes.append(Node(Value(name, kind, meaning, source), op))
        return name

    def program(self, output: str) -> Program:
        """What was written so far, unverified."""
        nodes, consts = tuple(self._nodes), tuple(self._consts)
        return Program("built", "", (self._input,), consts, nodes, output)

    def done(self, output: str) -> Program:
        return verify(self.program(output))
