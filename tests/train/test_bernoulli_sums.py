"""Exact sums of independent signs: distribution, P(sum ≥ 0), the gradients and the C kernel."""

import itertools
import math

import pytest
import torch

from mcugen.errors import McugenError
from mcugen.train.bernoulli import native, sums

SIZES = [(5, 3, 7), (36, 8, 20), (37, 4, 33), (64, 2, 16)]  # terms, outputs, columns


def uniform(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def doubtful(seed, *shape):
    """Beta(0.3, 0.3): most probabilities are near 0 or 1."""
    torch.manual_seed(seed)
    return torch.distributions.Beta(0.3, 0.3).sample(shape).double()


def gradients(x, w, gradient, weight=None):
    """z and its gradients, weighted."""
    x, w = (t.clone().requires_grad_() for t in (x, w))
    z = sums.not_negative(x, w, gradient)
    z.backward(torch.ones_like(z) if weight is None else weight.to(z.dtype))
    return z.detach(), x.grad, w.grad


def share(gradient, terms, seed, draw=uniform):
    """D of all terms of one sum: its derivative by each p."""
    p = draw(seed, terms)[:, None, None]
    y = sums.distribution(p)
    equations = {"approx1": 3, "approx2": 5}.get(gradient)
    return (sums.without(p, y) if equations is None else sums.central(p, y, equations)).flatten()


@pytest.mark.parametrize("terms", range(1, 11))
def test_the_distribution_is_that_of_all_cases(terms):
    p = uniform(terms, terms)
    expected = torch.zeros(terms + 1, dtype=torch.float64)
    for case in itertools.product((0, 1), repeat=terms):
        chances = [float(1 - p[k] if minus else p[k]) for k, minus in enumerate(case)]
        expected[sum(case)] += math.prod(chances)
    found = sums.distribution(p[:, None, None]).flatten()
    assert (found - expected).abs().max() <= 1e-12
    assert abs(float(found.sum()) - 1) <= 1e-12


@pytest.mark.parametrize("terms", [1, 9, 37, 801])
def test_an_odd_count_of_coins_is_even(terms):
    z = sums.not_negative(torch.full((terms, 1), 0.5).double(), uniform(0, terms, 1), "precise")
    assert float(z) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("terms", [9, 36, 37, 64, 800])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_precise_is_autograd(terms, dtype, tolerance):
    x, w = uniform(1, terms, 2).to(dtype), uniform(2, terms, 2).to(dtype)
    for a, b in zip(gradients(x, w, "precise"), gradients(x, w, "autograd"), strict=True):
        assert (a - b).abs().max() <= tolerance


@pytest.mark.parametrize("terms", [2, 5, 9])
def test_precise_is_the_derivative(terms):
    x, w = (uniform(seed, terms, 3).requires_grad_() for seed in (1, 2))
    assert torch.autograd.gradcheck(lambda a, b: sums.not_negative(a, b, "precise"), (x, w))


@pytest.mark.parametrize(("gradient", "least"), [("approx1", 0.99), ("approx2", 0.995)])
@pytest.mark.parametrize("terms", [36, 80, 800])
def test_approximations_point_where_the_gradient_does(gradient, least, terms):
    for seed in range(4):
        exact, found = (share(name, terms, seed) for name in ("precise", gradient))
        assert torch.cosine_similarity(exact, found, 0) >= least


@pytest.mark.parametrize(("gradient", "equations"), [("approx1", 3), ("approx2", 5)])
def test_approximations_are_least_squares_solutions(gradient, equations):
    terms, half = 36, equations // 2
    p = uniform(3, terms)
    y = sums.distribution(p[:, None, None]).flatten()
    found = share(gradient, terms, 3)
    for k in range(terms):
        likely = bool(p[k] >= 0.5)
        first = sums.middle(terms) - half + (not likely)
        matrix = torch.zeros(equations, equations + 1, dtype=torch.float64)  # of x[first - 1 …]
        for row in range(equations):
            matrix[row, row], matrix[row, row + 1] = 1 - p[k], p[k]
        solved = torch.linalg.lstsq(matrix, y[first : first + equations, None], driver="gelsd")
        centre = sums.middle(terms) - first + 1
        assert abs(float(solved.solution[centre] - found[k])) <= 1e-10


@pytest.mark.parametrize("gradient", ["precise", "approx1", "approx2"])
def test_certain_terms_have_exact_gradients(gradient):
    x, w = (uniform(seed, 12, 40).round() for seed in (4, 5))
    for exact, found in zip(gradients(x, w, "autograd"), gradients(x, w, gradient), strict=True):
        assert (exact - found).abs().max() <= 1e-12


@pytest.mark.parametrize("terms", [9, 36, 64, 800])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certain_terms_are_certain_sums_and_a_tie_is_plus(terms, dtype):
    x, w = (uniform(seed, terms, 40).round().to(dtype) for seed in (6, 7))
    x[:, 0], w[:, 0] = 1, 0
    w[: terms - terms // 2, 0] = 1  # for even counts as many +1 as −1
    z = sums.not_negative(x, w)
    assert torch.equal(z, (((2 * w - 1).t() @ (2 * x - 1)) >= 0).to(dtype))
    assert float(z[0, 0]) == 1


@pytest.mark.parametrize(("terms", "outputs", "columns"), [*SIZES, (800, 3, 17)])
@pytest.mark.parametrize("draw", [uniform, doubtful])
@pytest.mark.parametrize("gradient", list(native.GRADIENTS))
def test_the_kernel_is_its_twin(terms, outputs, columns, draw, gradient):
    x, w = draw(8, terms, columns), draw(9, terms, outputs)
    weight = uniform(10, outputs, columns) - 0.5
    exact = gradients(x, w, gradient, weight)
    found = gradients(x.float(), w.float(), gradient, weight)
    for a, b in zip(exact, found, strict=True):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= 3e-6 * max(1, float(a.abs().max()))


def test_the_kernel_needs_no_gradient_of_the_image():
    x, w = uniform(1, 36, 20).float(), uniform(2, 36, 8).float().requires_grad_()
    sums.not_negative(x, w).sum().backward()
    assert w.grad.abs().sum() > 0


def test_a_missing_compiler_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("mcugen.tools.BESIDE_PYTHON", str(tmp_path))
    native._library.cache_clear()
    with pytest.raises(McugenError, match="missing program: gcc"):
        sums.not_negative(torch.rand(4, 1), torch.rand(4, 1))


@pytest.mark.parametrize(
    ("terms", "draw", "most"),
    [(36, uniform, 0.01), (36, doubtful, 0.05), (800, uniform, 0.001), (800, doubtful, 0.002)],
)
def test_the_normal_form_errs_little(terms, draw, most):
    for count in (terms, terms + 1):
        x, w = draw(1, count, 16), draw(2, count, 4)
        x = torch.ones_like(x) if draw is doubtful else x
        error = (sums.normal(x, w) - sums.not_negative(x, w, "precise")).abs().max()
        assert 0 < error <= most


def test_the_scores_are_the_expected_sums():
    x, w = uniform(1, 9, 3), uniform(2, 9, 2)
    y = sums.distribution(sums.product(x, w))
    expected = (y * (9 - 2 * torch.arange(10.0).double())[:, None, None]).sum(0)
    assert torch.allclose(expected, (2 * w - 1).t() @ (2 * x - 1), atol=1e-12)
