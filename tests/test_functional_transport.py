"""Exact transport against SciPy, POT, linear programs written out, and closed forms.

Rows D11 and D13 of docs/known-mistakes.md.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, linprog
from scipy.stats import wasserstein_distance
from tests.draws import normal
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.transport import (
    distance_cost,
    kantorovich_rubinstein,
    linear_program,
    transport_program,
    wasserstein,
    wasserstein_1d,
    wasserstein_1d_power,
    wasserstein_lp,
    wasserstein_power,
    wasserstein_quantiles,
    wasserstein_quantiles_power,
)
from latentia.functional.transport.assignment import best_matching


def simplex(n: int, seed: int = 0) -> Tensor:
    return normal(n, seed=seed).exp() / normal(n, seed=seed).exp().sum()


def holds(result, p: Tensor, q: Tensor, cost: Tensor, tolerance: float = 1e-9) -> None:
    """The certificate, checked from the tensors alone."""
    f, g = result.potentials
    scale = tolerance * max(1.0, float(result.value.abs()))
    assert result.plan.min() >= 0
    torch.testing.assert_close(result.plan.sum(1), p / p.sum(), rtol=0, atol=1e-12)
    torch.testing.assert_close(result.plan.sum(0), q / q.sum(), rtol=0, atol=1e-12)
    assert (f[:, None] + g - cost).max() <= 1e-12 * max(1.0, float(cost.abs().max()))
    assert float((result.plan * cost).sum()) == pytest.approx(result.value.item(), rel=1e-12, abs=1e-15)
    assert float(f @ p / p.sum() + g @ q / q.sum()) == pytest.approx(result.value.item(), abs=scale)
    assert abs(result.gap) <= scale
    assert result.marginal_residual <= 1e-12


@pytest.fixture(params=["highs", "network simplex"])
def solver(request, monkeypatch) -> str:
    if request.param == "network simplex":
        pytest.importorskip("ot")
        monkeypatch.setattr(linear_program, "_HIGHS_PAIRS", 0)
    return request.param


COSTS = {
    "distances": lambda n, m: distance_cost(normal(n, 2), normal(m, 2, seed=1)),
    "of any sign": lambda n, m: 10 * normal(n, m, seed=2),
    "huge": lambda n, m: 1e8 * distance_cost(normal(n, 2), normal(m, 2, seed=1)),
    "tiny": lambda n, m: 1e-9 * distance_cost(normal(n, 2), normal(m, 2, seed=1)),
    "far from zero": lambda n, m: 1e6 + normal(n, m, seed=2),
    "constant": lambda n, m: torch.full((n, m), 3.0, dtype=torch.float64),
    "with equal points": lambda n, m: distance_cost(normal(max(n, m), 2)[:n], normal(max(n, m), 2)[:m]),
}


@pytest.mark.parametrize(("n", "m"), [(12, 12), (7, 15), (1, 6), (6, 1), (1, 1)])
@pytest.mark.parametrize("cost", list(COSTS))
def test_primal_equals_dual(cost, n, m, solver):  # D11, D13
    p, q, C = simplex(n, seed=3), simplex(m, seed=4), COSTS[cost](n, m)
    result = wasserstein_lp(p, q, C)
    assert result.solver == solver
    holds(result, p, q, C)


def test_lp_equals_pot(solver):
    ot = pytest.importorskip("ot")
    p, q, C = simplex(20), simplex(30, seed=1), distance_cost(normal(20, 3), normal(30, 3, seed=1), p=2)
    result = wasserstein_lp(p, q, C)
    assert result.value.item() == pytest.approx(ot.emd2(p.numpy(), q.numpy(), C.numpy()), abs=1e-12)
    np.testing.assert_allclose(result.plan.numpy(), ot.emd(p.numpy(), q.numpy(), C.numpy()), atol=1e-12)


def test_forbidden_costs_leave_the_others_their_digits():  # the largest cost is no scale for the rest
    C = normal(40, 40).abs()
    C[(normal(40, 40, seed=1) < 0.5) & ~torch.eye(40, dtype=torch.bool)] = 1e12
    p = torch.full((40,), 1 / 40, dtype=torch.float64)
    result = wasserstein_lp(p, p, C)
    assert abs(result.gap) < 1e-9
    best = C[linear_sum_assignment(C)].mean().item()
    assert result.value.item() == pytest.approx(best, rel=1e-12)


def test_the_gap_shows_a_poor_solution(monkeypatch):
    p, q, C = simplex(5), simplex(6, seed=1), normal(5, 6).abs()
    best = wasserstein_lp(p, q, C)
    rough = (p[:, None] * q * (1 + 0.3 * normal(5, 6))).numpy()
    monkeypatch.setattr(linear_program, "_highs", lambda *_: (rough, np.zeros(5)))
    poor = wasserstein_lp(p, q, C)
    assert poor.marginal_residual < 1e-15
    assert poor.dual_violation < 1e-15
    assert poor.gap > poor.value.item() - best.value.item() > 1e-3


def test_without_pot_large_problems_are_solved_too(monkeypatch):
    monkeypatch.setattr(linear_program.importlib.util, "find_spec", lambda name: None)
    p, C = simplex(60), distance_cost(normal(60, 2), normal(60, 2, seed=1))
    result = wasserstein_lp(p, simplex(60, seed=1), C)
    assert result.solver == "highs"
    holds(result, p, simplex(60, seed=1), C)


def test_atoms_without_mass_take_no_part_but_have_potentials(solver):  # D13
    p, q = torch.tensor([0.5, 0.0, 0.5]).double(), torch.tensor([0.0, 0.25, 0.0, 0.75]).double()
    C = normal(3, 4).abs()
    result = wasserstein_lp(p, q, C)
    holds(result, p, q, C)
    kept = wasserstein_lp(p[[0, 2]], q[[1, 3]], C[[0, 2]][:, [1, 3]])
    assert result.value.item() == pytest.approx(kept.value.item(), abs=1e-14)


@pytest.mark.parametrize("rounding", [1e-9, -1e-9, 1e-7])
def test_rounded_masses_are_not_infeasible(rounding, solver):  # D13
    p, q, C = simplex(9), simplex(9, seed=1), normal(9, 9).abs()
    result = wasserstein_lp(p * (1 + rounding), q, C)
    assert result.value.item() == pytest.approx(wasserstein_lp(p, q, C).value.item(), abs=1e-12)
    holds(result, p, q, C)


def test_minute_masses_keep_their_marginals(solver):
    p = torch.tensor([1e-12, 1e-9, 1e-6, 1 - 1e-12 - 1e-9 - 1e-6], dtype=torch.float64)
    q, C = simplex(4), normal(4, 4).abs()
    result = wasserstein_lp(p, q, C)
    holds(result, p, q, C)
    torch.testing.assert_close(result.plan.sum(1), p, rtol=1e-3, atol=0)


def test_float32_is_computed_in_float64(solver):
    p, q, C = simplex(30).float(), simplex(30, seed=1).float(), (1e4 * normal(30, 30).abs()).float()
    result = wasserstein_lp(p, q, C)
    assert {t.dtype for t in (result.value, result.plan, *result.potentials)} == {torch.float32}
    assert abs(result.gap) < 1e-9 * result.value
    exact = wasserstein_lp(p.double(), q.double(), C.double()).value
    assert result.value.item() == pytest.approx(exact.item(), rel=1e-6)


def test_an_unfinished_plan_is_brought_onto_its_marginals():
    p, q = simplex(5), simplex(6, seed=1)
    rough = (p[:, None] * q * (1 + 0.3 * normal(5, 6))).numpy()
    rough[0, 0] = -1e-3
    plan = linear_program._onto_marginals(rough, p.numpy(), q.numpy())
    assert plan.min() >= 0
    assert linear_program._residual(plan, p.numpy(), q.numpy()) < 1e-16 * 10


def test_lp_has_the_derivatives_of_the_envelope_theorem():
    p, q, C = simplex(5), simplex(4, seed=1), normal(5, 4).abs().requires_grad_()
    result = wasserstein_lp(p, q, C)
    (gradient,) = torch.autograd.grad(result.value, C)
    torch.testing.assert_close(gradient, result.plan)
    logits_p, logits_q = p.log().requires_grad_(), q.log().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b, c: wasserstein_lp(a.softmax(0), b.softmax(0), c).value, (logits_p, logits_q, C)
    )


def test_transport_program_is_the_same_problem():
    p, q, C = simplex(4), simplex(6, seed=1), normal(4, 6)
    program = transport_program(p, q, C)
    assert program.A.shape == (10, 24)
    assert program.A.nnz == 48
    x = torch.arange(24.0).double().reshape(4, 6)
    np.testing.assert_array_equal(program.A @ x.flatten().numpy(), torch.cat([x.sum(1), x.sum(0)]).numpy())
    solution = linprog(program.c, A_eq=program.A, b_eq=program.b)
    assert solution.fun == pytest.approx(wasserstein_lp(p, q, C).value.item(), abs=1e-12)
    assert np.linalg.matrix_rank(program.A.toarray()) == 9


def dual_by_linprog(p: Tensor, q: Tensor, bound) -> float:
    """max f·(p − q) with |f_i − f_j| ≤ bound(i, j) for every pair."""
    pairs = [(i, j) for i in range(len(p)) for j in range(len(p)) if i != j]
    A = np.zeros((len(pairs), len(p)))
    for row, (i, j) in enumerate(pairs):
        A[row, i], A[row, j] = 1, -1
    c = (q - p).numpy()
    return -linprog(c, A_ub=A, b_ub=[bound(i, j) for i, j in pairs], bounds=(None, None)).fun


def test_kantorovich_rubinstein_is_the_dual_and_not_total_variation():  # E32
    p = torch.tensor([0.4, 0.3, 0.2, 0.1, 0.0], dtype=torch.float64)
    q = torch.tensor([0.0, 0.1, 0.3, 0.2, 0.4], dtype=torch.float64)
    dual = kantorovich_rubinstein(p, q)
    bins = torch.arange(5.0).double()
    assert dual.value.item() == pytest.approx(dual_by_linprog(p, q, lambda i, j: abs(i - j)), abs=1e-9)
    C = (bins[:, None] - bins).abs()
    assert dual.value.item() == pytest.approx(wasserstein_lp(p, q, C).value.item(), abs=1e-12)
    f = dual.potential
    assert ((f[:, None] - f).abs() <= C + 1e-12).all()
    assert float(f @ (p - q)) == pytest.approx(dual.value.item(), abs=1e-14)
    total_variation = float((p - q).abs().sum() / 2)
    assert dual_by_linprog(p, q, lambda i, j: 1) == pytest.approx(total_variation, abs=1e-9)
    assert (dual.value.item(), total_variation) == pytest.approx((1.9, 0.6))


def test_kantorovich_rubinstein_at_given_positions_batched():
    p = torch.stack([simplex(6, seed=s) for s in range(4)])
    q = torch.stack([simplex(6, seed=9 + s) for s in range(4)])
    positions = normal(6).sort().values
    dual = kantorovich_rubinstein(p, q, positions)
    assert dual.potential.shape == (4, 6)
    for row in range(4):
        scipy = wasserstein_distance(positions, positions, p[row], q[row])
        assert dual.value[row].item() == pytest.approx(scipy, abs=1e-12)
    assert torch.autograd.gradcheck(
        lambda a, t: kantorovich_rubinstein(a.softmax(-1), q, t).value,
        (p.log().requires_grad_(), positions.requires_grad_()),
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "m"), [(9, 9), (8, 21), (1, 5), (6, 4)])
def test_1d_equals_scipy(n, m, weighted):  # D13: weights follow their values into order
    x, y = normal(n), 2 * normal(m, seed=1)
    a, b = (3 * simplex(n, seed=2), simplex(m, seed=3)) if weighted else (None, None)
    scipy = wasserstein_distance(x, y, None if a is None else a, None if b is None else b)
    assert wasserstein_1d(x, y, weights_x=a, weights_y=b).item() == pytest.approx(scipy, abs=1e-12)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_1d_equals_the_linear_program(p):
    x, y, a, b = normal(9), normal(13, seed=1), simplex(9, seed=2), simplex(13, seed=3)
    a[4] = 0.0
    a = a / a.sum()
    lp = wasserstein_lp(a, b, (x[:, None] - y).abs() ** p).value.item()
    assert wasserstein_1d_power(x, y, p, a, b).item() == pytest.approx(lp, abs=1e-12)
    assert wasserstein_1d(x, y, p, a, b).item() == pytest.approx(lp ** (1 / p), abs=1e-12)
    uniform = wasserstein_lp(torch.full((9,), 1 / 9).double(), torch.full((13,), 1 / 13).double(),
                             (x[:, None] - y).abs() ** p)  # fmt: skip
    assert wasserstein_1d_power(x, y, p).item() == pytest.approx(uniform.value.item(), abs=1e-6)


def test_1d_is_batched_over_the_last_dimension():
    x, y, a = normal(2, 3, 5), normal(2, 3, 7, seed=1), normal(2, 3, 5, seed=2).exp()
    batched = wasserstein_1d(x, y, 2, weights_x=a)
    assert batched.shape == (2, 3)
    each = [wasserstein_1d(x[i, j], y[i, j], 2, weights_x=a[i, j]) for i in range(2) for j in range(3)]
    torch.testing.assert_close(batched.flatten(), torch.stack(each))
    torch.testing.assert_close(wasserstein_1d(x.mT.contiguous().mT, x + 2), torch.full((2, 3), 2.0).double())


@pytest.mark.parametrize("p", [1, 1.5, 2])
@pytest.mark.parametrize("m", [6, 9])
def test_1d_has_the_gradient_of_its_formula(p, m):
    x, y = normal(6).requires_grad_(), normal(m, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: wasserstein_1d_power(a, b, p), (x, y))
    logits = normal(6, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b, w: wasserstein_1d_power(a, b, p, weights_x=w.exp()), (x, y, logits)
    )


@pytest.mark.parametrize("theta", [-2.5, 0.0, 3.0])
def test_point_masses_are_at_the_distance_of_the_points(theta):
    zero, point = torch.zeros(1), torch.tensor([theta])
    for p in (1, 2, 3):
        assert wasserstein_1d(zero, point, p).item() == pytest.approx(abs(theta))
        assert wasserstein(zero[None], point[None], p).item() == pytest.approx(abs(theta))
    assert wasserstein_power(zero[None], point[None], 2).item() == pytest.approx(theta**2)  # D11: 9, not 4.5


@pytest.mark.parametrize("theta", [-2.0, 2.0])
def test_uniforms_of_disjoint_support_have_a_gradient(theta):
    theta = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    distance = wasserstein_quantiles(lambda u: u, lambda u: u + theta)
    (gradient,) = torch.autograd.grad(distance, theta)
    assert distance.item() == pytest.approx(2.0, rel=1e-9)
    assert gradient.item() == pytest.approx(math.copysign(1, theta.item()), rel=1e-9)
    u = torch.linspace(0, 1, 50, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(wasserstein_1d(u, u + theta), theta)
    assert gradient.item() == pytest.approx(math.copysign(1, theta.item()))


def gaussian_quantile(mean: float, sd: float):
    return torch.distributions.Normal(torch.tensor(mean).double(), torch.tensor(sd).double()).icdf


def test_quantiles_of_gaussians_give_the_closed_form():
    for (m1, s1), (m2, s2) in [((0.0, 1.0), (3.0, 2.0)), ((1.0, 0.1), (1.0, 5.0)), ((-1e3, 1.0), (1e3, 1.0))]:
        value = wasserstein_quantiles_power(gaussian_quantile(m1, s1), gaussian_quantile(m2, s2), p=2)
        assert value.item() == pytest.approx((m1 - m2) ** 2 + (s1 - s2) ** 2, rel=1e-6)
    # E|σZ| of the difference N(0, 1) against N(0, 3): W₁ = 2 E|Z|, with a kink at u = ½
    value = wasserstein_quantiles(gaussian_quantile(0.0, 1.0), gaussian_quantile(0.0, 3.0))
    assert value.item() == pytest.approx(2 * math.sqrt(2 / math.pi), rel=2e-6)


def test_samples_tend_to_the_quantiles():
    n = 200_000
    x, y = normal(n), 3 + 2 * normal(n, seed=1)
    # the mean's error is √5/√n = 0.005 times 2·3, the spread's likewise: 5 standard errors, false alarm 1e-6
    assert wasserstein_1d_power(x, y, 2).item() == pytest.approx(10, abs=5 * 0.035)


def test_quantiles_of_discrete_distributions_are_as_good_as_stated():
    x, y = normal(5).sort().values, normal(3, seed=1).sort().values
    steps = [lambda u, v=v: v[(u * len(v)).long().clamp(max=len(v) - 1)] for v in (x, y)]
    value = wasserstein_quantiles_power(*steps, p=2, tolerance=1e-5)
    assert value.item() == pytest.approx(wasserstein_1d_power(x, y, 2).item(), rel=5e-5)


def test_tails_that_are_too_heavy_are_refused():
    cauchy = torch.distributions.Cauchy(torch.tensor(0.0).double(), torch.tensor(1.0).double()).icdf
    with pytest.raises(DataError, match="W_p is infinite for a distribution without a p-th moment"):
        wasserstein_quantiles(cauchy, lambda u: 2 * cauchy(u), p=1.5)
    with pytest.raises(DataError, match="tails beyond"):
        wasserstein_quantiles(cauchy, lambda u: 2 * cauchy(u), p=1)
    shifted = wasserstein_quantiles(cauchy, lambda u: cauchy(u) + 2)  # finite, for the tails cancel
    assert shifted.item() == pytest.approx(2, rel=1e-6)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_wasserstein_between_points_equals_the_linear_program(p, weighted):
    x, y = normal(11, 3), normal(11, 3, seed=1)
    uniform = torch.full((11,), 1 / 11, dtype=torch.float64)
    a = simplex(11, seed=2) if weighted else uniform
    lp = wasserstein_lp(a, uniform, torch.cdist(x, y) ** p).value.item()
    power = wasserstein_power(x, y, p, weights_x=5 * a if weighted else None)
    assert power.item() == pytest.approx(lp, rel=1e-10)
    assert wasserstein(x, y, p, weights_x=a if weighted else None).item() == pytest.approx(lp ** (1 / p))


def test_wasserstein_of_points_on_a_line_and_of_unequal_numbers():
    x, y = normal(6), normal(9, seed=1)
    line = wasserstein(x[:, None], y[:, None], 2)
    assert line.item() == pytest.approx(wasserstein_1d(x, y, 2).item(), abs=1e-14)
    in_the_plane = [torch.stack([v, torch.zeros_like(v)], 1) for v in (x, y)]
    assert wasserstein(*in_the_plane, 2).item() == pytest.approx(line.item(), abs=1e-10)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("shift", [0.0, 0.5, 100.0])
def test_auction_prices_leave_the_best_matching_exact(p, shift):
    x, y = normal(300, 3), shift + normal(300, 3, seed=1)
    cost = (torch.cdist(x, y) ** p).numpy()
    best = cost[linear_sum_assignment(cost)].mean()
    for starts in ([], [1e3 * normal(300, seed=2).numpy()]):
        matching = best_matching(cost, starts)
        assert sorted(matching) == list(range(300))
        assert cost[range(300), matching].mean() == pytest.approx(best, rel=1e-12)
    assert wasserstein_power(x, y, p).item() == pytest.approx(best, rel=1e-10)


def test_matchings_of_equal_points():
    same = torch.ones(300, 2).double()
    assert wasserstein(same, same).item() == 0
    assert wasserstein(same, same + 1, 2).item() == pytest.approx(math.sqrt(2))
    few = normal(5, 2).repeat(60, 1)  # every cost comes sixty times
    assert wasserstein(few, few[torch.randperm(300, generator=torch.Generator().manual_seed(0))]).item() == 0


@pytest.mark.parametrize("m", [5, 7])
@pytest.mark.parametrize("p", [1, 2])
def test_wasserstein_has_the_gradient_of_its_formula(p, m):
    x, y = normal(5, 2).requires_grad_(), normal(m, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: wasserstein_power(a, b, p), (x, y))


def test_wasserstein_of_a_set_with_itself_is_exactly_zero():
    x = normal(50, 4).float()
    assert wasserstein(x, x[torch.randperm(50, generator=torch.Generator().manual_seed(0))], 2).item() == 0
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(wasserstein_power(x, x.detach(), 1), x)
    assert gradient.abs().max() == 0


def test_the_type_of_the_points_is_that_of_the_result():
    x, y = normal(5, 2).float(), normal(7, 2, seed=1).float()
    assert wasserstein(x, y).dtype == wasserstein_1d(x[:, 0], y[:, 0]).dtype == torch.float32
    assert wasserstein(x, y.double()).dtype == torch.float64
    assert kantorovich_rubinstein(simplex(3).float(), simplex(3).float()).value.dtype == torch.float32


half, cost2 = torch.tensor([0.5, 0.5]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
two, three = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0, 2.0])
BAD = {
    "p must sum to one": lambda: wasserstein_lp(torch.tensor([0.5, 0.6]), half, cost2),
    "q must sum to one": lambda: wasserstein_lp(half, torch.tensor([0.5, 0.6]), cost2),
    "p must not hold negative mass": lambda: wasserstein_lp(torch.tensor([1.5, -0.5]), half, cost2),
    "q holds NaN": lambda: wasserstein_lp(half, torch.tensor([math.nan, 1.0]), cost2),
    "cost holds NaN": lambda: wasserstein_lp(half, half, cost2 * math.nan),
    "cost holds NaN or inf": lambda: transport_program(half, half, cost2 + math.inf),
    "must have shapes": lambda: wasserstein_lp(half, half, cost2[:, :1]),
    "shapes must be equal": lambda: kantorovich_rubinstein(half, torch.ones(1)),
    "ascending order": lambda: kantorovich_rubinstein(half, half, torch.tensor([1.0, 0.0])),
    "positions must have shape": lambda: kantorovich_rubinstein(half, half, three),
    "p must be a finite power": lambda: wasserstein_1d(two, three, p=0.5),
    "p must be a finite power of": lambda: wasserstein(two[:, None], three[:, None], p=math.inf),
    "x holds NaN": lambda: wasserstein_1d(torch.tensor([math.nan]), two),
    "y holds NaN": lambda: wasserstein(two[:, None], torch.tensor([[math.nan]])),
    "with one B": lambda: wasserstein_1d(torch.zeros(2, 3), torch.zeros(3, 3)),
    "must not be empty": lambda: wasserstein_1d(two, two[:0]),
    "got x": lambda: wasserstein_1d(two, three, weights_x=three),
    "weights_y must be >= 0": lambda: wasserstein_1d(two, three, weights_y=three - 1),
    "weights_x must not all be 0": lambda: wasserstein_1d(two, three, weights_x=0 * two),
    "weights_x must hold one weight": lambda: wasserstein(two[:, None], two[:, None], weights_x=three),
    "number of dimensions": lambda: wasserstein(torch.zeros(2, 3), torch.zeros(2, 2)),
    "quantile_y must return shape": lambda: wasserstein_quantiles(lambda u: u, lambda u: u.sum()),
    "quantile_x is not finite": lambda: wasserstein_quantiles(lambda u: u / 0, lambda u: u),
    "tolerance must lie": lambda: wasserstein_quantiles(lambda u: u, lambda u: u, tolerance=0),
}


@pytest.mark.parametrize("message", list(BAD))
def test_bad_input_is_refused_by_name(message):
    with pytest.raises((UsageError, DataError), match=message):
        BAD[message]()
