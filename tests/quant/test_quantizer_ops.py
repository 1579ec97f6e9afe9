"""The ops against a numpy definition written from the contract, their gradients, their checks."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.errors import McugenError
from mcugen.quant.ops import quantize, quantize_basis

SCALES = [1.0, 0.5, 1 / 255, 0.1, 3.7e-4, 12.5]
DTYPES = st.sampled_from([np.float32, np.float64])


def define_quantize(x, scale, zero_point, lo, hi, axis):
    shape = [1] * x.ndim
    if axis >= 0:
        shape[axis] = -1
    half = x.dtype.type(0.5)
    s = scale.astype(x.dtype).reshape(shape)
    z = zero_point.astype(x.dtype).reshape(shape)
    return (np.clip(np.floor(x / s + z + half), lo, hi) - z) * s


def define_basis(x, basis, offset):
    """One grid, one value at a time: the nearest level, the lower one at a border."""
    levels = []
    for number in range(2 ** len(basis)):
        level = x.dtype.type(0)
        for k, a in enumerate(basis):
            level = level + a * x.dtype.type(1 if number >> k & 1 else -1)
        levels.append(level)
    levels.sort()
    borders = [(low + high) / x.dtype.type(2) + offset for low, high in itertools.pairwise(levels)]
    out = [levels[sum(bool(v > b) for b in borders)] + offset for v in x.reshape(-1)]
    return np.array(out, x.dtype).reshape(x.shape)


def tensors(*arrays):
    return [torch.from_numpy(np.asarray(array)) for array in arrays]


@settings(max_examples=150, deadline=None)
@given(
    DTYPES,
    st.integers(2, 256),
    st.sampled_from(SCALES),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
)
def test_quantize_equals_its_definition_per_tensor(dtype, levels, scale, zero, seed):
    rng = np.random.default_rng(seed)
    scale, zero_point = np.array(scale, dtype), np.array(min(zero, levels - 1))
    # Ties and their neighbours, values far outside, and ordinary ones.
    ties = (rng.integers(-levels, 2 * levels, 50) - zero_point + 0.5).astype(dtype) * scale
    near = np.concatenate([np.nextafter(ties, dtype(9e9)), np.nextafter(ties, dtype(-9e9))])
    other = (rng.normal(0, levels, 50) * scale).astype(dtype)
    x = np.concatenate([ties, near, other, np.array([0, -0.0, 1e30, -1e30], dtype)])
    got = quantize(*tensors(x, scale, zero_point), 0, levels - 1, -1)
    want = define_quantize(x, scale, zero_point, 0, levels - 1, -1)
    np.testing.assert_array_equal(got.numpy(), want)
    assert got.numpy().dtype == dtype


@settings(max_examples=60, deadline=None)
@given(DTYPES, st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_quantize_equals_its_definition_per_channel(dtype, axis, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 3, (2, 3, 4, 5)).astype(dtype)
    channels = x.shape[axis]
    scale = rng.choice(SCALES, channels).astype(dtype)
    zero_point = rng.integers(-3, 4, channels)
    got = quantize(*tensors(x, scale, zero_point), -7, 7, axis)
    np.testing.assert_array_equal(got, define_quantize(x, scale, zero_point, -7, 7, axis))


@settings(max_examples=100, deadline=None)
@given(DTYPES, st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_quantize_basis_equals_its_definition(dtype, planes, seed):
    rng = np.random.default_rng(seed)
    # Multiples of 1/8 make exact ties and equal levels frequent.
    basis = (rng.integers(-8, 17, planes) / 8).astype(dtype)
    offset = dtype(rng.integers(-8, 9) / 8)
    x = (rng.integers(-80, 81, (3, 40)) / 16).astype(dtype)
    got = quantize_basis(*tensors(x, basis, offset), -1)
    np.testing.assert_array_equal(got, define_basis(x, basis, offset))


def test_quantize_basis_per_channel_is_per_tensor_on_each_channel():
    rng = np.random.default_rng(5)
    x, basis, offset = rng.normal(size=(4, 3, 6)), rng.random((3, 2)), rng.normal(size=3)
    got = quantize_basis(*tensors(x, basis, offset), 1)
    for c in range(3):
        np.testing.assert_array_equal(got[:, c], define_basis(x[:, c], basis[c], offset[c]))


def test_binary_takes_the_lower_level_at_zero():
    x = torch.tensor([-1.0, -0.0, 0.0, 1e-30, 1.0])
    got = quantize_basis(x, torch.tensor([0.5]), torch.tensor(0.0), -1)
    assert got.tolist() == [-0.5, -0.5, -0.5, 0.5, 0.5]


def test_values_without_a_nearest_level():
    x = torch.tensor([torch.nan, torch.inf, -torch.inf])
    got = quantize(x, torch.tensor(0.5), torch.tensor(0), -2, 3, -1)
    assert got[0].isnan()
    assert got[1:].tolist() == [1.5, -1.0]
    for planes in (1, 3):
        got = quantize_basis(x, torch.ones(planes), torch.tensor(0.0), -1)
        assert got.tolist() == [-planes, planes, -planes]


def test_quantize_passes_gradient_to_x_inside_and_lsq_gradient_to_scale():
    x = torch.tensor([-9.0, -1.6, 0.3, 1.2, 9.0], requires_grad=True)
    scale = torch.tensor(1.0, requires_grad=True)
    quantize(x, scale, torch.tensor(1), 0, 3, -1).sum().backward()
    assert x.grad.tolist() == [0, 0, 1, 1, 0]  # levels −8, −1, 1, 2, 10 of 0 … 3
    # −1 and −1 below, −0.3 and −0.2 inside, 2 above
    assert scale.grad.item() == pytest.approx(-1 - 1 - 0.3 - 0.2 + 2, abs=1e-6)


def test_quantize_scale_gradient_per_channel_is_the_sum_over_its_channel():
    torch.manual_seed(0)
    x, weight = torch.randn(4, 3, 5), torch.randn(4, 3, 5)
    scale = torch.tensor([0.1, 0.2, 0.3], requires_grad=True)
    (quantize(x, scale, torch.zeros(3, dtype=torch.int64), -7, 7, 1) * weight).sum().backward()
    for c in range(3):
        one = scale[c].detach().clone().requires_grad_()
        part = quantize(x[:, c], one, torch.tensor(0), -7, 7, -1) * weight[:, c]
        part.sum().backward()
        torch.testing.assert_close(scale.grad[c], one.grad)


def test_quantize_basis_gradients():
    x = torch.tensor([-5.0, -1.0, 0.2, 1.9, 2.1], requires_grad=True)
    basis = torch.tensor([1.0], requires_grad=True)
    offset = torch.tensor(0.0, requires_grad=True)
    out = quantize_basis(x, basis, offset, -1)
    (out * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum().backward()
    assert x.grad.tolist() == [0, 2, 3, 4, 0]  # reach: 1 · 2 / 1
    assert basis.grad.tolist() == [-1 - 2 + 3 + 4 + 5]
    assert offset.grad.item() == 15


def test_basis_gradient_is_the_derivative_where_codes_stay():
    torch.manual_seed(1)
    x = torch.randn(3, 50, dtype=torch.float64)
    basis = torch.rand(3, 3, dtype=torch.float64) + torch.tensor([0.3, 1.0, 2.0])
    basis.requires_grad_()
    offset = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda b, o: quantize_basis(x, b, o, 0), (basis, offset))


def test_ops_are_registered_correctly():
    scale = torch.tensor([0.1, 0.2, 0.3], requires_grad=True)
    zero = torch.zeros(3, dtype=torch.int64)
    x = torch.randn(2, 3, 4, requires_grad=True)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(quantize, (x, scale, zero, -7, 7, 1), test_utils=tests)
    basis = torch.rand(3, 2, requires_grad=True)
    torch.library.opcheck(quantize_basis, (x, basis, torch.zeros(3), 1), test_utils=tests)


def test_vmap_over_x_equals_a_loop():
    x = torch.randn(5, 3, 4)
    scale, zero = torch.tensor([0.1, 0.2, 0.3]), torch.zeros(3, dtype=torch.int64)
    got = torch.func.vmap(lambda v: quantize(v, scale, zero, -3, 3, 0))(x)
    assert torch.equal(got, torch.stack([quantize(v, scale, zero, -3, 3, 0) for v in x]))
    basis, offset = torch.rand(3, 2), torch.zeros(3)
    got = torch.func.vmap(lambda v: quantize_basis(v, basis, offset, 0), in_dims=1)(
        x.movedim(0, 1).contiguous()
    )
    assert torch.equal(got, torch.stack([quantize_basis(v, basis, offset, 0) for v in x]))


ONE, ZERO = torch.tensor(1.0), torch.tensor(0)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda x: quantize(x, ONE, ZERO, 4, 3, -1), "range of levels is empty"),
        (lambda x: quantize(x, ONE, ZERO, 0, 3, 2), "axis is outside"),
        (lambda x: quantize(x, ONE, ZERO, 0, 3, -2), "axis is outside"),
        (lambda x: quantize(x, torch.ones(2), ZERO, 0, 3, -1), "scale has the wrong shape"),
        (lambda x: quantize(x, torch.ones(2), ZERO, 0, 3, 1), "scale has the wrong shape"),
        (lambda x: quantize(x, torch.ones(3), ZERO, 0, 3, 1), "zero_point has the wrong shape"),
        (lambda x: quantize(x, ONE, torch.tensor(0.0), 0, 3, -1), "zero_point is not int64"),
        (lambda x: quantize(x.half(), ONE, ZERO, 0, 3, -1), "x is not float32"),
        (lambda x: quantize(x, ZERO, ZERO, 0, 3, -1), "scale is not float32"),
        (lambda x: quantize_basis(x, torch.ones(9), torch.tensor(0.0), -1), "basis has no plane"),
        (lambda x: quantize_basis(x, torch.ones(0), torch.tensor(0.0), -1), "basis has no plane"),
        (lambda x: quantize_basis(x, ONE, torch.tensor(0.0), -1), "basis has no plane"),
        (lambda x: quantize_basis(x, torch.ones(2, 1), torch.zeros(2), 1), "basis has the wrong"),
        (lambda x: quantize_basis(x, torch.ones(1), torch.zeros(1), -1), "offset has the wrong"),
    ],
)
def test_wrong_arguments_are_named(call, what):
    with pytest.raises(McugenError, match=what):
        call(torch.zeros(2, 3))
