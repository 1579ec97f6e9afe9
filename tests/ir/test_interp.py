"""The interpreter against naive loops that spell each op's docstring out."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.errors import McugenError
from mcugen.ir import (
    BINARY,
    Int,
    Meaning,
    Planes,
    Program,
    TensorType,
    Value,
    constant,
    interp,
    ops,
    verify,
)
from mcugen.ir.program import Const, Node
from mcugen.ir.types import INT32_MAX, accumulator, spanning


def program_of(op: ops.Op, x: TensorType, *consts: Const) -> Program:
    """A program of one op on one input."""
    source = Value("%x", x, Meaning((1.0,)))
    bare = Program("case", "", (source,), consts, (), "%x")
    result = Value("%y", op.infer(bare.env))
    return verify(Program("case", "", (source,), consts, (Node(result, op),), "%y"))


def naive_conv(x: np.ndarray, w: np.ndarray, op: ops.Conv2d) -> np.ndarray:
    out, kh, kw, depth = w.shape
    vertical, horizontal = op.windows((kh, kw))
    height, width = vertical.extent(x.shape[0]), horizontal.extent(x.shape[1])
    y = np.zeros((height, width, out), dtype=np.int64)
    for oy, ox, o in np.ndindex(y.shape):
        first = o // (out // op.groups) * depth
        for ky, kx, i in np.ndindex(kh, kw, depth):
            iy = oy * op.stride[0] - op.padding[0] + ky * op.dilation[0]
            ix = ox * op.stride[1] - op.padding[2] + kx * op.dilation[1]
            if 0 <= iy < x.shape[0] and 0 <= ix < x.shape[1]:
                y[oy, ox, o] += w[o, ky, kx, i] * (x[iy, ix, first + i] - op.x_zero)
    return y


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[ops.Conv2d, np.ndarray, np.ndarray]:
    size = st.integers(1, 3)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    depth, per_group = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kh, kw = draw(size), draw(size)
    op = ops.Conv2d(
        "%x",
        "@w",
        stride=(draw(size), draw(size)),
        padding=tuple(draw(st.integers(0, 2)) for _ in range(4)),
        dilation=(draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        groups=groups,
        x_zero=draw(st.sampled_from([0, 3, 128, -7])),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    w = rng.integers(-128, 128, (per_group * groups, kh, kw, depth))
    x = rng.integers(0, 256, (2, draw(st.integers(5, 7)), draw(st.integers(5, 7)), depth * groups))
    return op, x, w


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_conv2d(case: tuple[ops.Conv2d, np.ndarray, np.ndarray]) -> None:
    op, x, w = case
    kind = TensorType((1, *x.shape[1:]), Int(8, False, 0, 255))
    program = program_of(op, kind, constant("w", w, spanning(-128, 127)))
    want = np.stack([naive_conv(sample, w, op) for sample in x])
    np.testing.assert_array_equal(interp.run(program, x), want)
    interval = program.nodes[0].result.type.integer
    assert interval.lo <= want.min()
    assert want.max() <= interval.hi


def test_planes_convolution_counts_agreements_inside_the_image() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.choice([-1, 1], (1, 3, 5, 6, 40)), rng.choice([-1, 1], (1, 4, 3, 3, 40))
    op = ops.Conv2d("%x", "@w", padding=(1, 1, 1, 1))
    program = program_of(op, TensorType((1, 5, 6, 40), BINARY), constant("w", w, BINARY))
    want = np.stack([naive_conv(sample, w[0], op) for sample in x[0]])
    np.testing.assert_array_equal(interp.run(program, x.astype(np.int8)), want)


@settings(max_examples=40, deadline=None)
@given(convolutions(), st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(1, 4))
def test_planes_convolve_as_the_sums_of_their_planes(
    case: tuple[ops.Conv2d, np.ndarray, np.ndarray], basis: list[int], count: int
) -> None:
    op, like, w = case
    rng = np.random.default_rng(w.size)
    codes = rng.choice([-1, 1], (len(basis), *like.shape)).astype(np.int8)
    rows = rng.integers(0, 6, (count, len(w), 1, 1, 1))
    planes = rows * rng.choice([-1, 1], (count, *w.shape))
    kind = TensorType((1, *like.shape[1:]), Planes(tuple(basis)))
    bound = Planes(tuple(int(b) for b in rows.max(axis=(1, 2, 3, 4))))
    program = program_of(op, kind, constant("w", planes, bound))
    values = sum(entry * plane.astype(np.int64) for entry, plane in zip(basis, codes, strict=True))
    want = np.stack([naive_conv(sample, planes.sum(axis=0), op) for sample in values])
    np.testing.assert_array_equal(interp.run(program, codes), want)
    interval = program.nodes[0].result.type.integer
    assert interval.lo <= want.min()
    assert want.max() <= interval.hi


@pytest.mark.parametrize("basis", [(1,), (3, 5), (1, 2, 4), (3, 4, 5), (1, 1, 1), (0, 2), (5, 2)])
def test_thresholds_onto_planes_give_the_values_in_order(basis: tuple[int, ...]) -> None:
    values = sorted(sum(c) for c in itertools.product(*((-b, b) for b in basis)))
    kind = TensorType((1, len(values)), accumulator(-100, 100))
    table = constant("t", np.arange(1, len(values))[None], accumulator(1, 100))
    direction = constant("d", np.array([1]), spanning(0, 1))
    program = program_of(ops.Threshold("%x", "@t", "@d", basis=basis), kind, table, direction)
    codes = interp.run(program, np.arange(len(values))[None])
    assert interp.plane_values(codes, basis).tolist() == [values]


def test_max_pool_of_planes_is_that_of_their_values() -> None:
    rng = np.random.default_rng(3)
    element = Planes((1, 3, 4))
    op = ops.MaxPool("%x", window=(2, 3), stride=(1, 2), padding=(1, 0, 1, 1))
    codes = rng.choice([-1, 1], (3, 4, 5, 6, 7)).astype(np.int8)
    program = program_of(op, TensorType((1, 5, 6, 7), element))
    got = interp.plane_values(interp.run(program, codes), element.basis)
    whole = program_of(op, TensorType((1, 5, 6, 7), Int(8, True, -8, 8)))
    want = interp.run(whole, interp.plane_values(codes, element.basis))
    np.testing.assert_array_equal(got, want)


def test_rows_of_a_plane_must_be_one_number() -> None:
    with pytest.raises(McugenError, match="whose plane is not ±one number"):
        constant("w", np.array([[[1, -2]]]), Planes((2,)))
    with pytest.raises(McugenError, match="leaves planes<2>"):
        constant("w", np.array([[[3, -3]]]), Planes((2,)))


def test_requantize_floors_in_64_bits() -> None:
    kind = TensorType((1, 4), accumulator(-(2**30), 2**30))
    multiplier = constant("m", np.array([2**31 - 1]), accumulator(0, 2**31 - 1))
    bias = constant("b", np.array([1 << 39]), Int(64, True, 0, 1 << 39))
    op = ops.Requantize("%x", "@m", "@b", shift=40, lo=-128, hi=127)
    program = program_of(op, kind, multiplier, bias)
    x = np.array([[2**30, -(2**30), 256, -257]])
    want = [[min(127, max(-128, ((int(v) * (2**31 - 1) + (1 << 39)) >> 40))) for v in x[0]]]
    np.testing.assert_array_equal(interp.run(program, x), want)


def gemmlowp(x: int, multiplier: int, exponent: int) -> int:
    """MultiplyByQuantizedMultiplier as C computes it, with division towards zero."""
    product = x * 2 ** max(exponent, 0) * multiplier
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    high = nudged // 2**31 if nudged >= 0 else -(-nudged // 2**31)
    right = max(-exponent, 0)
    remainder, threshold = high % 2**right, (2**right - 1) // 2 + (high < 0)
    return high // 2**right + (remainder > threshold)


@settings(max_examples=200, deadline=None)
@given(
    x=st.integers(-(2**23), 2**23),
    multiplier=st.integers(2**30, 2**31 - 1) | st.sampled_from([0, 2**30, 2**31 - 1]),
    exponent=st.integers(-31, 4),
)
def test_rescale_rounds_twice(x: int, multiplier: int, exponent: int) -> None:
    kind = TensorType((1, 1), accumulator(-(2**25), 2**25))
    consts = [
        constant("b", np.array([5]), spanning(5, 5)),
        constant("m", np.array([multiplier]), accumulator(0, 2**31 - 1)),
        constant("e", np.array([exponent]), spanning(-31, 4)),
    ]
    op = ops.Rescale("%x", "@b", "@m", "@e", zero=-3, lo=-128, hi=2**20)
    program = program_of(op, kind, *consts)
    # Halves of what the second rounding divides: where kernels differ most.
    near = [x, 1 << max(0, -exponent), -1 << max(0, -exponent), 3 << max(0, -exponent - 1)]
    for value in (item for item in near if abs(item) <= 2**25):
        want = min(max(gemmlowp(value + 5, multiplier, exponent) - 3, -128), 2**20)
        assert interp.run(program, np.array([[value]])).item() == want


def test_threshold_follows_its_direction() -> None:
    kind = TensorType((1, 2), accumulator(-10, 10))
    table = constant("t", np.array([[-2, 0, 5], [-2, 0, 5]]), accumulator(-2, 5))
    direction = constant("d", np.array([1, -1]), spanning(-1, 1))
    op = ops.Threshold("%x", "@t", "@d", lo=-1)
    program = program_of(op, kind, table, direction)
    x = np.array([[-3, -3], [-2, -2], [0, 0], [5, -5], [4, 3]])
    np.testing.assert_array_equal(
        interp.run(program, x), [[-1, 1], [0, 1], [1, 1], [2, 2], [1, -1]]
    )


def test_lookup_starts_at_the_lowest_input() -> None:
    kind = TensorType((1, 3), Int(8, True, -2, 1))
    table = constant("t", np.array([[7, -1, 0, 3]]), spanning(-1, 7))
    program = program_of(ops.Lookup("%x", "@t"), kind, table)
    np.testing.assert_array_equal(interp.run(program, np.array([[-2, 0, 1]])), [[7, 0, 3]])


def test_pools_ignore_what_lies_outside() -> None:
    kind = TensorType((1, 2, 2, 1), Int(8, True, -128, 127))
    x = np.array([[[[-5], [-6]], [[-7], [-8]]]])
    highest = program_of(
        ops.MaxPool("%x", window=(2, 2), stride=(2, 2), padding=(1, 1, 1, 1)), kind
    )
    np.testing.assert_array_equal(interp.run(highest, x).ravel(), [-5, -6, -7, -8])
    total = ops.SumPool("%x", window=(2, 2), stride=(2, 2), padding=(1, 1, 1, 1), x_zero=2)
    np.testing.assert_array_equal(interp.run(program_of(total, kind), x).ravel(), [-7, -8, -9, -10])


def test_a_slice_is_part_of_an_axis() -> None:
    kind = TensorType((1, 3, 4, 2), Int(8, False, 0, 99))
    x = np.arange(48).reshape(2, 3, 4, 2)
    for axis, begin, end in ((1, 1, 3), (2, 0, 2), (3, 1, 2)):
        got = interp.run(program_of(ops.Slice("%x", axis=axis, begin=begin, end=end), kind), x)
        want = [x[:, 1:3], x[:, :, :2], x[..., 1:]][axis - 1]
        np.testing.assert_array_equal(got, want)


def test_input_outside_its_interval_is_refused() -> None:
    kind = TensorType((1, 2), Int(8, False, 0, 15))
    program = program_of(ops.Reshape("%x", shape=(1, 2)), kind)
    with pytest.raises(McugenError, match="values in"):
        interp.run(program, np.array([[0, 16]]))
    with pytest.raises(McugenError, match="input is"):
        interp.run(program, np.array([[0, 1, 2]]))


def test_average_pool_rounds_halves_away_from_zero() -> None:
    kind = TensorType((1, 2, 2, 1), Int(8, True, -128, 127))
    x = np.array([[[[-5], [-6]], [[7], [-4]]]])
    op = ops.AveragePool("%x", window=(1, 2), padding=(0, 0, 0, 1), lo=-5, hi=1)
    # −5.5 → −6, which the clamp makes −5; 1.5 → 2 → 1; the last column is alone under its window.
    got = interp.run(program_of(op, kind), x)
    np.testing.assert_array_equal(got.ravel(), [-5, -5, 1, -4])
    with pytest.raises(McugenError, match="lies outside the image"):
        program_of(ops.AveragePool("%x", window=(1, 1), padding=(1, 0, 0, 0), lo=0, hi=1), kind)


def test_average_pool_spelled_out() -> None:
    rng = np.random.default_rng(1)
    kind = TensorType((1, 5, 6, 2), Int(8, True, -128, 127))
    x = rng.integers(-128, 128, (3, 5, 6, 2))
    op = ops.AveragePool("%x", window=(3, 2), stride=(2, 1), padding=(1, 1, 0, 1), lo=-128, hi=127)
    got = interp.run(program_of(op, kind), x)
    for n, oy, ox, c in np.ndindex(got.shape):
        taps = [
            x[n, oy * 2 - 1 + ky, ox + kx, c]
            for ky, kx in np.ndindex(3, 2)
            if 0 <= oy * 2 - 1 + ky < 5 and ox + kx < 6
        ]
        mean = Fraction(int(sum(taps)), len(taps))
        want = math.floor(abs(mean) + Fraction(1, 2)) * (1 if mean > 0 else -1)
        assert got[n, oy, ox, c] == want


def test_softmax_is_close_to_the_real_one() -> None:
    scale = 0.1
    exps = np.minimum(2.0**31 * np.exp(-np.arange(256) * scale), INT32_MAX).astype(np.int64)
    kind = TensorType((1, 2, 10), Int(8, True, -128, 127))
    op = ops.Softmax("%x", "@e", bits=8, lo=-128)
    program = program_of(op, kind, constant("e", exps, accumulator(0, INT32_MAX)))
    x = np.random.default_rng(0).integers(-128, 128, (50, 2, 10))
    x[0] = -128
    real = np.exp(x * scale)
    real /= real.sum(axis=-1, keepdims=True)
    got = (interp.run(program, x) + 128) / 256
    assert np.abs(got - np.minimum(real, 255 / 256)).max() <= 0.51 / 256


@pytest.mark.parametrize(
    ("length", "bits", "lo", "exps", "message"),
    [
        (512, 8, -128, [INT32_MAX, 0], "could overflow its sum"),
        (4096, 16, 0, [INT32_MAX, 0], "could overflow its sum"),
        (3, 8, -128, [INT32_MAX], "levels"),
        (3, 8, -128, [5, 0], "must begin at"),
        (3, 9, 0, [INT32_MAX, 0], "output of 9 bits"),
        (3, 8, 1, [INT32_MAX, 0], "lo 1"),
    ],
)
def test_softmax_refused(length: int, bits: int, lo: int, exps: list[int], message: str) -> None:
    kind = TensorType((1, length), Int(1, False, 0, 1))
    table = constant("e", np.array(exps), accumulator(0, INT32_MAX))
    with pytest.raises(McugenError, match=message):
        program_of(ops.Softmax("%x", "@e", bits=bits, lo=lo), kind, table)


def naive_transpose_conv(x: np.ndarray, w: np.ndarray, op: ops.TransposeConv2d) -> np.ndarray:
    y = np.zeros((*op.extent, len(w)), dtype=np.int64)
    for iy, ix, i in np.ndindex(x.shape):
        for o, ky, kx in np.ndindex(w.shape[:3]):
            oy = iy * op.stride[0] - op.padding[0] + ky
            ox = ix * op.stride[1] - op.padding[1] + kx
            if 0 <= oy < op.extent[0] and 0 <= ox < op.extent[1]:
                y[oy, ox, o] += w[o, ky, kx, i] * (x[iy, ix, i] - op.x_zero)
    return y


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_transpose_conv2d(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (2, *rng.integers(1, 5, 3)))
    w = rng.integers(-128, 128, (*rng.integers(1, 4, 3), x.shape[3]))
    stride, before = rng.integers(1, 4, 2), rng.integers(0, 3, 2)
    most = (np.array(x.shape[1:3]) - 1) * stride + w.shape[1:3] + stride - 1 - before
    op = ops.TransposeConv2d(
        "%x",
        "@w",
        stride=tuple(stride.tolist()),
        padding=tuple(before.tolist()),
        extent=tuple(np.maximum(1, most - rng.integers(0, 3, 2)).tolist()),
        x_zero=int(rng.choice([0, 7, 128])),
    )
    kind = TensorType((1, *x.shape[1:]), Int(8, False, 0, 255))
    try:
        program = program_of(op, kind, constant("w", w, spanning(-128, 127)))
    except McugenError as error:
        assert "beyond the input's reach" in str(error)  # noqa: PT017 - where nothing is left
        return
    want = np.stack([naive_transpose_conv(sample, w, op) for sample in x])
    np.testing.assert_array_equal(interp.run(program, x), want)
    interval = program.nodes[0].result.type.integer
    assert interval.lo <= want.min()
    assert want.max() <= interval.hi


def test_resize_takes_the_pixels_that_it_names() -> None:
    x = np.arange(24).reshape(2, 2, 3, 2)
    kind = TensorType((1, 2, 3, 2), Int(8, False, 0, 99))
    rows = constant("r", np.array([1, 0, 0]), spanning(0, 1))
    columns = constant("c", np.array([2, 2]), spanning(0, 2))
    got = interp.run(program_of(ops.Resize("%x", "@r", "@c"), kind, rows, columns), x)
    for n, i, j in np.ndindex(2, 3, 2):
        np.testing.assert_array_equal(got[n, i, j], x[n, (1, 0, 0)[i], 2])
    with pytest.raises(McugenError, match="positions outside"):
        program_of(ops.Resize("%x", "@c", "@c"), kind, columns)


def test_interpolate_mirrors_what_lies_between_points() -> None:
    kind = TensorType((1, 7), Int(16, True, -(2**15), 2**15 - 1))
    table = constant("t", np.array([0, 40, 60]), Int(8, False, 0, 255))
    op = ops.Interpolate(
        "%x", "@t", multiplier=1, right=0, fraction=2, top=999, above=1, below=0, shift=1
    )
    # Four steps to a point: 3 → (0·4 + 3·40 + 1) >> 1, −5 → −(40·4 + 20) >> 1; from 8 on `top`.
    x = np.array([[0, 3, 4, -5, 7, 8, -100]])
    got = interp.run(program_of(op, kind, table), x)
    np.testing.assert_array_equal(got, [[0, 60, 80, -90, 110, 500, -500]])
