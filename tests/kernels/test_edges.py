"""Corners that random programs seldom meet, one program each, all in one library."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import emit, write
from mcugen.errors import McugenError
from mcugen.ir import Int, Planes, Program, TensorType, interp, ops
from mcugen.ir.types import INT32_MAX, INT32_MIN, accumulator
from mcugen.run.host import run_sanitized
from mcugen.target.cores import core_named
from tests.builder import Builder
from tests.programs import random_inputs

I8 = Int(8, True, -128, 127)
U8 = Int(8, False, 0, 255)
WIDE = Int(32, True, INT32_MIN + 1, INT32_MAX)


def _window_outside_the_image() -> Program:
    b = Builder(TensorType((1, 2, 2, 3), I8))
    w = b.const(np.full((2, 2, 2, 3), -128), I8)
    return b.done(b.op(ops.Conv2d(b.x, w, padding=(4, 3, 4, 3), x_zero=-128)))


def _dilated_window_outside_in_planes() -> Program:
    b = Builder(TensorType((1, 3, 2, 33), Planes((1,))))
    w = b.codes((1, 5, 2, 3, 33))
    return b.done(b.op(ops.Conv2d(b.x, w, padding=(3, 3, 5, 5), dilation=(2, 3))))


def _two_planes_pooled() -> Program:
    b = Builder(TensorType((1, 4, 5, 40), Planes((1, 2))))
    return b.done(b.op(ops.MaxPool(b.x, window=(2, 3), stride=(1, 2), padding=(1, 0, 0, 1))))


def _planes_over_their_input() -> Program:
    """The words of the last plane would lie over input that is not yet read."""
    b = Builder(TensorType((1, 300), I8))
    table = b.const(np.arange(-60, 80, 20)[None], I8)
    rising = b.const(np.array([1]), Int(1, False, 0, 1))
    x = b.op(ops.Threshold(b.x, table, rising, basis=(1, 2, 5)))
    return b.done(b.op(ops.Linear(x, b.codes((2, 5, 300)))))


def _widest_maximum_and_argmax() -> Program:
    b = Builder(TensorType((1, 2, 2, 7), WIDE))
    x = b.op(ops.MaxPool(b.x, window=(2, 2)))
    x = b.op(ops.Reshape(x, shape=(1, 7)))
    return b.done(b.op(ops.ArgMax(x)))


def _widest_thresholds() -> Program:
    b = Builder(TensorType((1, 3), WIDE))
    table = np.array([[INT32_MIN, -1, 0, 5, 6, INT32_MAX]] * 3)
    directions = b.const(np.array([1, -1, 1]), Int(2, True, -1, 1))
    return b.done(b.op(ops.Threshold(b.x, b.const(table, accumulator(*_ends())), directions)))


def _ends() -> tuple[int, int]:
    return INT32_MIN, INT32_MAX


def _widest_requantize() -> Program:
    b = Builder(TensorType((1, 5), WIDE))
    m = b.const(np.array([INT32_MIN]), Int(32, True, *_ends()))
    bias = b.const(np.array([2**62]), Int(64, True, -(2**63), 2**63 - 1))
    return b.done(b.op(ops.Requantize(b.x, m, bias, shift=3, lo=INT32_MIN, hi=INT32_MAX)))


def _same_operand_twice() -> Program:
    b = Builder(TensorType((1, 4, 4, 2), I8))
    return b.done(b.op(ops.Add(b.x, b.x, x_factor=3, y_factor=-1, x_zero=-128, y_zero=127)))


def _output_also_read_later() -> Program:
    b = Builder(TensorType((1, 6), U8))
    first = b.op(ops.Add(b.x, b.x))
    b.op(ops.Mul(first, b.x))
    program = b.program(first)
    return program.with_nodes(program.nodes[:1])


def _input_reshaped_to_output() -> Program:
    b = Builder(TensorType((1, 2, 2, 3), U8))
    return b.done(b.op(ops.Reshape(b.x, shape=(1, 12))))


def _accumulators_read_twice() -> Program:
    b = Builder(TensorType((1, 8), U8))
    acc = b.op(ops.Linear(b.x, b.const(np.arange(-32, 32).reshape(8, 8), I8), x_zero=200))
    one = b.op(ops.Lookup(b.x, b.const(np.arange(256)[None] % 7, Int(3, False, 0, 7))))
    return b.done(b.op(ops.Mul(acc, one)))


CASES = [
    _window_outside_the_image,
    _dilated_window_outside_in_planes,
    _two_planes_pooled,
    _planes_over_their_input,
    _widest_maximum_and_argmax,
    _widest_thresholds,
    _widest_requantize,
    _same_operand_twice,
    _output_also_read_later,
    _input_reshaped_to_output,
    _accumulators_read_twice,
]


@pytest.mark.parametrize("make", CASES)
def test_corner(make: Callable[[], Program], tmp_path: Path) -> None:
    program = make()
    write(tmp_path / "model", emit(program, core_named("cortex-m0plus"), "corner"))
    inputs = random_inputs(program, 40, seed=3)
    np.testing.assert_array_equal(
        run_sanitized(tmp_path / "model", inputs), interp.run(program, inputs)
    )


def test_difference_beyond_32_bits_is_refused() -> None:
    b = Builder(TensorType((1, 2), WIDE))
    # A factor of 0 keeps the sum small, but not the difference that is multiplied by it.
    program = b.done(b.op(ops.Add(b.x, b.x, x_factor=0, x_zero=-5, y_factor=0)))
    with pytest.raises(McugenError, match="operand 0 minus its zero point leaves 32 bits"):
        emit(program, core_named("cortex-m4"), "wide")
