"""QEM against what is known of the best grids, its descent, and data at the edges."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mcugen.errors import McugenError
from mcugen.quant import Basis, calibrate, follow_data_, quantize_
from mcugen.quant.ops import quantize_basis
from mcugen.quant.qem import REACHES, ROUNDS, Qem, Solution
from mcugen.quant.quantizer import BasisQuantizer

SOLVERS = ("closed", "gradient")


def normal(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, count, generator=generator, dtype=torch.float64)


def error(qem, rows, at):
    return float(qem.moments(rows, at).error)


def of_lq_nets(planes):
    """The start of LQ-Nets' own implementation, for normal data."""
    basis = 0.6745 * 2 / (2**planes - 1) * 2.0 ** torch.arange(planes, dtype=torch.float64)
    return Solution(basis[None], torch.zeros(1, dtype=torch.float64))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("planes", "basis", "least"),
    [
        (1, [0.798], 0.3634),  # Lloyd-Max: 0.3634
        (2, [0.529, 0.983], 0.1178),  # Lloyd-Max: 0.1175
        (3, [0.30, 0.61, 1.16], 0.037),  # Lloyd-Max, which need not be symmetric sums: 0.0345
    ],
)
def test_normal_data(planes, basis, least, solver):
    rows = normal(400_000)
    qem = Qem(planes, solver=solver)
    at = qem.fit([rows], of_lq_nets(planes))
    assert at.basis[0].tolist() == pytest.approx(basis, rel=0.03)
    assert error(qem, rows, at) == pytest.approx(least, rel=0.03 if planes == 3 else 0.01)


@pytest.mark.parametrize(("planes", "least"), [(1, 0.0874), (2, 0.0230), (3, 0.0065)])
def test_the_offset_makes_up_for_data_of_one_sign(planes, least):
    rows = normal(100_000).relu()
    qem = Qem(planes, offset=True)
    assert error(qem, rows, qem.fit([rows])) == pytest.approx(least, rel=0.03)
    without = Qem(planes)
    assert error(without, rows, without.fit([rows])) > 2.5 * least


def naive_step(x, basis, offset, qem):
    """One round on one row as the papers write it: (objective after solving, basis, offset)."""
    codes = np.array(list(itertools.product((-1.0, 1.0), repeat=len(basis))))
    codes = codes[np.argsort(codes @ basis, kind="stable")]
    levels = codes @ basis + offset
    rank = (x[:, None] > (levels[1:] + levels[:-1]) / 2).sum(1)
    b = codes[rank].T  # [K, n]
    before = basis
    if qem.offset:
        b, before = np.vstack([b, np.ones_like(x)]), np.append(basis, offset)
    if qem.solver == "closed":
        a = before + np.linalg.lstsq(b.T, x - b.T @ before, rcond=None)[0]
        decay = 0.0
    else:
        a, decay = before.copy(), 1e-4
        for _ in range(50):
            slope = 2 * (b @ b.T @ a - b @ x) / len(x) + 2 * decay * a
            a = a - slope / (2 * (len(a) + decay))
    objective = np.mean((x - b.T @ a) ** 2) + decay * a @ a
    return objective, np.sort(np.abs(a[: len(basis)])), a[-1] if qem.offset else offset


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_each_round_is_the_naive_one_and_no_half_step_raises_the_objective(planes, offset, solver):
    rows = torch.cat([(seed + 1) * normal(3000, seed) + seed for seed in range(4)])
    qem = Qem(planes, offset, solver)
    at = qem.start(rows)
    last = qem.objective([rows], at)
    for _ in range(ROUNDS):
        naive = [
            naive_step(x.numpy(), a.numpy(), float(m), qem)
            for x, a, m in zip(rows, at.basis, at.offset, strict=True)
        ]
        at = qem.step(rows, at)
        np.testing.assert_allclose(at.basis, np.array([n[1] for n in naive]), atol=1e-6)
        np.testing.assert_allclose(at.offset, np.array([n[2] for n in naive]), atol=1e-6)
        solved = torch.tensor([n[0] for n in naive])
        encoded = qem.objective([rows], at)
        assert (solved <= last + 1e-9).all()
        assert (encoded <= solved + 1e-9).all()
        last = encoded


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.booleans(), st.integers(0, 2**32 - 1))
def test_no_row_is_worse_off_than_on_the_uniform_grids_tried(planes, offset, seed):
    rng = np.random.default_rng(seed)
    families = (rng.normal, rng.laplace, rng.logistic, rng.uniform)
    rows = torch.from_numpy(families[seed % 4](0, 1, (3, 2000)))
    qem = Qem(planes, offset)
    found = qem.moments(rows, qem.fit([rows])).error
    widest = qem.start(rows)  # uniform, about zero or about the middle of the values
    for share in REACHES:
        grid = Solution(widest.basis * share, widest.offset)
        assert (found <= qem.moments(rows, grid).error).all()


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_layers_are_better_off_than_on_any_uniform_grid(planes):
    """A layer as a whole, against uniform grids with the best reach of each row to 1/500."""
    torch.manual_seed(planes)
    for layer in (nn.Linear(784, 32), nn.Conv2d(16, 32, 3), nn.Linear(20, 10)):
        rows = layer.weight.detach().double().flatten(1)
        qem = Qem(planes)
        found = qem.moments(rows, qem.fit([rows])).error
        widest = qem.start(rows)
        shares = torch.linspace(0.002, 1.2, 600)
        grids = [Solution(widest.basis * share, widest.offset) for share in shares]
        uniform = torch.stack([qem.moments(rows, grid).error for grid in grids]).amin(0)
        assert found.mean() <= uniform.mean()


def test_gradient_descent_finds_what_the_closed_form_finds():
    rows = torch.cat([normal(50_000, seed).relu() for seed in range(3)])
    closed, gradient = Qem(3, True, "closed"), Qem(3, True, "gradient")
    errors = [qem.moments(rows, qem.fit([rows])).error for qem in (closed, gradient)]
    torch.testing.assert_close(errors[0], errors[1], rtol=1e-3, atol=0)


@pytest.mark.parametrize("offset", [False, True])
def test_batches_add_up(offset):
    rows = torch.cat([normal(999, 1), normal(999, 2)])
    qem = Qem(2, offset)
    whole, parts = qem.fit([rows]), qem.fit(list(rows.split(100, 1)))
    torch.testing.assert_close(parts.basis, whole.basis, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(parts.offset, whole.offset, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_basis_grows_with_its_row(solver):
    """So that batch norm may be folded into the weights before or after."""
    rows = torch.cat([normal(500, seed) for seed in range(3)])
    factor = torch.tensor([[0.01], [-3.0], [70.0]]).double()
    qem = Qem(3, solver=solver)
    before, after = qem.fit([rows * factor]), qem.fit([rows])
    torch.testing.assert_close(before.basis, after.basis * factor.abs(), rtol=1e-6, atol=0)


def test_a_large_offset_costs_no_digits():
    rows = normal(5000)
    qem = Qem(2, offset=True)
    near, far = qem.fit([rows]), qem.fit([rows + 1e6])
    torch.testing.assert_close(far.basis, near.basis, rtol=1e-6, atol=0)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("planes", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "row",
    [
        [0.0] * 50,
        [5.0] * 50,
        [-5.0] * 50,
        [0.0] * 49 + [1.0],
        [1.0],
        [1.0, 2.0],
        [1e-300] * 5,
        [1e30, -1e30, 1e29],
        [0.1 * i + 3 for i in range(40)],  # all above zero: the top plane's code never changes
        [float(i % 2) for i in range(40)],  # two values: planes share their codes
    ],
    ids=["zero", "five", "minus", "one", "single", "pair", "tiny", "huge", "positive", "binary"],
)
def test_degenerate_rows(row, planes, offset, solver):
    rows = torch.tensor([row, row], dtype=torch.float64)
    qem = Qem(planes, offset, solver)
    at = qem.fit([rows])
    assert at.basis.isfinite().all()
    assert at.offset.isfinite().all()
    assert (at.basis >= 0).all()
    assert torch.equal(at.basis, at.basis.sort(1).values)
    scale = float(rows.abs().max()) ** 2 + 1e-300
    start = qem.start(rows)
    assert (qem.objective([rows], at) <= qem.objective([rows], start) + 1e-9 * scale).all()
    if row == [0.0] * 50:
        assert not at.basis.any()
        assert not at.offset.any()
    if len(set(row)) == 1 and solver == "closed":
        assert float(qem.moments(rows, at).error[0]) <= 1e-12 * scale


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.booleans(), st.integers(0, 2**32 - 1))
def test_codes_are_those_of_the_op(planes, offset, seed):
    """What QEM takes for the nearest level is what the graph's op takes, borders included."""
    rng = np.random.default_rng(seed)
    basis = torch.from_numpy(np.sort(rng.integers(0, 9, (1, planes)), 1) / 8)
    shift = torch.tensor([float(rng.integers(-8, 9)) / 8 if offset else 0.0]).double()
    rows = torch.from_numpy(rng.integers(-80, 81, (1, 400)) / 16)  # many are on borders
    moments = Qem(planes, offset).moments(rows, Solution(basis, shift))
    values = quantize_basis(rows, basis[0], shift[0], -1)
    torch.testing.assert_close(moments.square, (rows - values).square().sum(1))
    assert int(moments.size) == 400


def test_ties_go_to_the_lower_level():
    """On every border, and a hair above it; 10^5 values: none is nearer to another level."""
    basis, offset = torch.tensor([0.25, 0.5, 1.25]).double(), torch.tensor(0.5).double()
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3))).double()
    levels = (signs @ basis).sort().values + offset
    borders = (levels[1:] + levels[:-1]) / 2
    assert torch.equal(quantize_basis(borders, basis, offset, -1), levels[:-1])
    above = torch.nextafter(borders, torch.tensor(9.0).double())
    assert torch.equal(quantize_basis(above, basis, offset, -1), levels[1:])
    x = 2 * normal(100_000)[0]
    nearest = levels[(x[:, None] - levels).abs().argmin(1)]
    assert torch.equal(quantize_basis(x, basis, offset, -1), nearest)


def test_quantizers_take_the_grid_from_qem():
    x = normal(4000).float().reshape(1000, 4)
    model = quantize_(nn.Sequential(nn.ReLU(), nn.Linear(4, 3)), Basis(2), Basis(2, offset=True))
    calibrate(model, [x], upstream="float")
    quantizer = model.activation_quantizers.named()["1_linear"]
    holder = model.activation_quantizers.named()["input"]
    rows = holder(x).relu().reshape(1, -1)
    want = Qem(2, offset=True).fit([rows])
    torch.testing.assert_close(quantizer.basis.double(), want.basis[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(quantizer.offset.double(), want.offset[0], rtol=1e-6, atol=0)


def test_what_calibration_sees():
    """Float layers, layers with quantized weights, or quantized inputs too."""
    torch.manual_seed(0)
    layers = [nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)]
    x = torch.rand(200, 6)
    pixels = torch.floor(x * 255 + 0.5) / 255
    seen = {}
    for upstream in ("float", "weights", "everything"):
        model = quantize_(copy.deepcopy(nn.Sequential(*layers)), Basis(1), Basis(2, offset=True))
        calibrate(model, x.split(50), upstream=upstream)
        seen[upstream] = model.activation_quantizers.named()["4_linear"].basis.tolist()
    hidden = layers[3](layers[2](layers[1](layers[0](pixels)))).detach()
    want = Qem(2, offset=True).fit([hidden.reshape(1, -1)])
    assert seen["float"] == pytest.approx(want.basis[0].tolist(), rel=1e-4)
    assert seen["float"] != seen["weights"]
    assert seen["everything"] not in (seen["float"], seen["weights"])


def test_bases_follow_their_data_in_training_only():
    torch.manual_seed(0)
    model = quantize_(nn.Sequential(nn.Linear(4, 3)), Basis(2), input=Basis(2), input_range=None)
    calibrate(model, [torch.rand(64, 4)])
    follow_data_(model)
    quantizers = [q for q in model.modules() if isinstance(q, BasisQuantizer)]
    bases = [q.basis for q in sorted(quantizers, key=lambda q: q.axis)]
    assert len(bases) == 2  # of the input, then of the weight
    assert not any(basis.requires_grad for basis in bases)
    before = [basis.clone() for basis in bases]
    model.eval()(4 * torch.rand(64, 4))
    assert all(torch.equal(a, b) for a, b in zip(bases, before, strict=True))
    model.train()(4 * torch.rand(64, 4)).sum().backward()
    assert not torch.equal(bases[0], before[0])
    for _ in range(200):
        model(4 * torch.rand(64, 4))
    want = Qem(2).fit([4 * torch.rand(1, 4000)]).basis[0]
    torch.testing.assert_close(bases[0].double(), want, rtol=0.1, atol=0)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_tensors_that_are_not_finite_are_named(bad):
    deep = quantize_(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), Basis(2), Basis(2))
    with torch.no_grad():
        deep[0].bias[1] = bad
    with pytest.raises(McugenError, match="NaN or infinite") as caught:
        calibrate(deep, [torch.rand(8, 4)])
    assert caught.value.faults[0].at == "2_linear"
    with torch.no_grad():
        deep[0].bias.zero_()
    calibrate(deep, [torch.rand(8, 4)])
    follow_data_(deep)
    with torch.no_grad():
        deep[0].bias[1] = bad
    with pytest.raises(McugenError, match="NaN or infinite") as caught:
        deep.train()(torch.rand(8, 4))
    assert caught.value.faults[0].at == "activation_quantizers.2_linear"


def test_weights_have_no_offset_and_solvers_have_names():
    with pytest.raises(McugenError, match="no offset"):
        quantize_(nn.Sequential(nn.Linear(4, 3)), Basis(2, offset=True))
    with pytest.raises(McugenError, match="no solver"):
        Basis(2, solver="magic")
