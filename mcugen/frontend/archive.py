"""Reads a `.pt2` archive of `torch.export.save` as data: zip, JSON and raw numbers.

Nothing of the archive is imported, unpickled, evaluated or written to disk; sample inputs and
native libraries inside are not even decompressed. PyTorch is not needed.
"""

import hashlib
from pathlib import Path

import numpy as np

from mcugen.errors import Fault, McugenError, fail
from mcugen.frontend.archive_graph import MAX_VALUES, Notes, read_metas, read_nodes
from mcugen.frontend.archive_inplace import refs, without_overwriting
from mcugen.frontend.archive_json import Field, read_json
from mcugen.frontend.archive_tensors import Payloads, finite_fault
from mcugen.frontend.archive_zip import STAGE, Container
from mcugen.frontend.files import read_file
from mcugen.frontend.graph import ExportedGraph, GraphNode, Meta

SCHEMA_MAJOR = 8
ARCHIVE_VERSION = "0"


def read_archive(path: Path) -> ExportedGraph:
    """The exported program in a `.pt2` file; every tensor name is defined once, before its use.

    Raises:
        McugenError: not a `.pt2`, damaged, beyond a limit, of a newer version, or a model with
            dynamic shapes, mutated state or control flow; all unsupported parts together.
    """
    data = read_file(path)
    container = Container(path.name, data)
    model = _model(container)
    document = read_json(container, f"models/{model}.json")
    _check_schema(document)
    notes = Notes(path.name)
    module = document["graph_module"]
    metas = read_metas(module["graph"]["tensor_values"], notes)
    nodes = read_nodes(module["graph"]["nodes"], notes)
    signature = _Signature(module["signature"], notes)
    if notes.all():
        raise McugenError(STAGE, notes.all())
    _check_order(nodes, signature, metas, container.at(f"models/{model}.json"))
    state = {name: signature.qualified.get(name, name) for name in signature.names}
    nodes, outputs = without_overwriting(nodes, tuple(signature.outputs), state, path.name)
    tensors = _load(container, model, signature, metas)
    return ExportedGraph(
        hashlib.sha256(data).hexdigest(),
        tuple(signature.inputs),
        outputs,
        nodes,
        tensors,
        metas,
        signature.qualified,
    )


def _model(container: Container) -> str:
    """The one model's name, once the archive has the right format, version and byte order."""
    for entry, want in (("archive_format", "pt2"), ("archive_version", ARCHIVE_VERSION)):
        got = container.text(entry)
        if got != want:
            raise fail(STAGE, f"{entry} is not supported", at=container.file, got=got, want=want)
    if "byteorder" in container.names and (order := container.text("byteorder")) != "little":
        raise fail(
            STAGE,
            "the archive was not written on a little-endian machine",
            at=container.at("byteorder"),
            got=order,
            want="little",
        )
    names = [
        name[len("models/") : -len(".json")]
        for name in container.names
        if name.startswith("models/") and name.endswith(".json")
    ]
    if len(names) != 1:
        what = "the archive holds several models" if names else "the archive holds no model"
        raise fail(
            STAGE,
            what,
            at=container.file,
            got=", ".join(names[:8]) or None,
            want="one entry models/*.json, as torch.export.save writes",
        )
    return names[0]


def _check_schema(document: Field) -> None:
    version = document["schema_version"]
    major, minor = version["major"].integer(), version["minor"].integer()
    if major != SCHEMA_MAJOR:
        torch = document.get("torch_version")
        by = f", written by PyTorch {torch.text()}" if torch else ""
        raise fail(
            STAGE,
            "the archive's schema version is not supported",
            at=version.at,
            got=f"{major}.{minor}{by}",
            want=f"{SCHEMA_MAJOR}.x",
            help="update mcugen" if major > SCHEMA_MAJOR else "export again with a newer PyTorch",
        )


class _Signature:
    """What the graph's inputs and outputs are."""

    def __init__(self, signature: Field, notes: Notes) -> None:
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.qualified: dict[str, str] = {}
        self.parameters: set[str] = set()
        for spec in signature["input_specs"].list(MAX_VALUES):
            self._input(spec, notes)
        for spec in signature["output_specs"].list(MAX_VALUES):
            self._output(spec, notes)

    @property
    def names(self) -> list[str]:
        """Every tensor that is there before the first node."""
        return [*self.qualified, *self.inputs]

    def _input(self, spec: Field, notes: Notes) -> None:
        tag, value = spec.union()
        if tag in ("parameter", "buffer", "tensor_constant"):
            name = self._define(value["arg"]["name"].identifier(), spec)
            self.qualified[name] = value[f"{tag}_name"].text()
            if tag == "parameter":
                self.parameters.add(name)
        elif tag == "user_input" and (given := _tensor(value["arg"])):
            self.inputs.append(self._define(given, spec))
        elif tag != "constant_input":  # constants of the call are already inside the nodes
            notes.faults.append(
                Fault(
                    f"an input of the model is not a tensor: {tag}",
                    at=spec.at,
                    help="export with tensors as the only arguments",
                )
            )

    def _define(self, name: str, spec: Field) -> str:
        if name in self.qualified or name in self.inputs:
            raise spec.wrong(f"tensor {name} is defined twice")
        return name

    def _output(self, spec: Field, notes: Notes) -> None:
        tag, value = spec.union()
        if tag == "user_output":
            if name := _tensor(value["arg"]):
                self.outputs.append(name)
            else:
                what = "an output of the model is not a tensor"
                notes.faults.append(Fault(what, at=spec.at, help="return one tensor from forward"))
            return
        changed = value.get("buffer_name") or value.get("user_input_name") or value.get("arg")
        what = f"the model does more than compute its outputs: {tag}"
        got = changed.value if changed and isinstance(changed.value, str) else None
        notes.faults.append(
            Fault(what, at=spec.at, got=got, help="call model.eval() before the export")
        )


def _tensor(argument: Field) -> str | None:
    tag, value = argument.union()
    return value["name"].identifier() if tag == "as_tensor" else None


def _check_order(
    nodes: tuple[GraphNode, ...], signature: _Signature, metas: dict[str, Meta], at: str
) -> None:
    """Every name is defined once, before its use, and has a shape."""
    defined = set(signature.names)
    for node in nodes:
        for name in (name for argument in node.arguments.values() for name in refs(argument)):
            if name not in defined:
                what = f"node {node.source.node} uses {name} before it is defined"
                raise fail(STAGE, what, at=at)
        for name in node.outputs:
            if name in defined:
                raise fail(STAGE, f"tensor {name} is defined twice", at=at)
            defined.add(name)
    for name in signature.outputs:
        if name not in defined:
            raise fail(STAGE, f"output {name} is not defined", at=at)
    for name in sorted(defined):
        if name not in metas:
            raise fail(STAGE, f"tensor {name} has no shape", at=f"{at}: tensor_values")


def _load(
    container: Container, model: str, signature: _Signature, metas: dict[str, Meta]
) -> dict[str, np.ndarray]:
    """Parameters, buffers and constants by their name in the graph."""
    pools = [Payloads(container, kind, model) for kind in ("weights", "constants")]
    tensors: dict[str, np.ndarray] = {}
    faults: list[Fault] = []
    for name, qualified in signature.qualified.items():
        pool = next((pool for pool in pools if qualified in pool), None)
        at = container.at(f"models/{model}.json: tensor_values.{name}")
        if pool is None:
            raise fail(STAGE, f"tensor {qualified} is not in the archive", at=at)
        tensors[name] = pool.load(qualified, metas[name], at)
        if name in signature.parameters:
            fault = finite_fault(qualified, tensors[name], container.file)
            faults += [fault] if fault else []
    if faults:
        raise McugenError(STAGE, faults)
    return tensors
