"""The PyTorch side of `mcugen check`: the parsed graph on PyTorch's own operators, in float64.

The graph comes from the archive reader, never from `torch.export.load`, and only operators of an
allow-list run. Quantizers are spelled out here in plain arithmetic, apart from the ops that
training uses, so that a mistake in either shows as a difference.

Batches: a graph is exported for one sample, so every value that depends on the input has 1 as its
first size. This size is taken for the batch and replaced by the number of samples, also in the
sizes that `view`, `reshape` and `expand` are given. Operations that would mix samples are refused.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mcugen.errors import Fault, McugenError, fail
from mcugen.frontend.graph import Argument, ExportedGraph, GraphNode, Meta, Ref
from mcugen.run.reference_ops import QUANTIZERS, STAGE, find_operator, load_torch, short_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MAX_SAMPLES = 500
MAX_THREADS = 4
#: Samples at a time are limited so that no value has more elements (256 MiB in float64).
MAX_ELEMENTS = 2**25

#: Arguments about placement, which the reference decides itself.
_IGNORED = ("device", "layout", "pin_memory", "memory_format", "non_blocking", "copy")
#: The argument that names axes, and its default; such an op must not touch axis 0 of a batch.
_AXES: Mapping[str, tuple[str, Argument]] = {
    **dict.fromkeys(("softmax", "log_softmax", "_softmax", "_log_softmax"), ("dim", None)),
    **dict.fromkeys(("argmax", "mean", "sum", "max", "min", "squeeze", "unsqueeze"), ("dim", None)),
    **dict.fromkeys(("amax", "amin", "select", "unflatten"), ("dim", None)),
    **dict.fromkeys(
        ("cat", "chunk", "split", "split_with_sizes", "slice", "narrow", "stack"), ("dim", 0)
    ),
    "flatten": ("start_dim", 0),
}
#: Their axis is one of the result, which has one axis more.
_GROWING = ("unsqueeze", "stack")
#: The argument that gives the sizes of the result.
_SIZES = {"view": "size", "_unsafe_view": "size", "expand": "size", "reshape": "shape"}
#: The only argument of these that may depend on the input.
_FIRST_ONLY = ("linear", "batch_norm", "_native_batch_norm_legit_no_training")


class Reference:
    """An exported graph that runs on batches of samples."""

    def __init__(self, graph: ExportedGraph, dtype: "torch.dtype | None" = None) -> None:
        """Check every node and compute what does not depend on the input.

        `dtype` is that of all floating-point arithmetic, float64 when None. Parameters keep the
        values they have in the archive.

        Raises:
            McugenError: PyTorch is missing; the graph has several inputs, operations that are not
                allowed or mix samples, all of them together.
        """
        torch = load_torch()
        self._graph = graph
        self._dtype = dtype or torch.float64
        self._batched = _batched(graph)
        faults = [*_input_faults(graph), *(f for n in graph.nodes if (f := self._node_fault(n)))]
        if faults:
            raise McugenError(STAGE, faults)
        self._fixed = {name: self._widen(array) for name, array in graph.tensors.items()}
        self._nodes = []
        with torch.no_grad(), _few_threads(torch):
            for node in graph.nodes:
                if self._is_batched(node):
                    self._nodes.append(node)
                else:
                    self._fixed |= self._evaluate(node, self._fixed, 1)
        largest = max(int(np.prod(graph.metas[name].shape)) for name in self._batched)
        self._samples = max(1, min(MAX_SAMPLES, MAX_ELEMENTS // largest))

    def run(
        self, x: np.ndarray, capture: tuple[str, ...] = ()
    ) -> tuple[tuple[np.ndarray, ...], dict[str, np.ndarray]]:
        """Outputs for samples x `[N, ...]`, and the values named in `capture`.

        Values that depend on the input get N as their first size; others come as they are.

        Raises:
            McugenError: x has the wrong shape or no samples; a captured name is not in the graph.
        """
        torch = load_torch()
        (name,) = self._graph.inputs
        want = self._graph.metas[name].shape[1:]
        if x.ndim != len(want) + 1 or x.shape[1:] != want or not len(x):
            got, shown = f"{list(x.shape)}", ", ".join(map(str, ("N", *want)))
            raise fail(STAGE, "the samples have the wrong shape", got=got, want=f"[{shown}]")
        known = self._batched | self._fixed.keys()
        if unknown := [key for key in capture if key not in known]:
            raise fail(STAGE, "the graph has no such value", got=", ".join(unknown))
        wanted = tuple(dict.fromkeys((*self._graph.outputs, *capture)))
        parts: list[dict[str, np.ndarray]] = []
        with torch.no_grad(), _few_threads(torch):
            for start in range(0, len(x), self._samples):
                parts.append(self._chunk(x[start : start + self._samples], wanted))
        found = {
            key: np.concatenate([part[key] for part in parts])
            if key in self._batched
            else parts[0][key].copy()
            for key in wanted
        }
        return tuple(found[key] for key in self._graph.outputs), {
            key: found[key] for key in capture
        }

    def _chunk(self, x: np.ndarray, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
        """The wanted values for one batch; every value is dropped after its last use."""
        (name,) = self._graph.inputs
        values = {**self._fixed, name: self._widen(x)}
        last = {ref: index for index, node in enumerate(self._nodes) for ref in _refs(node)}
        kept = {key: values[key].numpy() for key in wanted if key in values}
        for index, node in enumerate(self._nodes):
            results = self._evaluate(node, values, len(x))
            values |= results
            kept |= {key: value.numpy() for key, value in results.items() if key in wanted}
            for ref in _refs(node):
                if last[ref] == index and ref in self._batched:
                    values.pop(ref, None)
        return kept

    def _widen(self, array: np.ndarray) -> "Tensor":
        """A tensor of its own memory; floating-point values in the reference's type."""
        torch = load_torch()
        tensor: Tensor = torch.tensor(np.ascontiguousarray(array).reshape(array.shape))
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

    def _evaluate(
        self, node: GraphNode, values: "Mapping[str, Tensor]", samples: int
    ) -> "dict[str, Tensor]":
        """Results of one node by name; each has the shape the graph says, with the batch put in."""
        batched = self._is_batched(node)
        arguments = _batch_sizes(node, samples) if batched else node.arguments
        given = {key: self._value(key, argument, values) for key, argument in arguments.items()}
        given = {key: value for key, value in given.items() if key not in _IGNORED}
        found = _call(node, given)
        for name, result in found.items():
            want = self._graph.metas[name].shape
            want = (samples, *want[1:]) if batched else want
            if tuple(result.shape) != want:
                raise fail(
                    STAGE,
                    f"{name} comes out with another shape than in the exported graph",
                    at=str(node.source),
                    got=str(list(result.shape)),
                    want=str(list(want)),
                )
        return found

    def _value(self, key: str, argument: Argument, values: "Mapping[str, Tensor]") -> Any:
        """An argument as PyTorch takes it."""
        if isinstance(argument, Ref):
            return values[argument.name]
        if isinstance(argument, tuple):
            return [self._value(key, item, values) for item in argument]
        if key in ("dtype", "out_dtype") and isinstance(argument, str):
            torch = load_torch()
            kind = getattr(torch, argument)
            return self._dtype if kind.is_floating_point else kind
        return argument

    def _is_batched(self, node: GraphNode) -> bool:
        """Whether a node depends on the input."""
        return not self._batched.isdisjoint(_refs(node))

    def _node_fault(self, node: GraphNode) -> Fault | None:
        """Why a node cannot run, if it cannot."""
        if find_operator(node.target) is None:
            return _fault(node, "the reference does not know an operation", None)
        if node.arguments.get("train") or node.arguments.get("training"):
            return _fault(
                node, "a layer is in training mode", "call model.eval() before the export"
            )
        if not self._is_batched(node):
            return None
        shapes = {name: self._graph.metas[name] for name in (*_refs(node), *node.outputs)}
        if not _keeps_samples_apart(node, shapes, self._batched):
            return _fault(node, "an operation mixes samples", "export with a fixed batch of 1")
        return None


def _fault(node: GraphNode, what: str, help: str | None) -> Fault:
    return Fault(what, at=f"{node.source}, node {node.source.node}", got=node.target, help=help)


def _call(node: GraphNode, given: dict[str, Any]) -> "dict[str, Tensor]":
    """The results of an operator by the node's output names.

    Raises:
        McugenError: the arguments are not as the operator wants them.
    """
    operator = find_operator(node.target)
    assert operator is not None, "the constructor refuses unknown operations"
    try:
        results = operator(**given)
        several = isinstance(results, tuple | list)
        return dict(zip(node.outputs, results if several else (results,), strict=True))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise fail(
            STAGE,
            f"PyTorch refuses the arguments of {node.target}",
            at=f"{node.source}, node {node.source.node}",
            got=lines[0][:200],
        ) from error


def _refs(node: GraphNode) -> tuple[str, ...]:
    """Names of all tensors a node reads."""

    def inside(argument: Argument) -> Iterator[str]:
        if isinstance(argument, Ref):
            yield argument.name
        elif isinstance(argument, tuple):
            for item in argument:
                yield from inside(item)

    return tuple(name for argument in node.arguments.values() for name in inside(argument))


def _batched(graph: ExportedGraph) -> frozenset[str]:
    """The values that depend on the input."""
    found = set(graph.inputs)
    for node in graph.nodes:
        if not found.isdisjoint(_refs(node)):
            found.update(node.outputs)
    return frozenset(found)


def _input_faults(graph: ExportedGraph) -> list[Fault]:
    if len(graph.inputs) != 1:
        return [Fault("the model has not exactly one input", got=", ".join(graph.inputs) or "none")]
    shape = graph.metas[graph.inputs[0]].shape
    if shape[:1] != (1,):
        advice = "export with a batch of 1"
        return [Fault("the model was exported for a batch", got=str(list(shape)), help=advice)]
    return []


def _keeps_samples_apart(
    node: GraphNode, metas: Mapping[str, Meta], batched: frozenset[str]
) -> bool:
    """Whether axis 0 is the batch before and after the node, and each sample is on its own."""
    ranks = {name: len(metas[name].shape) for name in _refs(node)}
    own = {ranks[name] for name in ranks if name in batched}
    if len(own) != 1 or max(ranks.values()) > max(own):
        return False
    if any(metas[name].shape[:1] != (1,) for name in node.outputs):
        return False
    rank, name = max(own), short_name(node.target).split(".")[0]
    if name in _AXES:
        key, default = _AXES[name]
        return _spares_first(node.arguments.get(key, default), rank + (name in _GROWING))
    return _special(node, name, rank, batched)


def _spares_first(dims: Argument, rank: int) -> bool:
    """Whether axes are given and axis 0 is none of them."""
    axes = dims if isinstance(dims, tuple) else (dims,)
    return bool(axes) and all(isinstance(axis, int) and axis % rank != 0 for axis in axes)


def _special(node: GraphNode, name: str, rank: int, batched: frozenset[str]) -> bool:
    """`_keeps_samples_apart` for operations with a rule of their own."""
    arguments = node.arguments
    dependent = [value for value in arguments.values() if _depends(value, batched)]
    if name in ("t", "addmm", "_weight_norm"):
        return name == "addmm" and dependent == [arguments.get("mat1")]
    if name == "transpose":
        return _spares_first((arguments.get("dim0"), arguments.get("dim1")), rank)
    if name == "permute":
        dims = arguments.get("dims")
        return isinstance(dims, tuple) and bool(dims) and dims[0] in (0, -rank)
    if name in _SIZES:
        sizes = arguments.get(_SIZES[name])
        return isinstance(sizes, tuple) and sizes[:1] in ((1,), (-1,))
    if name in ("pad", "constant_pad_nd"):
        pad = arguments.get("pad")
        return isinstance(pad, tuple) and len(pad) < 2 * rank
    if name.startswith("conv") or name in _FIRST_ONLY:
        return dependent == [arguments.get("input")]
    if name in ("matmul", "mm"):
        return _depends(arguments.get("self"), batched) and (rank > 2 or len(dependent) == 1)
    if node.target in QUANTIZERS:
        axis = arguments.get("axis", -1)
        values = (arguments.get("x"), arguments.get("self"), arguments.get("input"))
        return len(dependent) == 1 and dependent[0] in values and axis != 0
    return True


def _depends(argument: Argument, batched: frozenset[str]) -> bool:
    if isinstance(argument, tuple):
        return any(_depends(item, batched) for item in argument)
    return isinstance(argument, Ref) and argument.name in batched


def _batch_sizes(node: GraphNode, samples: int) -> dict[str, Argument]:
    """Arguments with the batch as first size where the op is given the sizes of its result."""
    key = _SIZES.get(short_name(node.target))
    sizes = node.arguments.get(key) if key else None
    if key is None or not isinstance(sizes, tuple) or sizes[:1] != (1,):
        return node.arguments
    return {**node.arguments, key: (samples, *sizes[1:])}


@contextmanager
def _few_threads(torch: ModuleType) -> Iterator[None]:
    """PyTorch on at most half of the machine's cores, and its former setting afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(MAX_THREADS, before, (os.cpu_count() or 2) // 2)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
