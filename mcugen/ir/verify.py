"""The verifier: run after every pass, before anything trusts a program."""

from mcugen.errors import Fault, McugenError
from mcugen.ir.ops import Reshape, StateWrite
from mcugen.ir.program import Node, Program


def verify(program: Program, after: str = "construction") -> Program:
    """`program` itself, if it is sound.

    Args:
        program: the program to check.
        after: the pass that made it, for the error.

    Raises:
        McugenError: every fault found: a name defined twice or read before its definition, a result
            whose type is not what its op infers, an accumulator that could overflow, a constant or
            value that nobody reads.
    """
    faults = [*_names(program), *_types(program), *_dead(program), *_states(program)]
    if faults:
        raise McugenError(f"verify after {after}", faults)
    return program


def _names(program: Program) -> list[Fault]:
    faults = []
    defined: set[str] = set()
    names = [v.name for v in program.inputs] + [c.name for c in program.consts]
    names += [state.value.name for state in program.states]
    for name in names:
        if name in defined:
            faults.append(Fault(f"{name} is defined twice"))
        defined.add(name)
    for node in program.nodes:
        faults += [
            Fault(f"{ref} is read before it is defined", at=_where(node))
            for ref in node.op.operands
            if ref not in defined
        ]
        if node.result.name in defined:
            faults.append(Fault(f"{node.result.name} is defined twice", at=_where(node)))
        defined.add(node.result.name)
    if program.output not in defined:
        faults.append(Fault(f"the output {program.output} is not defined"))
    return faults


def _types(program: Program) -> list[Fault]:
    faults = []
    for node in program.nodes:
        try:
            inferred = node.op.infer(program.env)
        except McugenError as error:
            faults += [
                Fault(f.what, at=_where(node), got=f.got, want=f.want, help=f.help)
                for f in error.faults
            ]
            continue
        if inferred != node.result.type:
            got, want = str(node.result.type), str(inferred)
            faults.append(
                Fault(f"{node.result.name} has another type than its op", _where(node), got, want)
            )
    return faults


def _dead(program: Program) -> list[Fault]:
    read = {ref for node in program.nodes for ref in node.op.operands} | program.wanted
    names = [c.name for c in program.consts] + [n.result.name for n in program.nodes]
    return [Fault(f"nothing reads {name}") for name in names if name not in read]


def _states(program: Program) -> list[Fault]:
    """States are written once, last, with something else than what lies in a state."""
    held = {state.value.name: state for state in program.states}
    writes = [(node, node.op) for node in program.nodes if isinstance(node.op, StateWrite)]
    alike = _alike(program)
    faults = [
        Fault(f"the state {name} begins outside of its interval", got=f"{state.initial}")
        for name, state in held.items()
        if not state.value.type.integer.lo <= state.initial <= state.value.type.integer.hi
    ]
    for node, op in writes:
        if op.state not in held:
            faults.append(Fault(f"{op.state} is not a state", _where(node)))
        if op.x in alike:
            faults.append(Fault(f"the state {op.state} becomes what a state holds", _where(node)))
    if program.output in alike:
        faults.append(Fault(f"the output {program.output} is what a state holds"))
    written = [op.state for _, op in writes]
    read = {ref for node in program.nodes for ref in node.op.operands}
    new = {node.result.name for node, _ in writes}
    faults += [Fault(f"{name} is read in the run that writes it") for name in sorted(new & read)]
    return faults + [
        Fault(f"the state {name} is written {written.count(name)} times", want="once")
        for name in held
        if written.count(name) != 1
    ]


def _alike(program: Program) -> set[str]:
    """States, and values that lie in their memory."""
    names = {state.value.name for state in program.states}
    for node in program.nodes:
        op = node.op
        if isinstance(op, StateWrite) or (isinstance(op, Reshape) and op.x in names):
            names.add(node.result.name)
    return names


def _where(node: Node) -> str:
    source = f" ({node.result.source})" if node.result.source else ""
    return f"{node.result.name} = {node.op.mnemonic}{source}"
