"""Sums of independent signs: their exact distribution, P(sum ≥ 0) and four ways to its gradient.

Inputs and weights are probabilities of +1. A term x·w is +1 with probability p and −1 with
q = 1 − p. R of the n terms are −1, so that the sum n − 2R is not negative where R ≤ ⌊n/2⌋: a tie
counts as +1.
Tensors are columns: x `[n, N]`, w `[n, m]`, results `[m, N]`.

The derivative of P(R ≤ K) by the p of one term is D, the probability that R = K for the others
alone. "precise" takes the term out of the distribution, "approx1" and "approx2" solve the three or
five central of the n + 1 equations p·x_r + q·x_{r−1} = y_r for the solution of least norm, and
"autograd" differentiates through the computation of the distribution.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from mcugen.train.bernoulli import native

Gradient = Literal["precise", "approx1", "approx2", "autograd"]
GRADIENTS: tuple[str, ...] = get_args(Gradient)
_EQUATIONS = {"approx1": 3, "approx2": 5}
_CHUNK = 1 << 24  # numbers that a backward pass in PyTorch holds at once


def middle(terms: int) -> int:
    """The largest R for which a sum of so many terms counts as +1."""
    return terms // 2


def product(x: Tensor, w: Tensor) -> Tensor:
    """p = P(x·w = +1) of every term, `[n, m, N]`."""
    return 0.5 + 0.5 * (2 * w - 1)[:, :, None] * (2 * x - 1)[:, None, :]


def distribution(p: Tensor) -> Tensor:
    """P(R = r) `[n + 1, …]` of terms that are +1 with probability p `[n, …]`.

    A tree of products: pairs of terms, pairs of pairs.
    """
    terms = p.shape[0]
    parts = torch.stack([p, 1 - p], 1)  # [parts, powers, …], polynomials in the count of −1
    while parts.shape[0] > 1:
        if parts.shape[0] % 2:  # a term that is always +1 changes no count
            one = torch.zeros_like(parts[:1])
            one[:, 0] = 1
            parts = torch.cat([parts, one])
        parts = _products(parts[0::2], parts[1::2])
    return parts[0, : terms + 1]


def _products(a: Tensor, b: Tensor) -> Tensor:
    """The products of polynomials `[parts, powers, …]`, pair by pair."""
    powers = a.shape[1]
    shape = (a.shape[0], 2 * powers - 1, *a.shape[2:])
    total = a.new_zeros(shape)
    for shift in range(powers):
        shifted = a[:, shift : shift + 1] * b
        padding = [0, 0] * (a.dim() - 2) + [shift, powers - 1 - shift]
        total = total + functional.pad(shifted, padding)
    return total


def without(p: Tensor, y: Tensor) -> Tensor:
    """D `[n, …]`: P(R = K) without each of the terms, exactly, from y = P(R = r) `[n + 1, …]`.

    The term is divided out of the polynomial from the end where the error shrinks.
    """
    larger, smaller = torch.maximum(p, 1 - p), torch.minimum(p, 1 - p)
    centre, last = middle(len(p)), len(p)
    up = torch.zeros_like(p)
    for r in range(centre + 1):
        up = (y[r] - smaller * up) / larger
    down = torch.zeros_like(p)
    for r in range(last, centre, -1):
        down = (y[r] - smaller * down) / larger
    return torch.where(p >= 0.5, up, down)


def central(p: Tensor, y: Tensor, equations: int) -> Tensor:
    """D `[n, …]` as the least-norm solution of the 3 or 5 central equations; below 0 set to 0.

    They are centred on K where p ≥ 1/2, else mirrored on K + 1, so that the error falls with the
    smaller of p and q. Their Gram matrix is tridiagonal: p² + q² and, beside it, p·q.
    """
    half = equations // 2
    padded = functional.pad(y, [0, 0] * (y.dim() - 1) + [half, half + 1])
    first = middle(len(p))  # of K − half in `padded`
    window = padded[first : first + equations + 1]
    likely = p >= 0.5
    rows = [torch.where(likely, window[i], window[equations - i]) for i in range(equations)]
    larger, smaller = torch.maximum(p, 1 - p), torch.minimum(p, 1 - p)
    diagonal, beside = larger**2 + smaller**2, larger * smaller
    ratios, right = [beside / diagonal], [rows[0] / diagonal]
    for row in rows[1:]:  # Thomas' algorithm
        pivot = diagonal - beside * ratios[-1]
        right.append((row - beside * right[-1]) / pivot)
        ratios.append(beside / pivot)
    solved = right[-1]
    for i in range(equations - 2, half, -1):
        solved = right[i] - ratios[i] * solved
    return (larger * (right[half] - ratios[half] * solved) + smaller * solved).clamp_min(0)


def not_negative(x: Tensor, w: Tensor, gradient: Gradient = "approx1") -> Tensor:
    """P(Σ x·w ≥ 0) `[m, N]` for P(+1) of inputs `[n, N]` and weights `[n, m]`.

    float32 on the CPU runs in the C kernel, all else, and "autograd", in PyTorch.
    Raises McugenError where the kernel is needed and gcc is missing.
    """
    if gradient == "autograd":
        return distribution(product(x, w))[: middle(len(x)) + 1].sum(0)
    if x.device.type == "cpu" and x.dtype == torch.float32:
        function: type[torch.autograd.Function] = _Native
    else:
        function = _Twin
    z: Tensor = function.apply(x, w, gradient)  # type: ignore[no-untyped-call]
    return z


def normal(x: Tensor, w: Tensor) -> Tensor:
    """`not_negative` from the central limit theorem, with half a step for the sum's lattice.

    Two matrix products in place of the distribution. Off by up to 0.03 for 36 terms, by 0.0006 for
    800, and by more where most of them are certain.
    """
    a, b = 2 * x - 1, 2 * w - 1
    terms = len(x)
    lowest = terms - 2 * middle(terms)  # sum that counts as +1
    mean = b.t() @ a
    variance = terms - (b * b).t() @ (a * a)
    return 0.5 * torch.erfc((lowest - 1 - mean) / torch.sqrt(2 * variance.clamp_min(0.01)))


class _Native(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, gradient):  # type: ignore[no-untyped-def]
        a, b = 2 * x - 1, 2 * w - 1
        z, window = native.forward(a, b)
        ctx.save_for_backward(a, b, window)
        ctx.gradient = gradient
        return z[:, : x.shape[1]]

    @staticmethod
    def backward(ctx, gz):  # type: ignore[no-untyped-def]
        a, b, window = ctx.saved_tensors
        to_x = ctx.needs_input_grad[0]
        return (*native.backward(a, b, window, gz, ctx.gradient, to_x), None)


class _Twin(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, gradient):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, w)
        ctx.gradient = gradient
        parts = [distribution(product(c, w)) for c in x.split(_columns(x, w), 1)]
        return torch.cat([y[: middle(len(x)) + 1].sum(0) for y in parts], 1)

    @staticmethod
    def backward(ctx, gz):  # type: ignore[no-untyped-def]
        x, w = ctx.saved_tensors
        gx, gw = [], torch.zeros_like(w)
        size = _columns(x, w)
        for columns, g in zip(x.split(size, 1), gz.split(size, 1), strict=True):
            p = product(columns, w)
            y = distribution(p)
            equations = _EQUATIONS.get(ctx.gradient)
            pivotal = without(p, y) if equations is None else central(p, y, equations)
            share = pivotal * g
            gx.append(torch.einsum("kji,kj->ki", share, 2 * w - 1))
            gw += torch.einsum("kji,ki->kj", share, 2 * columns - 1)
        return torch.cat(gx, 1), gw, None


def _columns(x: Tensor, w: Tensor) -> int:
    """How many columns PyTorch computes at once."""
    return max(1, _CHUNK // math.prod(w.shape))
