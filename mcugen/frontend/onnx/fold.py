"""Constants computed from constants: how exporters spell shapes and transposed weights."""

import math
from collections.abc import Callable

import numpy as np

from mcugen.frontend.onnx import shapes
from mcugen.frontend.onnx.graph import Known
from mcugen.frontend.onnx.tensors import DTYPES, MAX_CONSTANT_ELEMENTS
from mcugen.frontend.onnx.translation import Call
from mcugen.frontend.onnx.values import Live, Scaling, Stored

_ARITHMETIC = ("int32", "int64", "float32", "float64")
#: Types that numpy has, and casts go between.
_PLAIN = (*_ARITHMETIC, "bool", "int8", "uint8", "int16", "uint16")


def constant(call: Call) -> None:
    """Constant: its one attribute."""
    for name in ("value", "value_int", "value_float", "value_ints", "value_floats"):
        if name in call.node.attributes:
            call.ignore(name)
            value = call.node.attributes[name]
            if isinstance(value, Known) and name == "value":
                call.give(value)
            elif isinstance(value, int | float | tuple) and name != "value":
                dtype = "int64" if "int" in name else "float32"
                call.give(call.known(np.array(value, dtype), dtype))
            else:
                raise call.node.wrong(f"attribute {name} is of another type")
            return
    raise call.node.wrong("a constant without a tensor or numbers as its value")


def constant_of_shape(call: Call) -> None:
    """ConstantOfShape: one value everywhere."""
    shape = call.shaped(call.whole(0, "the extents"))
    call.ignore("value")
    value = call.node.attributes.get("value", Known(np.zeros(1, np.float32), "float32"))
    if not isinstance(value, Known) or value.data.size != 1:
        raise call.node.wrong("attribute value is no tensor of one value")
    call.give(call.known(np.broadcast_to(value.data.reshape(()), shape), value.dtype))


def shape(call: Call) -> None:
    """Shape of any tensor, or a part of it."""
    found = call.value(0)
    extents = found.shape if isinstance(found, Live) else _data(found).shape
    begin, end = call.integer("start", 0), call.integer("end", len(extents))
    call.give(call.known(np.array(extents[begin:end], np.int64), "int64"))


def _data(found: Known | Stored) -> np.ndarray:
    return found.data if isinstance(found, Known) else found.levels


def is_constant(call: Call) -> bool:
    """Whether every input of a node is a constant."""
    indices = [index for index in range(len(call.node.inputs)) if call.given(index)]
    return bool(indices) and not any(isinstance(call.value(index), Live) for index in indices)


def _moved(call: Call, change: Callable[[np.ndarray], np.ndarray], axis: int) -> None:
    """A constant with its values in another order; `axis` is where per-channel scales then are."""
    found = _constant(call, 0)
    if isinstance(found, Known):
        call.give(call.known(change(found.data), found.dtype))
        return
    scaling = found.scaling
    if scaling.scale.size > 1 and axis < 0:
        raise call.node.wrong("a reshaped weight has scales per channel", want="one scale")
    levels = call.known(change(found.levels), "int8").data
    call.give(Stored(levels, Scaling(scaling.scale, scaling.zero, axis), found.name))


def transpose(call: Call) -> None:
    found = _constant(call, 0)
    rank = _data(found).ndim
    order, axis = shapes.order(call, rank), 0
    if isinstance(found, Stored) and found.scaling.scale.size > 1:
        axis = order.index(found.scaling.axis % rank)
    _moved(call, lambda one: np.ascontiguousarray(one.transpose(order)), axis)


def reshape(call: Call) -> None:
    """Reshape, Flatten, Squeeze, Unsqueeze of a constant."""
    before = _data(_constant(call, 0)).shape
    after = shapes.RESHAPES[call.node.op](call, before)
    if math.prod(before) != math.prod(after):
        raise call.node.wrong(f"{list(before)} does not reshape to {list(after)}")
    _moved(call, lambda one: one.reshape(after), -1)


def _constant(call: Call, index: int) -> Known | Stored:
    found = call.value(index)
    assert not isinstance(found, Live)  # `is_constant` came first
    return found


def identity(call: Call) -> None:
    call.give(call.value(0))


def cast(call: Call) -> None:
    call.ignore("saturate", "round_mode")
    to = DTYPES.get(call.integer("to", 0), "")
    found = _plain(call, 0)
    if to not in _PLAIN:
        raise call.node.wrong("a constant is cast to an unknown type", got=to or None)
    if found.data.dtype.kind == "f" and not np.isfinite(found.data).all():
        raise call.node.wrong("input 0 has NaN or infinite values")
    with np.errstate(all="ignore"):
        call.give(call.known(found.data.astype(to), to))


def _plain(call: Call, index: int) -> Known:
    found = call.value(index)
    if not isinstance(found, Known) or found.dtype not in _PLAIN:
        raise call.node.wrong(f"input {index} is no constant of plain numbers")
    return found


def arithmetic(call: Call) -> None:
    """Add, Sub, Mul, Div of constants."""
    x, y = _plain(call, 0), _plain(call, 1)
    if x.dtype != y.dtype or x.dtype not in _ARITHMETIC:
        raise call.node.wrong("constants of two types", got=f"{x.dtype} and {y.dtype}")
    extents = shapes.broadcast(call, x.data.shape, y.data.shape)
    if math.prod(extents) > MAX_CONSTANT_ELEMENTS:
        raise call.node.wrong("the model's computed constants take too much memory")
    with np.errstate(all="ignore"):
        if call.node.op == "Div" and x.data.dtype.kind == "i":
            if (y.data == 0).any():
                raise call.node.wrong("a constant is divided by zero")
            result = (np.sign(x.data) * np.sign(y.data)) * (np.abs(x.data) // np.abs(y.data))
        else:
            result = _OPERATIONS[call.node.op](x.data, y.data)
    call.give(call.known(np.asarray(result), x.dtype))


_OPERATIONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
}


def concatenate(call: Call) -> None:
    parts = [_plain(call, index) for index in range(len(call.node.inputs))]
    if len({part.dtype for part in parts}) != 1:
        raise call.node.wrong("constants of several types are joined")
    if sum(part.data.size for part in parts) > MAX_CONSTANT_ELEMENTS:
        raise call.node.wrong("the model's computed constants take too much memory")
    shapes.concatenated(call, [part.data.shape for part in parts])
    axis = call.axis(call.integer("axis", 0), parts[0].data.ndim)
    call.give(call.known(np.concatenate([part.data for part in parts], axis), parts[0].dtype))


def gather(call: Call) -> None:
    """Gather along the first axis: the way to one extent of a shape."""
    source, places = _plain(call, 0), _plain(call, 1)
    if call.integer("axis", 0) or source.data.ndim != 1 or places.data.dtype.kind != "i":
        raise call.node.wrong("constants are gathered from more than a list")
    extent = source.data.size
    if ((places.data < -extent) | (places.data >= extent)).any():
        raise call.node.wrong(f"a place is outside of a list of {extent}")
    call.give(call.known(source.data[places.data], source.dtype))


def slices(call: Call) -> None:
    found = _plain(call, 0)
    data = found.data
    for cut in shapes.cuts(call, data.shape):
        data = data[(slice(None),) * cut.axis + (slice(cut.begin, cut.end),)]
    call.give(call.known(data, found.dtype))


#: What is computed while reading where all inputs are constants.
FOLDS: dict[str, Callable[[Call], None]] = {
    "Add": arithmetic,
    "Cast": cast,
    "Concat": concatenate,
    "Div": arithmetic,
    "Flatten": reshape,
    "Gather": gather,
    "Identity": identity,
    "Mul": arithmetic,
    "Reshape": reshape,
    "Slice": slices,
    "Squeeze": reshape,
    "Sub": arithmetic,
    "Transpose": transpose,
    "Unsqueeze": reshape,
}
