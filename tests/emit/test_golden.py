"""Emitted C of small programs, reviewed like C written by hand.

To accept a change: GOLDEN=update .venv/bin/pytest tests/emit/test_golden.py, then review the diff.
"""

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import emit
from mcugen.ir import Int, Planes, Program, Source, TensorType, ops
from mcugen.ir.program import Meaning
from mcugen.ir.types import accumulator
from mcugen.plan.choice import Optimize, Wishes
from mcugen.target.cores import core_named
from tests.builder import Builder

GOLDEN = Path(__file__).parents[1] / "golden"
REFRESH = "GOLDEN=update .venv/bin/pytest tests/emit/test_golden.py"
SIGNS = Int(2, True, -1, 1)


def integers() -> Program:
    """Convolution with thresholds, max pool in place, scores."""
    b = Builder(TensorType((1, 6, 6, 1), Int(8, False, 0, 255)), Meaning((1 / 255,)))
    w = b.const(np.arange(-9, 9).reshape(2, 3, 3, 1), Int(5, True, -16, 15))
    x = b.op(ops.Conv2d(b.x, w, padding=(1, 1, 1, 1)), Source("conv2d", "conv1", "net.py:7"))
    table = b.const(np.array([[-500, 0, 500], [0, 900, 1800]]), accumulator(-9999, 9999))
    x = b.op(ops.Threshold(x, table, b.const([1], SIGNS)))
    x = b.op(ops.MaxPool(x, window=(2, 2), stride=(2, 2)), Source("max_pool2d", "pool"))
    w = b.const(np.arange(54).reshape(3, 18) % 7 - 3, Int(3, True, -4, 3))
    return b.done(b.op(ops.Linear(x, w), Source("linear", "fc", "net.py:9"), Meaning((0.0625,))))


def planes() -> Program:
    """Bits from thresholds, a binary convolution, a binary linear layer and its scores' argmax."""
    b = Builder(TensorType((1, 3, 3, 2), Int(4, True, -8, 7)))
    table = b.const(np.array([[0], [2]]), accumulator(-9, 9))
    x = b.op(ops.Threshold(b.x, table, b.const([1, -1], SIGNS), basis=(1,)))
    x = b.op(ops.Conv2d(x, b.codes((1, 3, 2, 2, 2)), stride=(1, 1)), Source("conv2d", "conv"))
    table = b.const(np.array([[0]]), accumulator(-9, 9))
    x = b.op(ops.Threshold(x, table, b.const([1], SIGNS), basis=(1,)))
    x = b.op(ops.Linear(x, b.const(b_codes(), Planes((1,)))), Source("linear", "fc"))
    return b.done(b.op(ops.ArgMax(x)))


def b_codes() -> np.ndarray:
    return np.where(np.arange(48).reshape(1, 4, 12) % 5 < 2, 1, -1)


def residual() -> Program:
    """Depthwise convolution, requantized and added to its input; a table; an average."""
    b = Builder(TensorType((1, 4, 4, 3), Int(8, True, -128, 127)), Meaning((0.25,), 3))
    w = b.const(np.arange(27).reshape(3, 3, 3, 1) - 13, Int(5, True, -16, 15))
    x = b.op(ops.Conv2d(b.x, w, groups=3, padding=(1, 1, 1, 1), x_zero=3), Source("c", "dw"))
    m = b.const([1_200_000_000, 1_300_000_000, 1_400_000_000], Int(32, True, 0, 2**31 - 1))
    bias = b.const([2**36 + 2**38], Int(64, True, 0, 2**40))
    x = b.op(ops.Requantize(x, m, bias, shift=37, lo=-128, hi=127))
    x = b.op(ops.Add(x, b.x, x_factor=2, y_zero=3), Source("add", "skip"))
    one, none = b.const([1], SIGNS), b.const([4], Int(4, False, 0, 8))
    x = b.op(ops.Requantize(x, one, none, shift=3, lo=-8, hi=7))
    x = b.op(ops.Lookup(x, b.const((np.arange(16) ** 2 % 16)[None], Int(4, False, 0, 15))))
    return b.done(b.op(ops.SumPool(x, window=(4, 4)), Source("mean", "pool")))


#: What each wants least of; the fast kernels of integers would be assembly for the most part.
PROGRAMS = {integers: Optimize.SIZE, planes: Optimize.SPEED, residual: Optimize.SPEED}


@pytest.mark.parametrize("make", PROGRAMS)
def test_emitted_c(make: Callable[[], Program]) -> None:
    wishes = Wishes(optimize=PROGRAMS[make])
    core, name = core_named("cortex-m4"), make.__name__
    emitted = emit(make(), core, name, source_file="net.pt2", wishes=wishes)
    for name in ("model.h", "model.c"):
        path = GOLDEN / f"{make.__name__}.{name}"
        if os.environ.get("GOLDEN") == "update":
            path.write_text(emitted.files[name])
        diff = difflib.unified_diff(
            path.read_text().splitlines(), emitted.files[name].splitlines(), path.name, "emitted"
        )
        changes = "\n".join(diff)
        assert not changes, f"{changes}\n\nto accept: {REFRESH}"
