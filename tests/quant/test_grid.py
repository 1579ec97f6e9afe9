"""Level counts, bounds and what quantizers of every width make of data."""

import numpy as np
import pytest
import torch

from mcugen.errors import McugenError
from mcugen.quant.grid import Basis, Uniform, settle
from mcugen.quant.observer import Observer
from mcugen.quant.quantizer import make_quantizer


@pytest.mark.parametrize(
    ("grid", "bounds"),
    [
        (Uniform(bits=8), (-127, 127)),
        (Uniform(bits=4), (-7, 7)),
        (Uniform(bits=2), (-1, 1)),
        (Uniform(levels=23), (-11, 11)),
        (Uniform(levels=3), (-1, 1)),
        (Uniform(levels=16), (-8, 7)),
        (Uniform(bits=8, symmetric=False), (0, 255)),
    ],
)
def test_bounds_of_weights(grid, bounds):
    assert settle(grid, weight=True).bounds == bounds


def test_activations_are_affine_per_tensor_and_weights_symmetric_per_channel():
    assert settle(Uniform(levels=23), weight=False) == Uniform(None, 23, False, False)
    assert settle(Uniform(bits=3), weight=True) == Uniform(3, None, True, True)


@pytest.mark.parametrize("weight", [True, False])
@pytest.mark.parametrize("grid", [Uniform(bits=1), Uniform(levels=2)])
def test_two_levels_are_binary(grid, weight):
    assert settle(grid, weight) == Basis(planes=1, per_channel=weight)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Uniform(),
        lambda: Uniform(bits=8, levels=4),
        lambda: Uniform(bits=0),
        lambda: Uniform(bits=9),
        lambda: Uniform(levels=1),
        lambda: Uniform(levels=1 << 20),
        lambda: Basis(planes=0),
        lambda: Basis(planes=9),
    ],
)
def test_impossible_grids(make):
    with pytest.raises(McugenError):
        make()


GRIDS = [Uniform(bits=b) for b in range(1, 9)]
GRIDS += [Uniform(levels=n) for n in (*range(2, 34), 63, 64, 85, 127, 128, 200, 255, 256)]


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("weight", [True, False])
def test_every_width_stays_on_its_levels_and_keeps_zero(weight, per_channel):
    torch.manual_seed(0)
    x = torch.randn(6, 4, 50) * torch.tensor([0.01, 1.0, 3.0, 40.0])[:, None]
    for grid in GRIDS:
        settled = settle(Uniform(grid.bits, grid.levels, None, per_channel), weight)
        quantizer = make_quantizer(settled, axis=1)
        observer = Observer()
        observer.add(quantizer.rows(x))
        quantizer.fit(observer)
        y = quantizer(x)
        rows = quantizer.rows(y.detach())
        assert all(len(np.unique(row)) <= settled.count for row in rows)
        if isinstance(settled, Uniform):
            assert torch.equal(quantizer(torch.zeros_like(x)), torch.zeros_like(x))
            step = quantizer.scale.detach().reshape(-1, 1)
            # Min/max covers the data: no value is farther off than half a step, or, at the ends
            # of an affine grid whose zero point was rounded, one step.
            assert ((rows - quantizer.rows(x)).abs() <= step * 1.0001).all()
            assert torch.equal(quantizer(y), y)


def test_more_levels_have_less_error():
    x = torch.randn(1, 5000)
    errors = []
    for levels in (3, 5, 9, 17, 65, 255):
        quantizer = make_quantizer(settle(Uniform(levels=levels), weight=False), axis=-1)
        observer = Observer()
        observer.add(x)
        quantizer.fit(observer, search=True)
        errors.append((quantizer(x) - x).square().mean().item())
    assert errors == sorted(errors, reverse=True)


def test_binary_weights_are_plus_minus_the_mean_magnitude():
    quantizer = make_quantizer(settle(Uniform(bits=1), weight=True), axis=0)
    weight = torch.tensor([[1.0, -3.0], [0.5, 0.5]])
    observer = Observer()
    observer.add(quantizer.rows(weight))
    quantizer.fit(observer)
    assert quantizer(weight).tolist() == [[2.0, -2.0], [0.5, 0.5]]
