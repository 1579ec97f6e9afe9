"""Nodes of an exported graph, out of `models/*.json`.

What breaks the format raises at once; what is merely not supported is collected, so that a user
sees all of it together.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mcugen.errors import Fault
from mcugen.frontend.archive_json import Field
from mcugen.frontend.archive_source import read_source
from mcugen.frontend.archive_tensors import Symbolic, read_dtype, read_meta
from mcugen.frontend.graph import Argument, GraphNode, Meta, Ref
from mcugen.ir.program import Source

MAX_NODES = 4_000
MAX_VALUES = 50_000
MAX_ITEMS = 10_000
_SHOWN_SYMBOLS = 3

_TARGET = re.compile(r"torch\.ops\.(\w+)\.(\w+)\.(\w+)", re.ASCII)
_MEMORY_FORMATS = {
    1: "contiguous_format",
    2: "channels_last",
    3: "channels_last_3d",
    4: "preserve_format",
}
_LAYOUTS = {7: "strided"}
_CHECK = "aten._assert_tensor_metadata.default"
_SCALAR_TARGETS = ("aten.item.default", "aten._local_scalar_dense.default")


@dataclass
class Notes:
    """What a graph has that mcugen does not support."""

    file: str
    faults: list[Fault] = field(default_factory=list)
    symbols: list[str] = field(default_factory=list)
    """Values that depend on a size left open, as in `x [?, 1, 28, 28]`."""
    scalars: set[str] = field(default_factory=set)
    """Numbers taken out of tensors, which have their own fault."""

    def symbol(self, text: str) -> None:
        """Note a value that depends on a size left open."""
        if text not in self.scalars:
            self.symbols.append(text)

    def node(self, what: str, source: Source, got: str, help: str | None = None) -> None:
        """Note a node that is not supported."""
        where = str(source) if source.at else f"{source}, node {source.node}"
        self.faults.append(Fault(what, at=f"{self.file}: {where}", got=got, help=help))

    def all(self) -> list[Fault]:
        """Every fault, with one for all open sizes together."""
        if not self.symbols:
            return self.faults
        more = len(self.symbols) - _SHOWN_SYMBOLS
        got = ", ".join(self.symbols[:_SHOWN_SYMBOLS]) + (f" and {more} more" if more > 0 else "")
        advice = "export with a fixed batch of 1 and without dynamic_shapes"
        dynamic = Fault("the model has dynamic shapes", at=self.file, got=got, help=advice)
        return [dynamic, *self.faults]


def read_metas(values: Field, notes: Notes) -> dict[str, Meta]:
    """Shapes and types of all tensors; open sizes are noted, the tensor is left out."""
    metas: dict[str, Meta] = {}
    for name, value in values.items(MAX_VALUES):
        meta = read_meta(value)
        if isinstance(meta, Symbolic):
            notes.symbol(f"{name} {meta}")
        else:
            metas[name] = meta
    return metas


def read_nodes(nodes: Field, notes: Notes) -> tuple[GraphNode, ...]:
    """All nodes in the archive's order, without the exporter's own checks of types."""
    found = (_node(node, index, notes) for index, node in enumerate(nodes.list(MAX_NODES)))
    return tuple(node for node in found if node.target != _CHECK)


def _node(node: Field, index: int, notes: Notes) -> GraphNode:
    given = node.get("name")
    metadata = {key: value.prose() for key, value in node["metadata"].items(64)}
    source = read_source(given.identifier() if given else f"node_{index}", metadata)
    target = _target(node["target"].text(), source, notes)
    if target is None:
        return GraphNode("", (), {}, source)
    outputs = tuple(name for output in node["outputs"].list(64) for name in _names(output, notes))
    arguments: dict[str, Argument] = {}
    for pair in node["inputs"].list(256):
        key = pair["name"].text()
        if key in arguments:
            raise pair.wrong(f"argument {key} is given twice")
        arguments[key] = _Arguments(source, notes).read(pair["arg"])
    return GraphNode(target, outputs, arguments, source)


def _target(text: str, source: Source, notes: Notes) -> str | None:
    """`aten.conv2d.default` for `torch.ops.aten.conv2d.default`; None where it is no operator."""
    if text.startswith("torch.ops.higher_order."):
        advice = "write forward without cond, map, loops over tensors and autograd contexts"
        notes.node("control flow inside the graph is not supported", source, text, advice)
    elif not (match := _TARGET.fullmatch(text)):
        notes.node("an operation is no PyTorch operator", source, text)
    else:
        target = ".".join(match.groups())
        if target in _SCALAR_TARGETS:
            notes.scalars.add(source.node)
            advice = "keep the value a tensor, or make it a constant before the export"
            notes.node("a number is taken out of a tensor", source, target, advice)
        return target
    return None


def _names(output: Field, notes: Notes) -> Iterable[str]:
    """The tensors an output stands for."""
    tag, value = output.union()
    if tag == "as_tensor":
        return (value["name"].identifier(),)
    if tag == "as_tensors":
        return tuple(one["name"].identifier() for one in value.list(MAX_ITEMS))
    if tag.startswith("as_sym_"):
        notes.symbol(_symbol(value))
        return ()
    if tag == "as_none":
        return ()
    notes.faults.append(Fault("a node gives something else than a tensor", output.at, got=tag))
    return ()


def _symbol(value: Field) -> str:
    """How to name a symbolic argument."""
    name = value.get("as_name") if isinstance(value.value, dict) else None
    return name.text() if name else "a size that is computed"


class _Arguments:
    """Reads the arguments of one node."""

    def __init__(self, source: Source, notes: Notes) -> None:
        self._source = source
        self._notes = notes

    def read(self, argument: Field) -> Argument:
        """Any argument; what has no counterpart in a `GraphNode` is noted and given as None."""
        tag, value = argument.union()
        if tag in _SCALARS:
            return _SCALARS[tag](value)
        if tag in _LISTS:
            return tuple(_LISTS[tag](one) for one in value.list(MAX_ITEMS))
        if tag in ("as_optional_tensor", "as_sym_int", "as_sym_float", "as_sym_bool"):
            return self._nested(value)
        if tag in ("as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools"):
            return tuple(self._nested(one) for one in value.list(MAX_ITEMS))
        self._notes.node("an argument is of a kind mcugen does not know", self._source, tag)
        return None

    def _nested(self, value: Field) -> Argument:
        """A union inside a union: a constant, a tensor, nothing or a symbol."""
        tag, inner = value.union()
        if tag in _SCALARS:
            return _SCALARS[tag](inner)
        self._notes.symbol(_symbol(value))
        return None


def _none(value: Field) -> None:
    value.boolean()


def _ref(value: Field) -> Ref:
    return Ref(value["name"].identifier())


def _named(table: dict[int, str]) -> Callable[[Field], str]:
    def read(value: Field) -> str:
        code = value.integer()
        if code not in table:
            raise value.wrong("a code is not known", want=", ".join(table.values()))
        return table[code]

    return read


def _items(read: Callable[[Field], Argument]) -> Callable[[Field], Argument]:
    return lambda value: tuple(read(one) for one in value.list(MAX_ITEMS))


_SCALARS: dict[str, Callable[[Field], Argument]] = {
    "as_none": _none,
    "as_tensor": _ref,
    "as_int": Field.integer,
    "as_float": Field.number,
    "as_bool": Field.boolean,
    "as_string": Field.text,
    "as_scalar_type": read_dtype,
    "as_memory_format": _named(_MEMORY_FORMATS),
    "as_layout": _named(_LAYOUTS),
    "as_device": lambda value: value["type"].text(),
}
_LISTS: dict[str, Callable[[Field], Argument]] = {
    "as_tensors": _ref,
    "as_ints": Field.integer,
    "as_floats": Field.number,
    "as_bools": Field.boolean,
    "as_strings": Field.text,
    "as_int_lists": _items(Field.integer),
    "as_float_lists": _items(Field.number),
    "as_nested_tensors": _items(_ref),
}
