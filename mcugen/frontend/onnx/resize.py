"""Resize and Upsample to nearest neighbours: which row and column each of the result repeats.

The formulas are those of ONNX's Operators.md (Resize), in float32 as ONNX Runtime computes them.
"""

from collections.abc import Callable

import numpy as np

from mcugen.frontend.graph import Argument
from mcugen.frontend.onnx.translation import MOST_STEP, Call
from mcugen.frontend.onnx.values import Live

_HALF = np.float32(0.5)


def resize(call: Call) -> None:
    """Resize and Upsample of an image, real or levels."""
    x = call.moved(0)
    old_style = call.node.op == "Upsample" or call.opset < 11
    call.ignore("cubic_coeff_a", "extrapolation_value", "exclude_outside")
    mode = call.text("mode", "nearest")
    if mode != "nearest" or call.integer("antialias", 0):
        raise call.node.wrong("the mode is not supported", got=ascii(mode), want="nearest")
    if len(x.shape) != 4 or call.integers("axes") is not None:
        raise call.node.wrong(f"resizing of {list(x.shape)}", want="an image, without axes")
    if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise call.node.wrong("attribute keep_aspect_ratio_policy is not supported", want="stretch")
    place = _places(call, old_style)
    scales, sizes = _target(call, x, old_style)
    rows, columns = (
        tuple(int(one) for one in place(x.shape[axis], sizes[axis], scales[axis]))
        for axis in (2, 3)
    )
    shape = (*x.shape[:2], len(rows), len(columns))
    arguments: dict[str, Argument] = {"self": x.ref, "rows": rows, "columns": columns}
    call.give(call.add("mcugen.resize.default", arguments, x, shape))


def _target(call: Call, x: Live, old_style: bool) -> tuple[list[np.float32], list[int]]:
    """Scale and extent of each axis of the result."""
    if call.node.op == "Upsample" and call.opset < 9:
        raise call.node.wrong("Upsample with scales as an attribute", want="opset 9 or newer")
    at = 1 if old_style else 2
    if call.given(3) and not old_style:
        sizes = call.whole(3, "the extents")
        scales = [
            np.float32(new) / np.float32(old) for new, old in zip(sizes, x.shape, strict=False)
        ]
    else:
        factors = call.constant(at, "the scales").ravel()[:5]
        scales = [np.float32(one) for one in factors]
        if len(scales) != 4 or not all(0 < one <= MOST_STEP for one in scales):
            raise call.node.wrong("the scales do not fit", want="four positive numbers")
        sizes = tuple(int(old * one) for old, one in zip(x.shape, scales, strict=True))
    if len(sizes) != 4 or sizes[:2] != x.shape[:2] or not all(0 < one < 2**16 for one in sizes):
        raise call.node.wrong(
            f"the result would have shape {list(sizes)}", want="other heights and widths only"
        )
    return scales, list(sizes)


_Place = Callable[[int, int, np.float32], np.ndarray]


def _places(call: Call, old_style: bool) -> _Place:
    """From the extent of an axis, that of the result, and the scale, to what each repeats."""
    if old_style:
        return lambda old, new, scale: np.clip(np.floor(_asymmetric(old, new, scale)), 0, old - 1)
    kind = call.text("coordinate_transformation_mode", "half_pixel")
    rounding = call.text("nearest_mode", "round_prefer_floor")
    if kind not in _COORDINATES or rounding not in _ROUNDINGS:
        raise call.node.wrong(
            "its coordinates are not supported",
            got=ascii(f"{kind}, {rounding}"),
            want=f"{', '.join(_COORDINATES)}; {', '.join(_ROUNDINGS)}",
        )
    where, nearest = _COORDINATES[kind], _ROUNDINGS[rounding]
    return lambda old, new, scale: np.clip(nearest(where(old, new, scale)), 0, old - 1)


def _steps(new: int) -> np.ndarray:
    return np.arange(new, dtype=np.float32)


def _asymmetric(old: int, new: int, scale: np.float32) -> np.ndarray:
    del old
    return _steps(new) / scale


def _half_pixel(old: int, new: int, scale: np.float32) -> np.ndarray:
    del old
    return (_steps(new) + _HALF) / scale - _HALF


def _align_corners(old: int, new: int, scale: np.float32) -> np.ndarray:
    del scale
    return _steps(new) * np.float32(old - 1) / np.float32(max(new - 1, 1))


_COORDINATES: dict[str, _Place] = {
    "half_pixel": _half_pixel,
    "pytorch_half_pixel": lambda old, new, scale: (
        _half_pixel(old, new, scale) if new > 1 else np.zeros(1, np.float32)
    ),
    "asymmetric": _asymmetric,
    "align_corners": _align_corners,
}
_ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda at: np.ceil(at - _HALF),
    "round_prefer_ceil": lambda at: np.floor(at + _HALF),
    "floor": np.floor,
    "ceil": np.ceil,
}
