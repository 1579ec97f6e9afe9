"""How activations on a basis lie in memory: decided by who reads them, before lowering begins."""

from collections.abc import Iterator
from dataclasses import dataclass

from mcugen.frontend.graph import ExportedGraph, GraphNode, Ref

#: Ops without effect on a frozen network.
IDENTITIES = (
    "aten.dropout.default",
    "aten.dropout_.default",
    "aten.feature_dropout.default",
    "aten.alias.default",
    "aten.clone.default",
    "aten.contiguous.default",
    "aten.detach.default",
    "aten.detach_.default",
    "aten.lift_fresh_copy.default",
    "aten.to.dtype",
    "aten.to.dtype_layout",
    "aten._to_copy.default",
)
_BASIS = "mcugen.quantize_basis.default"
_THROUGH = frozenset((*IDENTITIES, "aten.max_pool2d.default"))
_FLATTEN = frozenset(("aten.flatten.using_ints", "aten.view.default", "aten.reshape.default"))
_CONVOLUTIONS = frozenset(("aten.conv2d.default", "aten.conv2d.padding"))
_DENSE = _CONVOLUTIONS | {"aten.linear.default"}


@dataclass(frozen=True)
class Packing:
    """What the readers of one activation ask for."""

    planes: bool = False
    """It stays in bit planes: only layers with weights on a basis read it."""
    padded: bool = False
    """A convolution pads it with zeros, so that 0 must be a value of the integers."""


def packing(graph: ExportedGraph) -> dict[str, Packing]:
    """The packing of every activation on a basis, by the name of its quantizer's output."""
    makers = {output: node for node in graph.nodes for output in node.outputs}
    users: dict[str, list[GraphNode]] = {}
    for node in graph.nodes:
        for ref in node.reads:
            users.setdefault(ref, []).append(node)

    def readers(name: str) -> Iterator[tuple[str, GraphNode]]:
        """Who reads `name`, behind ops that bit planes pass through unchanged."""
        for user in users.get(name, []):
            result = user.outputs[0] if user.outputs else ""
            flat = user.target in _FLATTEN and len(graph.metas[result].shape) == 2
            if user.target in _THROUGH or flat:
                yield from readers(result)
            else:
                yield name, user

    def takes_planes(name: str, reader: GraphNode) -> bool:
        weight = reader.arguments.get("weight")
        maker = makers.get(weight.name) if isinstance(weight, Ref) else None
        dense = reader.target in _DENSE and reader.arguments.get("input") == Ref(name)
        return dense and maker is not None and maker.target == _BASIS

    found = {}
    for node in graph.nodes:
        if node.target == _BASIS:
            reading = list(readers(node.outputs[0]))
            found[node.outputs[0]] = Packing(
                planes=bool(reading) and all(takes_planes(*pair) for pair in reading),
                padded=any(_pads(reader) for _, reader in reading),
            )
    return found


def _pads(reader: GraphNode) -> bool:
    padding = reader.arguments.get("padding", 0)
    values = padding if isinstance(padding, tuple) else (padding,)
    return reader.target in _CONVOLUTIONS and any(value not in (0, "valid") for value in values)
