"""The upper half of one product requantizes as 64 bits do, or is not taken."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mcugen.ir import Int, TensorType, ops
from mcugen.ir.types import INT32_MAX, INT32_MIN
from mcugen.kernels.upper import Upper, upper
from mcugen.plan.steps import fuse
from tests.builder import Builder


@dataclass(frozen=True)
class Case:
    multiplier: int
    bias: int
    shift: int
    signed: bool
    low: int
    high: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Multipliers of all widths, and biases that put the results anywhere."""
    width = draw(st.integers(0, 31))
    multiplier = draw(st.integers(-(2**width) + 1, 2**width - 1))
    low = draw(st.integers(-(2**23) + 2**14, 2**23 - 2**14))
    high = draw(st.integers(low, min(low + 3000, 2**23 - 2**14)))
    shift = draw(st.integers(0, 55))
    middle = draw(st.integers(-300, 300)) << shift
    bias = middle - multiplier * (low + high) // 2 + draw(st.integers(0, (1 << shift) - 1))
    return Case(multiplier, bias, shift, draw(st.booleans()), low, high)


def _upper(case: Case) -> Upper | None:
    kind = Int(8, True, -128, 127) if case.signed else Int(8, False, 0, 255)
    b = Builder(TensorType((1, 1), Int(32, True, case.low, case.high)))
    multiplier = b.const(np.array([case.multiplier]), Int(32, True, INT32_MIN, INT32_MAX))
    bias = b.const(np.array([case.bias]), Int(64, True, -(2**63), 2**63 - 1))
    op = ops.Requantize(b.x, multiplier, bias, shift=case.shift, lo=kind.lo, hi=kind.hi)
    (step,) = fuse(b.done(b.op(op))).steps
    return upper(step, (np.array([case.low]), np.array([case.high])), 8)


@given(cases())
def test_every_result_is_the_same(case: Case) -> None:
    found = _upper(case)
    if found is None:
        return
    lo, hi = (-128, 127) if case.signed else (0, 255)
    for acc in range(case.low, case.high + 1):
        exact = (acc * case.multiplier + case.bias) >> case.shift
        product = ((acc + int(found.start[0])) << 8) * int(found.multiplier[0])
        value = (product >> 32) + int(found.addend[0])
        assert INT32_MIN <= (acc + int(found.start[0])) << 8 <= INT32_MAX
        assert INT32_MIN <= value <= INT32_MAX
        assert min(max(exact, lo), hi) == min(max(value >> found.shift, lo), hi)


def test_what_frontends_make_is_found() -> None:
    """31 bits, an odd bias and rounding, sums of 24 bits onto 8."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        multiplier = int(rng.integers(2**30, 2**31))
        shift = int(rng.integers(36, 44))
        bias = int(rng.integers(-(2**20), 2**20)) * multiplier + (1 << (shift - 1))
        case = Case(multiplier, bias, shift, True, -(2**22), 2**22)
        assert _upper(case) is not None
