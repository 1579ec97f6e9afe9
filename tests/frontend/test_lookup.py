"""Tables: what float64 decides is what exact numbers say."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.frontend.lower.epilogues import lookup
from mcugen.frontend.lower.functions import (
    Clamp,
    Function,
    LeakyRelu,
    SelfGated,
    Sigmoid,
    Tanh,
    affine,
    evaluate_exact,
)
from mcugen.frontend.lower.grids import Ties, UniformGrid
from mcugen.ir.types import spanning

FUNCTIONS: tuple[tuple[Function, ...], ...] = (
    (),
    (Clamp(-1.5, 2.0),),
    (LeakyRelu(0.125),),
    (Sigmoid(),),
    (Tanh(), affine(0.5, 0.25)),
    (SelfGated((affine(1 / 6, 0.5), Clamp(0.0, 1.0))),),
    (affine(np.array([0.5, -2.0, 1e9]), np.array([0.0, 0.125, -1e12])),),
)
SCALES = st.sampled_from((1.0, 0.5, 2**-7, 0.1, 1 / 255, 1e-6))


@settings(max_examples=60, deadline=None)
@given(
    functions=st.sampled_from(FUNCTIONS),
    scales=st.tuples(SCALES, SCALES),
    zeros=st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    ties=st.sampled_from(Ties),
)
def test_every_entry_is_exact(
    functions: tuple[Function, ...],
    scales: tuple[float, float],
    zeros: tuple[int, int],
    ties: Ties,
) -> None:
    chain = (affine(1.0, -float(zeros[0])), affine(scales[0], 0.0), *functions)
    grid = UniformGrid(np.array([scales[1]]), zeros[1], -128, 127, ties)
    element = spanning(-40, 40)
    found = lookup(element, chain, grid).table
    for channel, row in enumerate(found):
        for q, level in zip(range(-40, 41), row, strict=True):
            assert level == grid.quantize(evaluate_exact(chain, Fraction(q), channel), channel)
