"""Fusing: a program becomes an ordered list of steps, one call each in the emitted code.

%1 = conv2d %x, @w : i32[...]          one step: conv2d + threshold, which reads %x and
%2 = threshold %1, @t, @d : u4[...]    stores %2; the accumulators %1 never reach memory
%3 = reshape %2 : u4[...]              no step: %3 is another name for %2
%4 = state_write %2, %s : u4[...]      a step that stores to %s, the last of all
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.ir.ops import Env
from mcugen.ir.program import Node, Program
from mcugen.kernels.step import Port, Step, port

#: Main ops, whose results are accumulators that an epilogue may consume on the spot.
_ACCUMULATE = (ops.Conv2d, ops.TransposeConv2d, ops.Linear, ops.SumPool, ops.Add, ops.Mul)
_EPILOGUES = (ops.Requantize, ops.Rescale, ops.Threshold, ops.Lookup)


@dataclass(frozen=True)
class Fused:
    """The steps of a program, and the value in memory behind each name."""

    steps: tuple[Step, ...]
    roots: Mapping[str, str]
    states: tuple[str, ...]
    """Roots that lie in memory of their own, from run to run."""

    def writes(self, step: Step) -> str | None:
        """The state that `step` replaces."""
        root = self.roots[step.output.name]
        return root if root in self.states else None


def fuse(program: Program) -> Fused:
    """The steps of a verified `program`, in its order.

    An epilogue joins the op before it where it alone reads that op's result. Reshaped values share
    the memory of what they were reshaped from. States are written when nobody reads them any more.
    """
    producers = {node.result.name: node for node in program.nodes}
    users = program.users()
    steps: list[Step] = []
    states = tuple(state.value.name for state in program.states)
    roots = {name: name for name in (*states, *(value.name for value in program.inputs))}
    fused_into = {
        node.result.name: reader
        for node in program.nodes
        if (reader := _fusible(program, node, users.get(node.result.name, []))) is not None
    }
    for node in program.nodes:
        name = node.result.name
        if name in fused_into:
            continue
        if isinstance(node.op, ops.Reshape):
            roots[name] = roots[node.op.x]
            continue
        roots[name] = node.op.state if isinstance(node.op, ops.StateWrite) else name
        if isinstance(node.op, _EPILOGUES):
            main = producers[node.op.x] if node.op.x in fused_into else None
            steps.append(_step(main, node, program.env))
        else:
            steps.append(_step(node, None, program.env))
    steps.sort(key=lambda step: step.main_is(ops.StateWrite))
    return Fused(tuple(steps), roots, states)


def _fusible(program: Program, node: Node, readers: list[Node]) -> Node | None:
    """The epilogue that `node` fuses with, if there is one."""
    if not isinstance(node.op, _ACCUMULATE) or node.result.name == program.output:
        return None
    if len(readers) != 1 or not isinstance(readers[0].op, _EPILOGUES):
        return None
    return readers[0]


def _step(main: Node | None, epilogue: Node | None, env: Env) -> Step:
    first, last = main or epilogue, epilogue or main
    assert first is not None
    assert last is not None
    accumulator = main.result.type if main else env.type(first.op.operands[0])
    return Step(
        main=main,
        epilogue=epilogue,
        inputs=_inputs(first.op, env),
        accumulator=accumulator,
        output=port(last.result.name, last.result.type),
        env=env,
    )


def _inputs(op: ops.Op, env: Env) -> tuple[Port, ...]:
    refs = (op.x,) if isinstance(op, ops.StateWrite) else op.operands
    return tuple(port(ref, env.type(ref)) for ref in refs if ref not in env.constants)
