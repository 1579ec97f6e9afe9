"""Types again after a pass changed constants: every op says what its result now is."""

from dataclasses import replace

from mcugen.ir.ops import Env
from mcugen.ir.program import Node, Program


def retyped(program: Program) -> Program:
    """`program` with the types that its ops infer, from the input on."""
    types = {value.name: value.type for value in program.inputs}
    types |= {state.value.name: state.value.type for state in program.states}
    types |= {const.name: const.type for const in program.consts}
    env = Env(types, program.env.constants)
    nodes = []
    for node in program.nodes:
        types[node.result.name] = node.op.infer(env)
        nodes.append(Node(replace(node.result, type=types[node.result.name]), node.op))
    return replace(program, nodes=tuple(nodes))
