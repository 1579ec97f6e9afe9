"""One layer of the emitted code: a step with its C names, its place in memory and its comments."""

from collections.abc import Mapping
from dataclasses import dataclass

from mcugen.ir import ops
from mcugen.ir.types import BINARY, Int, TensorType
from mcugen.kernels.base import Recipe
from mcugen.kernels.constants import Constant, Role
from mcugen.kernels.step import Port, Step
from mcugen.kernels.storage import WORD_BITS, Dtype, storage_of, words
from mcugen.plan.names import Names, comment


@dataclass(frozen=True)
class Location:
    """A tensor's place in the arena."""

    c: str
    count: int
    bytes: int
    offset: int
    dtype: Dtype
    pointer: str
    """The address as a C expression over `net`."""
    const_pointer: str


@dataclass(frozen=True)
class Operand:
    """A parameter of a layer's function."""

    name: str
    c: str
    location: Location


@dataclass(frozen=True)
class Output:
    """What a layer stores."""

    c: str
    location: Location
    planes: tuple[int, ...]
    """Where the word of each plane lies from that of the first; empty for numbers."""
    full_words: bool
    """A pixel has 32 channels or more."""
    partial_word: bool
    """A pixel's last word is not full."""
    plane_words: int
    """Words of all planes of a pixel but the first."""


@dataclass(frozen=True)
class LayerEpilogue:
    function: str
    template: str
    returns: str
    per_channel: bool
    context: object


@dataclass(frozen=True)
class LayerConstant:
    """A constant array with its C name."""

    name: str
    constant: Constant
    description: str


@dataclass(frozen=True)
class Layer:
    """One call of `NAME_run`. Templates see it as `layer`."""

    index: int
    name: str
    """As people read it: the module in the user's model."""
    function: str
    signature: str
    call: str
    summary: str
    """Beside the call: shapes and buffers."""
    description: tuple[str, ...]
    """Above the function, one comment line each."""
    template: str
    context: object
    inputs: tuple[Operand, ...]
    out: Output
    epilogue: LayerEpilogue | None
    constants: tuple[LayerConstant, ...]
    op: str
    kernel: str
    source: str | None
    value: str
    in_type: TensorType
    out_type: TensorType
    macs: int
    weight_bits: int
    activation_bits: int
    scratch_bytes: int
    scratch_offset: int
    """Where they begin; 0 where there are none."""
    held: tuple[tuple[int, int], ...]
    """As in `Places`."""

    @property
    def input(self) -> Operand:
        return self.inputs[0]

    @property
    def weight_bytes(self) -> int:
        return self._bytes("weights")

    @property
    def table_bytes(self) -> int:
        return self._bytes("table")

    def _bytes(self, role: Role) -> int:
        return sum(item.constant.bytes for item in self.constants if item.constant.role == role)


_VIEWS = {1: "bytes", 2: "halves", 4: "words"}
#: Types of the arena's views; others take a cast to the other signedness of the same width.
_VIEW_TYPES = {"uint8_t", "uint16_t", "uint32_t"}


def locate(kind: TensorType, offset: int) -> Location:
    """The place of a tensor of type `kind` at byte `offset` of the arena."""
    storage = storage_of(kind)
    c = storage.c
    view = f"net->arena.{_VIEWS[c.bytes]} + {offset // c.bytes}"
    plain = c.name in _VIEW_TYPES
    assert c.dtype is not None  # storage_of gives no type that tensors may not have
    return Location(
        c=c.name,
        count=storage.count,
        bytes=storage.bytes,
        offset=offset,
        dtype=c.dtype,
        pointer=view if plain else f"({c.name} *)({view})",
        const_pointer=view if plain else f"(const {c.name} *)({view})",
    )


@dataclass(frozen=True)
class Places:
    """Where a layer's memory lies, in bytes from where the arena begins."""

    values: Mapping[str, int]
    scratch: int | None
    """The kernel's own memory; None where it needs none."""
    held: tuple[tuple[int, int], ...]
    """Offset and bytes of what lies in the arena when the layer begins and is still to be read."""


def layer(
    *,
    name: str,
    names: Names,
    index: int,
    step: Step,
    kernel: str,
    recipe: Recipe,
    places: Places,
) -> Layer:
    """The layer of `step`."""
    epilogue_constants = recipe.epilogue.constants if recipe.epilogue else ()
    constants = (*recipe.constants, *epilogue_constants)
    title = names.title(step.title)
    suffixes = [item.suffix for item in constants] + ["epilogue", "sums"]
    assert len(set(suffixes)) == len(suffixes), f"{kernel} and its epilogue share a name"
    function = f"{name}_{names.identifier(title, suffixes)}"
    inputs = _operands(step, places.values)
    out = _output(step.output, places.values)
    parameters = _parameters(inputs, out, places.scratch, recipe.scratch_bytes)
    declarations = ", ".join(item[0] for item in parameters)
    arguments = ", ".join(item[1] for item in parameters)
    return Layer(
        index=index,
        name=title,
        function=function,
        signature=f"{name.upper()}_LAYER_FUNCTION void {function}({declarations})",
        call=f"{function}({arguments});",
        summary=comment(f"{_shapes(step)}; {_places(inputs, out)}"),
        description=_description(title, step, kernel, inputs, out),
        template=f"kernels/{kernel}.c.j2",
        context=recipe.context,
        inputs=inputs,
        out=out,
        epilogue=_epilogue(recipe, function),
        constants=tuple(
            LayerConstant(f"{function}_{item.suffix}", item, comment(f"{title}: {item.layout}"))
            for item in constants
        ),
        op=step.operation,
        kernel=kernel,
        source=str(step.source) if step.source and str(step.source) else None,
        value=step.output.name,
        in_type=step.inputs[0].type,
        out_type=step.output.type,
        macs=step.macs,
        weight_bits=_weight_bits(step),
        activation_bits=_bits(step.inputs[0].type),
        scratch_bytes=recipe.scratch_bytes,
        scratch_offset=places.scratch or 0,
        held=places.held,
    )


def _operands(step: Step, offsets: Mapping[str, int]) -> tuple[Operand, ...]:
    single = len(step.inputs) == 1
    return tuple(
        Operand(
            "in" if single else f"in_{i}",
            item.storage.c.name,
            locate(item.type, offsets[item.name]),
        )
        for i, item in enumerate(step.inputs)
    )


def _output(item: Port, offsets: Mapping[str, int]) -> Output:
    c, channels, element = item.storage.c, item.type.channels, item.type.element
    count = 0 if isinstance(element, Int) else element.count
    return Output(
        c=c.name,
        location=locate(item.type, offsets[item.name]),
        planes=tuple(plane * words(channels) for plane in range(count)),
        full_words=channels >= WORD_BITS,
        partial_word=channels % WORD_BITS != 0,
        plane_words=max(0, count - 1) * words(channels),
    )


def _parameters(
    inputs: tuple[Operand, ...], out: Output, scratch: int | None, scratch_bytes: int
) -> list[tuple[str, str]]:
    """Declaration and argument of every parameter; `restrict` where nothing overlaps the output."""
    shared = any(_overlap(item.location, out.location) for item in inputs)
    pointer = "*" if shared else "*restrict "
    parameters = [
        (f"const {item.c} {pointer}{item.name}", item.location.const_pointer) for item in inputs
    ]
    parameters.append((f"{out.c} {pointer}out", out.location.pointer))
    if scratch is not None:
        place = locate(TensorType((1, scratch_bytes // 4 * WORD_BITS), BINARY), scratch)
        parameters.append((f"uint32_t {pointer}scratch", place.pointer))
    return parameters


def _overlap(one: Location, other: Location) -> bool:
    return one.offset < other.offset + other.bytes and other.offset < one.offset + one.bytes


def _epilogue(recipe: Recipe, function: str) -> LayerEpilogue | None:
    item = recipe.epilogue
    if item is None:
        return None
    return LayerEpilogue(
        function=f"{function}_epilogue",
        template=f"epilogues/{item.template}.c.j2",
        returns=item.returns,
        per_channel=item.per_channel,
        context=item.context,
    )


def shape_text(kind: TensorType) -> str:
    """A shape without its batch, as in 28x28x1."""
    return "x".join(str(extent) for extent in kind.shape[1:]) or "1"


def type_text(kind: TensorType) -> str:
    return f"{shape_text(kind)} {kind.element.spelling}"


def _shapes(step: Step) -> str:
    sources = ", ".join(type_text(item.type) for item in step.inputs)
    return f"{sources} -> {type_text(step.output.type)}"


def _places(inputs: tuple[Operand, ...], out: Output) -> str:
    sources = ", ".join(f"{item.name} +{item.location.offset}" for item in inputs)
    return f"{sources}, out +{out.location.offset}"


def _description(
    title: str, step: Step, kernel: str, inputs: tuple[Operand, ...], out: Output
) -> tuple[str, ...]:
    where = f" ({step.source.at})" if step.source and step.source.at else ""
    work = f"{step.macs:,} MACs, " if step.macs else ""
    shared = any(_overlap(item.location, out.location) for item in inputs)
    note = "; the output runs over the input, which is read before it is written" if shared else ""
    places = ", ".join(
        f"{item.name} at arena+{item.location.offset} ({item.location.bytes:,} B)"
        for item in inputs
    )
    return (
        comment(f"{title}{where}"),
        comment(f"{step.operation}, {_shapes(step)}"),
        comment(f"{work}kernel {kernel}"),
        *(
            comment(line)
            for line in (
                places,
                f"out at arena+{out.location.offset} ({out.location.bytes:,} B){note}",
            )
        ),
    )


def _weight_bits(step: Step) -> int:
    op = step.op
    if not isinstance(op, ops.Conv2d | ops.TransposeConv2d | ops.Linear):
        return 0
    return _bits(step.env.type(op.w))


def _bits(kind: TensorType) -> int:
    return kind.element.bits if isinstance(kind.element, Int) else kind.element.count
