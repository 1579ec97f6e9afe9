"""From a program to the text of its C files and manifest."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from mcugen import __version__
from mcugen.emit import manifest as record
from mcugen.emit.render import elements, render
from mcugen.emit.scale import Ratio, ratio
from mcugen.ir.program import Meaning, Program
from mcugen.ir.types import Int, TensorType
from mcugen.plan.choice import DEFAULT, Wishes
from mcugen.plan.layer import Layer, LayerConstant, Location, shape_text
from mcugen.plan.names import comment, string
from mcugen.plan.plan import EmitPlan, Endpoint, build_plan
from mcugen.target.cores import Core

GENERATOR = f"mcugen {__version__}"


@dataclass(frozen=True)
class Port:
    """What model.h says about the input or output."""

    location: Location
    shape: str
    elements: int
    interval: str
    channels: int
    scale: str
    """Shortest decimal that is the scale exactly, as a C literal."""
    ratio: Ratio
    zero: int
    offset: str
    """What is added to the real number; empty for nothing."""
    by_channel: bool
    """Channels have scales of their own; `scale` is the first."""


@dataclass(frozen=True)
class Array:
    """A constant as model.c prints it."""

    storage: str
    """`static const`, or `const` where another file defines it."""
    c: str
    name: str
    size: int
    description: str
    rows: list[str]


@dataclass(frozen=True)
class Page:
    """What the templates of a whole file need beside the plan."""

    generator: str
    source_file: str
    sha256: str
    split: bool
    input: Port
    output: Port
    function: str
    """What was left out behind the output, for a comment; empty for nothing."""
    layer_names: list[str]
    arrays: dict[str, list[Array]]
    """Constants by the layer's function."""


@dataclass(frozen=True)
class Emitted:
    """The files of a model by name, the manifest's text among them, and the manifest itself."""

    files: Mapping[str, str]
    manifest: record.Manifest


def emit(
    program: Program,
    core: Core,
    name: str,
    *,
    board: str | None = None,
    split_data: bool = False,
    source_file: str = "",
    wishes: Wishes = DEFAULT,
) -> Emitted:
    """The model's files: model.h, model.c, manifest.json and, on request, model_data.c.

    The same arguments give the same bytes, on any machine.

    Args:
        program: a verified program.
        core: what kernels are selected for; the C compiles everywhere.
        name: prefix of every symbol (see `plan.names.model_name`).
        board: recorded in the manifest.
        split_data: constants go to model_data.c.
        source_file: name of the model file, for comments; its folder is not kept.
        wishes: how kernels are chosen.

    Raises:
        McugenError: an op that no kernel computes, or a name that is no C prefix.
    """
    plan = build_plan(program, core, name, wishes)
    page = _page(plan, split_data, source_file.replace("\\", "/").rpartition("/")[2])
    names = ["model.h", "model.c"] + (["model_data.c"] if split_data else [])
    files = {item: render(f"{item}.j2", plan=plan, page=page) for item in names}
    manifest = _manifest(plan, page, files, board)
    return Emitted({**files, record.FILE_NAME: manifest.to_json()}, manifest)


def _page(plan: EmitPlan, split: bool, source_file: str) -> Page:
    return Page(
        generator=GENERATOR,
        source_file=comment(source_file),
        sha256=comment(plan.program.sha256),
        split=split,
        input=_port(plan.input),
        output=_port(plan.output),
        function=comment(plan.program.output_function or ""),
        layer_names=[string(layer.name) for layer in plan.layers],
        arrays={
            layer.function: [_array(item, split) for item in layer.constants]
            for layer in plan.layers
        },
    )


def _array(item: LayerConstant, split: bool) -> Array:
    constant = item.constant
    return Array(
        storage="const" if split else "static const",
        c=constant.c.name,
        name=item.name,
        size=constant.values.size,
        description=item.description,
        rows=elements(constant),
    )


def _port(end: Endpoint) -> Port:
    kind, meaning = end.value.type, end.value.meaning or Meaning((1.0,))
    element = kind.element
    scale, offset = float(meaning.scale[0]), float(meaning.offset[0])
    return Port(
        location=end.location,
        shape=shape_text(kind).replace("x", " x "),
        elements=kind.size,
        interval=f"{element.lo}..{element.hi}" if isinstance(element, Int) else "",
        channels=kind.channels,
        scale=repr(scale),
        ratio=ratio(scale),
        zero=meaning.zero,
        offset=repr(offset) if offset else "",
        by_channel=len(set(meaning.scale)) > 1 or len(set(meaning.offset)) > 1,
    )


def _manifest(
    plan: EmitPlan, page: Page, files: dict[str, str], board: str | None
) -> record.Manifest:
    digest = hashlib.sha256()
    for text in files.values():
        digest.update(text.encode())
    return record.Manifest(
        generator=GENERATOR,
        name=plan.name,
        source=record.Source(file=page.source_file, sha256=plan.program.sha256),
        digest=digest.hexdigest(),
        files={item: hashlib.sha256(text.encode()).hexdigest() for item, text in files.items()},
        core=plan.core.name,
        board=board,
        input=_tensor(plan.input),
        output=_tensor(plan.output),
        output_function=plan.program.output_function,
        macs=plan.macs,
        weight_bytes=plan.weight_bytes,
        table_bytes=plan.table_bytes,
        ram=_ram(plan),
        layers=tuple(_layer(layer) for layer in plan.layers),
    )


def _ram(plan: EmitPlan) -> record.Ram:
    return record.Ram(
        arena=plan.arena_bytes,
        lower_bound=plan.lower_bound,
        exact_order=plan.exact_order,
        saved=plan.saved_bytes,
        added_cycles=plan.added_cycles,
        peak_bytes=plan.peak_bytes,
        state=plan.state_bytes,
        context=plan.context_bytes,
        peak_layer=plan.peak_layer,
        peak=tuple(record.Live(**asdict(item)) for item in plan.peak),
    )


def _tensor(end: Endpoint) -> record.Tensor:
    kind, meaning = end.value.type, end.value.meaning or Meaning((1.0,))
    lo, hi = (kind.element.lo, kind.element.hi) if isinstance(kind.element, Int) else (-1, 1)
    return record.Tensor(
        shape=kind.shape,
        dtype=end.location.dtype,
        bytes=end.location.bytes,
        lo=lo,
        hi=hi,
        scale=float(meaning.scale[0]),
        zero_point=meaning.zero,
        torch_shape=_torch_shape(kind),
    )


def _torch_shape(kind: TensorType) -> tuple[int, ...]:
    if len(kind.shape) != 4:
        return kind.shape
    n, height, width, channels = kind.shape
    return (n, channels, height, width)


def _layer(layer: Layer) -> record.Layer:
    place = layer.out.location
    return record.Layer(
        name=layer.name,
        op=layer.op,
        kernel=layer.kernel,
        function=layer.function,
        source=layer.source,
        in_shape=layer.in_type.shape,
        out_shape=layer.out_type.shape,
        macs=layer.macs,
        weight_bits=layer.weight_bits,
        activation_bits=layer.activation_bits,
        weight_bytes=layer.weight_bytes,
        table_bytes=layer.table_bytes,
        scratch_bytes=layer.scratch_bytes,
        value=layer.value,
        out_dtype=place.dtype,
        out_offset=place.offset,
        out_bytes=place.bytes,
        scratch_offset=layer.scratch_offset,
        held=tuple(record.Extent(offset=at, bytes=size) for at, size in layer.held),
    )
