"""Programs that keep something from run to run."""

from dataclasses import replace

import numpy as np

from mcugen.ir import Int, Node, Program, State, TensorType, Value, constant, ops, verify
from mcugen.ir.types import accumulator, spanning

I8 = Int(8, True, -128, 127)


def recurrent(seed: int = 0, inputs: int = 5, units: int = 7) -> Program:
    """h = clamp((W·x + R·h) / 8); y adds what a window of the last three x gives."""
    rng = np.random.default_rng(seed)
    writer = _Writer(TensorType((1, inputs), I8))
    writer.state("%h", TensorType((1, units), I8), int(rng.integers(-128, 128)))
    writer.state("%last", TensorType((1, 2, 1, inputs), I8), int(rng.integers(-3, 4)))
    w, r = (
        writer.const(name, rng.integers(-9, 10, (units, depth)), spanning(-9, 9))
        for name, depth in (("w", inputs), ("r", units))
    )
    total = writer.add(ops.Add(writer.add(ops.Linear("%x", w)), writer.add(ops.Linear("%h", r))))
    hidden = writer.requantize(total, 3)
    now = writer.add(ops.Reshape("%x", shape=(1, 1, 1, inputs)))
    window = writer.add(ops.Concat(("%last", now), axis=1))
    rows = rng.integers(-9, 10, (units, 3, 1, inputs))
    seen = writer.add(ops.Conv2d(window, writer.const("seen", rows, spanning(-9, 9))))
    flat = writer.requantize(writer.add(ops.Reshape(seen, shape=(1, units))), 4)
    writer.add(ops.StateWrite(hidden, "%h"))
    writer.add(ops.StateWrite(writer.add(ops.Slice(window, axis=1, begin=1, end=3)), "%last"))
    return writer.program(writer.add(ops.Add(hidden, flat)))


class _Writer:
    """Appends nodes to a program with states."""

    def __init__(self, kind: TensorType) -> None:
        self._bare = Program("recurrent", "", (Value("%x", kind),), (), (), "%x")

    def state(self, name: str, kind: TensorType, initial: int) -> None:
        states = (*self._bare.states, State(Value(name, kind), initial))
        self._bare = replace(self._bare, states=states)

    def const(self, name: str, data: np.ndarray, element: Int) -> str:
        made = constant(name, data, element)
        self._bare = replace(self._bare, consts=(*self._bare.consts, made))
        return made.name

    def add(self, op: ops.Op) -> str:
        name = f"%{len(self._bare.nodes)}"
        node = Node(Value(name, op.infer(self._bare.env)), op)
        self._bare = replace(self._bare, nodes=(*self._bare.nodes, node))
        return name

    def requantize(self, x: str, shift: int) -> str:
        names = [
            self.const(f"{x[1:]}.{role}", np.array([value]), accumulator(0, 2**16))
            for role, value in (("one", 1), ("half", 1 << shift >> 1))
        ]
        return self.add(ops.Requantize(x, *names, shift=shift, lo=-128, hi=127))

    def program(self, output: str) -> Program:
        return verify(replace(self._bare, output=output))
