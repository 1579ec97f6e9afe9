"""Operators that move values: they take levels as well as real numbers."""

from dataclasses import replace

import numpy as np

from mcugen.frontend.graph import Argument, Meta
from mcugen.frontend.onnx import shapes
from mcugen.frontend.onnx.tensors import DTYPES, FLOATS
from mcugen.frontend.onnx.translation import MOST_STEP, Call
from mcugen.frontend.onnx.values import Live


def view(call: Call, x: Live, shape: tuple[int, ...]) -> Live:
    """`x` in another shape."""
    if x.shape == shape:
        return x
    if np.prod(x.shape) != np.prod(shape):
        raise call.node.wrong(f"{list(x.shape)} does not reshape to {list(shape)}")
    return call.add("aten.view.default", {"self": x.ref, "size": shape}, x, shape)


def reshape(call: Call) -> None:
    """Reshape, Flatten, Squeeze, Unsqueeze."""
    x = call.moved(0)
    call.give(view(call, x, shapes.RESHAPES[call.node.op](call, x.shape)))


def same(call: Call) -> None:
    """Identity, and Dropout once training is over."""
    call.ignore("ratio", "seed")
    call.give(call.moved(0))


def cast(call: Call) -> None:
    """Cast between types of real numbers."""
    call.ignore("saturate", "round_mode")
    x, to = call.real(0), DTYPES.get(call.integer("to", 0), "an unknown type")
    if to not in FLOATS:
        raise call.node.wrong("a tensor is cast to other than real numbers", got=to)
    call.give(replace(x, meta=Meta(x.shape, to)))


def transpose(call: Call) -> None:
    x = call.moved(0)
    order = shapes.order(call, len(x.shape))
    shape = [x.shape[axis] for axis in order]
    call.give(call.add("aten.permute.default", {"self": x.ref, "dims": order}, x, shape))


def concatenate(call: Call) -> None:
    parts = [call.moved(index) for index in range(len(call.node.inputs))]
    if len({part.is_real for part in parts}) != 1:
        raise call.node.wrong("levels and real numbers are joined")
    shape = shapes.concatenated(call, [part.shape for part in parts])
    axis = call.axis(call.integer("axis", 0), len(shape))
    arguments: dict[str, Argument] = {"tensors": tuple(part.ref for part in parts), "dim": axis}
    call.give(call.add("aten.cat.default", arguments, parts[0], shape))


def _cut(call: Call, x: Live, cut: shapes.Cut) -> Live:
    if (cut.begin, cut.end) == (0, x.shape[cut.axis]):
        return x
    arguments: dict[str, Argument] = {
        "self": x.ref,
        "dim": cut.axis,
        "start": cut.begin,
        "end": cut.end,
    }
    shape = list(x.shape)
    shape[cut.axis] = cut.end - cut.begin
    return call.add("aten.slice.Tensor", arguments, x, shape)


def slices(call: Call) -> None:
    x = call.moved(0)
    for cut in shapes.cuts(call, x.shape):
        x = _cut(call, x, cut)
    call.give(x)


def split(call: Call) -> None:
    x = call.moved(0)
    axis = call.axis(call.integer("axis", 0), len(x.shape))
    extent, count = x.shape[axis], len(call.node.outputs)
    sizes = call.whole(1, "the parts") if call.given(1) else call.integers("split")
    if call.integer("num_outputs", count) != count:
        raise call.node.wrong(f"attribute num_outputs is not the number of outputs, {count}")
    if sizes is None:
        each = -(-extent // count)
        sizes = (each,) * (count - 1) + (extent - each * (count - 1),)
    if len(sizes) != count or sum(sizes) != extent or min(sizes) < 1:
        raise call.node.wrong(f"parts {list(sizes[:16])} of {extent} positions")
    ends = np.cumsum(sizes).tolist()
    parts = [shapes.Cut(axis, end - size, end) for end, size in zip(ends, sizes, strict=True)]
    call.give(*(_cut(call, x, part) for part in parts))


def pad(call: Call) -> None:
    """Pad of an image's height and width with one value."""
    x = call.moved(0)
    if (mode := call.text("mode", "constant")) != "constant":
        raise call.node.wrong("the padding mode is not supported", got=ascii(mode), want="constant")
    if call.opset < 11:
        amounts, value = call.integers("pads") or (), call.number("value", 0.0)
    else:
        amounts, value = call.whole(1, "the amounts"), _fill(call)
    rank = len(x.shape)
    if call.given(3):
        amounts = _spread(call, amounts, rank)
    if len(amounts) != 2 * rank or not all(0 <= one <= MOST_STEP for one in amounts):
        want = f"{2 * rank} integers from 0 to {MOST_STEP}"
        raise call.node.wrong("the amounts do not fit", got=str(list(amounts)), want=want)
    if not any(amounts):
        call.give(x)
        return
    if rank != 4 or any(amounts[axis] for axis in (0, 1, 4, 5)):
        raise call.node.wrong("padding other than of an image's height and width")
    if not x.is_real:
        value = _real_fill(call, x, value)
    left, right, top, bottom = amounts[3], amounts[7], amounts[2], amounts[6]
    arguments: dict[str, Argument] = {
        "self": x.ref,
        "pad": (left, right, top, bottom),
        "value": value,
    }
    shape = (*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right)
    call.give(call.add("aten.constant_pad_nd.default", arguments, x, shape))


def _fill(call: Call) -> float:
    """The value that a padding writes."""
    if not call.given(2):
        return 0.0
    data = call.constant(2, "the value")
    if data.size != 1:
        raise call.node.wrong("the value is no single number")
    return float(data.reshape(()))


def _spread(call: Call, amounts: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Amounts for the axes named by input 3, and 0 for the others."""
    axes = [call.axis(axis, rank) for axis in call.whole(3, "the axes")]
    if len(amounts) != 2 * len(axes) or len(set(axes)) != len(axes):
        raise call.node.wrong("the amounts do not fit the axes")
    wide = [0] * (2 * rank)
    for index, axis in enumerate(axes):
        wide[axis], wide[rank + axis] = amounts[index], amounts[len(axes) + index]
    return tuple(wide)


def _real_fill(call: Call, x: Live, level: float) -> float:
    """The real number of a level that a padding of levels writes."""
    if x.scaling is None or x.scaling.scale.size > 1:
        raise call.node.wrong("padding of levels without one scale")
    return float(x.scaling.real(np.array(level)))
