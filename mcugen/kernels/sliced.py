"""Dense layers of bit planes on bit-sliced counters: what convolution and linear have in common.

32 output channels lie in the lanes of a word. For plane i of the input and plane j of the weights a
counter takes in E_ij, how many bits are equal, lane by lane (`straight.networks`). With
X = Σ_i A_i·e_i and W_r = Σ_j B_rj·f_j a sum over n products is

    Σ (X − z)·W_r = start_r + Σ_j B_rj·Σ_i 2·A_i·E_ij,   start_r = −n·ΣA·ΣB_r − z·ΣW_r.

One plane on both sides, compared onto one plane, needs no sum: a counter of m + 1 planes that
starts at 2^m − (the least E that passes) ends with the answer in its last plane.
"""

from dataclasses import dataclass

import numpy as np

from mcugen.ir import ops
from mcugen.ir.types import Planes
from mcugen.kernels.constants import Constant, bit_words, numbers
from mcugen.kernels.epilogue import Epilogue, epilogue_of
from mcugen.kernels.planes import WeightPlanes, weight_planes
from mcugen.kernels.step import Step
from mcugen.kernels.storage import WORD_BITS, pack_planes, words
from mcugen.kernels.taps import Cases


@dataclass(frozen=True)
class Sliced:
    """Context of the macros in templates/sliced.j2."""

    blocks: int
    """Of 32 output channels."""
    channels: int
    planes: int
    """Of one counter."""
    factors: tuple[str, ...]
    """2·A_i as C; one per plane of the input."""
    weight_planes: int
    plain: bool
    """Bases of weights are all 1, one plane."""
    direct: bool
    """The counter's last plane is the output."""
    start_by_channel: bool
    outputs: tuple[int, ...]
    """Where the word of each plane of an output pixel lies; empty for numbers."""

    @property
    def counter_words(self) -> int:
        """Words of all counters of one pixel and block."""
        return len(self.factors) * self.weight_planes * self.planes

    @property
    def lane_words(self) -> int:
        """Words for sums, lane by lane, where the counters must leave their planes."""
        return 0 if self.direct else self.weight_planes * WORD_BITS

    @property
    def last_lanes(self) -> int:
        """Channels in the last block."""
        return self.channels - (self.blocks - 1) * WORD_BITS


@dataclass(frozen=True, eq=False)
class Layer:
    """A dense step on bit-sliced counters."""

    sliced: Sliced
    bits: np.ndarray
    """Where bits are equal if the input's are not set: bool [planes, ..., O]."""
    constants: tuple[Constant, ...]
    epilogue: Epilogue | None
    helpers: frozenset[str]


def is_direct(step: Step) -> bool:
    """Whether the counters' last planes can be the output."""
    op = step.epilogue.op if step.epilogue else None
    single = step.planes_in == 1 and weight_planes(step).basis.shape[1] == 1
    return single and isinstance(op, ops.Threshold) and len(op.basis) == 1


def layer_of(step: Step, cases: Cases) -> Layer:
    """What the kernels share, for windows of which `cases` occur."""
    weights, element = weight_planes(step), step.inputs[0].type.element
    assert isinstance(element, Planes)
    direct = is_direct(step)
    start = _initial(step, weights, cases) if direct else _start(step, weights, cases)
    plain = bool((weights.basis == 1).all()) and weights.basis.shape[1] == 1
    basis = numbers("basis", weights.basis, "weights", "[output][plane]")
    target, output = step.output.type.element, step.output.type
    stored = target.count if isinstance(target, Planes) else 0
    channels = step.accumulator.channels
    sliced = Sliced(
        blocks=words(channels),
        channels=channels,
        planes=_planes(weights, direct),
        factors=tuple(f"{2 * entry}u" for entry in element.basis),
        weight_planes=weights.basis.shape[1],
        plain=plain,
        direct=direct,
        start_by_channel=start.values.shape[-1] > 1,
        outputs=tuple(plane * words(output.channels) for plane in range(stored)),
    )
    codes = np.moveaxis(weights.codes, 1, -1)
    if direct:
        codes = codes * _direction(step)
    return Layer(
        sliced=sliced,
        bits=codes < 0,
        constants=(start,) if direct or plain else (start, basis),
        epilogue=None if direct else epilogue_of(step),
        helpers=frozenset(() if direct else {"unslice"}),
    )


def lanes(bits: np.ndarray) -> np.ndarray:
    """Bits with the output channel last as words of 32 lanes: uint32 [..., blocks]."""
    return pack_planes(bits.astype(np.int8))


def _planes(weights: WeightPlanes, direct: bool) -> int:
    """Planes that hold the number of products, and the one for the answer."""
    most = int(np.prod(weights.codes.shape[2:]))
    return most.bit_length() + direct


def _products(weights: WeightPlanes, cases: Cases) -> np.ndarray:
    """Products in the windows of each case: int64 [cases, 1]."""
    return cases.inside.sum(axis=1, keepdims=True).astype(np.int64) * weights.codes.shape[-1]


def _zero_part(step: Step, weights: WeightPlanes, cases: Cases) -> np.ndarray:
    """z·ΣW over the taps inside: int64 [cases, O]."""
    op = step.op
    assert isinstance(op, ops.Conv2d | ops.Linear)
    by_tap = step.env.data(op.w).astype(np.int64).sum(axis=0)
    by_tap = by_tap.reshape(len(by_tap), cases.inside.shape[1], -1).sum(axis=-1)
    return op.x_zero * (cases.inside.astype(np.int64) @ by_tap.T)


def _start(step: Step, weights: WeightPlanes, cases: Cases) -> Constant:
    element = step.inputs[0].type.element
    assert isinstance(element, Planes)
    rows = weights.basis.sum(axis=1).astype(np.int64) * element.reach
    start = -_products(weights, cases) * rows - _zero_part(step, weights, cases)
    # Sums are formed modulo 2^32, so that parts of them may leave it.
    start = start.astype(np.int32)
    if (start == start[:, :1]).all():
        start = start[:, :1]
    return numbers("start", start, "table", "[case of window][channel]: sum if no bit is equal")


def _initial(step: Step, weights: WeightPlanes, cases: Cases) -> Constant:
    element = step.inputs[0].type.element
    assert isinstance(element, Planes)
    assert step.epilogue is not None
    op = step.epilogue.op
    assert isinstance(op, ops.Threshold)
    table = step.env.data(op.table)[:, 0].astype(np.int64)
    products, unit = _products(weights, cases), weights.basis[:, 0] * element.basis[0]
    # direction·acc = unit·(2E − n) − direction·z·ΣW, E counted in the channel's direction.
    missing = table + _direction(step) * _zero_part(step, weights, cases)
    least = -(-(missing + unit * products) // np.maximum(2 * unit, 1))
    always = np.where(missing <= 0, 0, products + 1)
    least = np.clip(np.where(unit > 0, least, always), 0, products + 1)
    planes = _planes(weights, direct=True)
    counts = 2 ** (planes - 1) - least
    bits = counts[:, None, :] >> np.arange(planes)[:, None] & 1
    packed = lanes(bits).swapaxes(1, 2)
    layout = "[case of window][32 outputs][plane]: 2^m - least number of equal bits"
    return bit_words("initial", packed, "table", layout)


def _direction(step: Step) -> np.ndarray:
    """Direction of each output channel's threshold."""
    assert step.epilogue is not None
    op = step.epilogue.op
    assert isinstance(op, ops.Threshold)
    return np.broadcast_to(step.env.data(op.direction).astype(np.int64), step.accumulator.channels)


def window_constants(cases: Cases) -> tuple[Constant, ...]:
    """Tables that say which case each window is, and where each tap is inside; for convolutions."""
    ranges = (
        numbers("rows", cases.rows.ranges, "table", "[row of the window][first, end]: output rows"),
        numbers(
            "columns",
            cases.columns.ranges,
            "table",
            "[column of the window][first, end]: output columns",
        ),
    )
    if cases.count == 1:
        return ranges
    return (
        *ranges,
        numbers("row_case", cases.rows.cases * cases.columns.count, "table", "[output row]"),
        numbers("column_case", cases.columns.cases, "table", "[output column]"),
    )
