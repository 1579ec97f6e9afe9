"""In-place operations read as ordinary ones: from `relu_(x)` on, its result stands for x.

Export keeps the underscore ops of the model. Whoever reads the graph after this module may take
every node for a pure function of its arguments.
"""

from dataclasses import replace

from mcugen.errors import Fault, McugenError
from mcugen.frontend.archive_zip import STAGE
from mcugen.frontend.graph import Argument, GraphNode, Ref

#: Operations whose result shares memory with their argument, or may.
_VIEWS = frozenset(
    {
        "alias",
        "chunk",
        "contiguous",
        "detach",
        "detach_",
        "diagonal",
        "dropout",
        "expand",
        "expand_as",
        "flatten",
        "narrow",
        "permute",
        "reshape",
        "reshape_as",
        "select",
        "slice",
        "split",
        "split_with_sizes",
        "squeeze",
        "swapaxes",
        "t",
        "to",
        "transpose",
        "unbind",
        "unflatten",
        "unfold",
        "unsqueeze",
        "view",
        "view_as",
    }
)


def refs(argument: Argument) -> tuple[str, ...]:
    """The tensors an argument refers to."""
    if isinstance(argument, Ref):
        return (argument.name,)
    if isinstance(argument, tuple):
        return tuple(name for item in argument for name in refs(item))
    return ()


def without_overwriting(
    nodes: tuple[GraphNode, ...], outputs: tuple[str, ...], state: dict[str, str], file: str
) -> tuple[tuple[GraphNode, ...], tuple[str, ...]]:
    """Nodes and outputs where every use of an overwritten tensor reads its newest value instead.

    `state` maps parameters, buffers and inputs to what messages call them.

    Raises:
        McugenError: a node overwrites one of those, or a tensor that another one shares memory with
            and that is still used.
    """
    last_use = _last_uses(nodes, outputs)
    newest: dict[str, str] = {}
    shares = {name: {name} for name in state}
    faults: list[Fault] = []
    found: list[GraphNode] = []
    for index, node in enumerate(nodes):
        arguments = {key: _renamed(value, newest) for key, value in node.arguments.items()}
        found.append(replace(node, arguments=arguments))
        operation = node.target.split(".")[1]
        written = node.arguments.get("self", node.arguments.get("input"))
        writes = operation.endswith("_") and not operation.endswith("__")
        if not isinstance(written, Ref) or not (writes or operation in _VIEWS):
            shares |= {name: {name} for name in node.outputs}
            continue
        group = shares[written.name]
        if writes and operation not in _VIEWS:
            current = _newest(written.name, newest)
            later = [name for name in group if last_use.get(name, -1) > index]
            others = [name for name in later if _newest(name, newest) != current]
            if fault := _fault(node, state, group, others, file):
                faults.append(fault)
            if node.outputs:
                newest[current] = node.outputs[0]
        group.update(node.outputs)
        shares |= dict.fromkeys(node.outputs, group)
    if faults:
        raise McugenError(STAGE, faults)
    return tuple(found), tuple(_newest(name, newest) for name in outputs)


def _last_uses(nodes: tuple[GraphNode, ...], outputs: tuple[str, ...]) -> dict[str, int]:
    uses = {
        name: index
        for index, node in enumerate(nodes)
        for argument in node.arguments.values()
        for name in refs(argument)
    }
    return uses | dict.fromkeys(outputs, len(nodes))


def _fault(
    node: GraphNode, state: dict[str, str], group: set[str], others: list[str], file: str
) -> Fault | None:
    overwritten = sorted(state[name] for name in group if name in state)
    if overwritten:
        what, got = "a node overwrites the model's state or input", ", ".join(overwritten)
    elif others:
        what, got = "a node overwrites a tensor that is still used", ", ".join(sorted(others))
    else:
        return None
    return Fault(
        what,
        at=f"{file}: {node.source}, node {node.source.node}",
        got=f"{node.target} on {got}",
        help="call model.eval() before the export, or use the operation without the underscore",
    )


def _newest(name: str, newest: dict[str, str]) -> str:
    path = []
    while name in newest:
        path.append(name)
        name = newest[name]
    newest |= dict.fromkeys(path, name)
    return name


def _renamed(argument: Argument, newest: dict[str, str]) -> Argument:
    if isinstance(argument, Ref):
        return Ref(_newest(argument.name, newest))
    if isinstance(argument, tuple):
        return tuple(_renamed(item, newest) for item in argument)
    return argument
