"""Channels that never change disappear, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.ir import Int, Planes, Program, TensorType, interp, ops, verify
from mcugen.ir.types import accumulator, spanning
from mcugen.passes.remove_constant_channels import remove_constant_channels
from tests.builder import Builder

ONE = Int(2, True, -1, 1)


def _weights(b: Builder, rng: np.random.Generator, shape: tuple[int, ...], planes: int) -> str:
    rows = rng.integers(0, 4, (planes, shape[0], *[1] * (len(shape) - 1)))
    data = rows * rng.choice([-1, 1], (planes, *shape))
    return b.const(data, Planes(tuple(rows.reshape(planes, -1).max(axis=1).tolist())))


def _thresholds(b: Builder, rng: np.random.Generator, x: str, basis: tuple[int, ...]) -> str:
    """Rows of which many are out of reach."""
    kind = b.program(x).env.type(x)
    middle = rng.integers(kind.integer.lo, kind.integer.hi, kind.channels)
    middle = np.where(rng.random(kind.channels) < 0.5, middle, 10**6)
    middle *= rng.choice([1, -1], kind.channels)
    table = middle[:, None] + np.arange(2 ** len(basis) - 1)
    ref = b.const(table, accumulator(int(table.min()), int(table.max())))
    return b.op(ops.Threshold(x, ref, b.const([1], ONE), basis=basis))


def network(seed: int, pooled: bool, padded: bool) -> Program:
    rng = np.random.default_rng(seed)
    b = Builder(TensorType((1, 6, 6, 3), Int(4, False, 0, 15)))
    w = rng.integers(-4, 5, (int(rng.integers(1, 9)), 2, 2, 3))
    x = b.op(ops.Conv2d(b.x, b.const(w, spanning(-4, 4)), x_zero=5))
    x = _thresholds(b, rng, x, (1, 3))
    if pooled:
        x = b.op(ops.MaxPool(x, window=(2, 2), stride=(2, 2)))
    padding = (1, 0, 0, 1) if padded else (0, 0, 0, 0)
    channels = b.program(x).env.type(x).channels
    x = b.op(ops.Conv2d(x, _weights(b, rng, (7, 2, 2, channels), 2), padding=padding, x_zero=1))
    x = _thresholds(b, rng, x, (2,))
    size = b.program(x).env.type(x).size
    x = b.op(ops.Linear(x, _weights(b, rng, (4, size), 1)))
    m, bias = b.const([3, -2, 5, 1], spanning(-2, 5)), b.const([100], Int(64, True, 0, 100))
    return b.done(b.op(ops.Requantize(x, m, bias, shift=2, lo=-100, hi=100)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_the_outputs_stay(seed: int, pooled: bool, padded: bool) -> None:
    program = network(seed, pooled, padded)
    result = verify(remove_constant_channels(program))
    x = np.random.default_rng(0).integers(0, 16, (40, 6, 6, 3))
    np.testing.assert_array_equal(interp.run(program, x), interp.run(result, x))


@pytest.mark.parametrize(("pooled", "padded"), [(False, False), (True, False), (False, True)])
def test_constant_channels_are_gone(pooled: bool, padded: bool) -> None:
    smaller = 0
    for seed in range(20):
        program = network(seed, pooled, padded)
        result = remove_constant_channels(program)
        sizes = [
            sum(const.data.size for const in item.consts if isinstance(const.type.element, Planes))
            for item in (program, result)
        ]
        smaller += sizes[1] < sizes[0]
    assert smaller >= 15
