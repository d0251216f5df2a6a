"""Entropic transport against POT, finite differences and its limits.

Rows D11 and D12 of docs/known-mistakes.md.
"""

from __future__ import annotations

import math

import pytest
import torch
from tests.draws import normal
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.kernel.kernels import negative_distance_kernel
from latentia.functional.kernel.mmd import mmd2
from latentia.functional.transport import (
    distance_cost,
    sinkhorn,
    sinkhorn_divergence,
    wasserstein_lp,
    wasserstein_power,
)


def simplex(n: int, seed: int = 0) -> Tensor:
    return normal(n, seed=seed).softmax(0)


def problem(n: int = 12, m: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    return simplex(n), simplex(m, seed=1), distance_cost(normal(n, 2), normal(m, 2, seed=1), p=2)


def naive_objective(plan: Tensor, p: Tensor, q: Tensor, C: Tensor, epsilon: float) -> float:
    total = 0.0
    for i in range(len(p)):
        for j in range(len(q)):
            if plan[i, j] > 0:
                total += float(plan[i, j] * (C[i, j] + epsilon * torch.log(plan[i, j] / (p[i] * q[j]))))
    return total


@pytest.mark.parametrize(("n", "m"), [(12, 9), (9, 12), (1, 5), (5, 1)])
@pytest.mark.parametrize("epsilon", [100.0, 1.0, 0.1, 0.003])
def test_sinkhorn_meets_its_marginals_and_its_formula(epsilon, n, m):
    p, q, C = problem(n, m)
    result = sinkhorn(p, q, C, epsilon)
    f, g = result.potentials
    torch.testing.assert_close(result.plan.sum(1), p, rtol=0, atol=1e-8)
    torch.testing.assert_close(result.plan.sum(0), q, rtol=0, atol=1e-8)
    assert result.marginal_residual < 1e-8
    naive = p[:, None] * q * ((f[:, None] + g - C) / epsilon).exp()
    torch.testing.assert_close(result.plan, naive, rtol=1e-9, atol=1e-14)
    assert result.objective.item() == pytest.approx(naive_objective(result.plan, p, q, C, epsilon), abs=1e-8)
    assert result.transport_cost.item() == pytest.approx(float((result.plan * C).sum()), rel=1e-12)


@pytest.mark.parametrize("epsilon", [1.0, 0.2])
def test_sinkhorn_has_the_plan_of_pot(epsilon):
    ot = pytest.importorskip("ot")
    p, q, C = problem()
    theirs = ot.sinkhorn(p, q, C, epsilon, method="sinkhorn_log", stopThr=1e-12, numItermax=100_000)
    result = sinkhorn(p, q, C, epsilon)
    torch.testing.assert_close(result.plan, theirs, rtol=0, atol=1e-9)
    entropies = -(p * p.log()).sum() - (q * q.log()).sum()  # between −ε H(P) and ε KL(P ‖ p⊗q): D12
    with_entropy = (result.plan * (C + epsilon * result.plan.log())).sum()
    assert (result.objective - epsilon * entropies).item() == pytest.approx(with_entropy.item(), abs=1e-9)


def test_sinkhorn_tends_to_the_linear_program_and_to_independence():
    p, q, C = problem(20, 25)
    exact = wasserstein_lp(p, q, C).value.item()
    costs = [sinkhorn(p, q, C, epsilon).transport_cost.item() for epsilon in (1.0, 0.1, 0.01, 1e-4)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == pytest.approx(exact, rel=1e-6)
    assert costs[-1] >= exact - 1e-9
    independent = float(p @ C @ q)
    assert sinkhorn(p, q, C, 1e6).objective.item() == pytest.approx(independent, rel=1e-5)


def test_newton_converges_where_the_plan_is_nearly_a_matching():  # sweeps alone take more than 20,000 iterations
    x, y = normal(80, 2), 1 + normal(80, 2, seed=1)
    uniform = torch.full((80,), 1 / 80, dtype=torch.float64)
    result = sinkhorn(uniform, uniform, distance_cost(x, y, p=2), 0.003)
    assert result.marginal_residual < 1e-8
    assert result.iterations < 200


def test_atoms_without_mass_take_no_part():
    p, q, C = problem(4, 5)
    p, q = p.clone(), q.clone()
    p[1], q[3] = 0.0, 0.0
    p, q = p / p.sum(), q / q.sum()
    result = sinkhorn(p, q, C, 0.3)
    rows, columns = [0, 2, 3], [0, 1, 2, 4]
    kept = sinkhorn(p[rows], q[columns], C[rows][:, columns], 0.3)
    assert result.objective.item() == pytest.approx(kept.objective.item(), abs=1e-9)
    assert result.plan[1].sum() == 0
    assert all(torch.isfinite(potential).all() for potential in result.potentials)


def test_sinkhorn_has_the_derivatives_of_the_envelope_theorem():
    p, q, C = problem(4, 5)
    arguments = (p.log().requires_grad_(), q.log().requires_grad_(), C.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda a, b, c: sinkhorn(a.softmax(0), b.softmax(0), c, 0.5, tolerance=1e-12).objective, arguments
    )
    assert not sinkhorn(p, q, C, 0.5).transport_cost.requires_grad


def test_costs_may_be_huge_or_negative():
    p, q, C = problem()
    one = sinkhorn(p, q, C, 0.1)
    for scale, shift in ((1e8, 0.0), (1.0, -50.0)):
        other = sinkhorn(p, q, scale * C + shift, scale * 0.1)
        torch.testing.assert_close(other.plan, one.plan, rtol=0, atol=1e-8)
        assert other.objective.item() == pytest.approx(scale * one.objective.item() + shift, rel=1e-9)


@pytest.mark.parametrize("p", [1, 1.5, 2])
def test_divergence_of_a_set_with_itself_is_zero(p):
    x, weights = normal(15, 3), simplex(15)
    assert sinkhorn_divergence(x, x, 0.5, p, weights, weights).item() == 0
    order = torch.randperm(15, generator=torch.Generator().manual_seed(0))
    shuffled = sinkhorn_divergence(x, x[order], 0.5, p, weights, weights[order])
    assert shuffled.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("epsilon", [0.01, 0.3, 30.0])
def test_divergence_is_positive(p, epsilon):  # D12
    for seed in range(10):
        x, y = normal(6, 2, seed=seed), normal(8, 2, seed=100 + seed)
        assert sinkhorn_divergence(x, y, epsilon, p) > 0
        assert sinkhorn_divergence(x, x + 1e-4 * normal(6, 2, seed=7), epsilon, p) > 0


@pytest.mark.parametrize("p", [1, 2])
def test_divergence_tends_to_the_power_of_wasserstein(p):  # D11: W_p^p, no factor ½
    x, y, a = normal(12, 2), 1 + normal(10, 2, seed=1), simplex(12, seed=2)
    exact = wasserstein_power(x, y, p, weights_x=a).item()
    errors = [abs(sinkhorn_divergence(x, y, eps, p, weights_x=a).item() - exact) for eps in (1, 0.1, 0.001)]
    assert errors[2] < 0.01 * exact
    assert errors[2] < errors[0]
    one, other = torch.zeros(1, 2), torch.tensor([[3.0, 0.0]])
    assert sinkhorn_divergence(one, other, 0.1, p).item() == pytest.approx(3**p, rel=1e-6)


def test_divergence_tends_to_half_the_energy_distance_and_to_the_means():
    x, y = normal(12, 2), 1 + normal(10, 2, seed=1)
    half_mmd = mmd2(x, y, negative_distance_kernel, "biased").item() / 2
    assert sinkhorn_divergence(x, y, 1e6, p=1).item() == pytest.approx(half_mmd, rel=1e-4)
    between_means = float((x.mean(0) - y.mean(0)).square().sum())
    assert sinkhorn_divergence(x, y, 1e6, p=2).item() == pytest.approx(between_means, rel=1e-4)


def test_divergence_uses_the_weights():  # D12: a point of weight 2 is two points
    x, y = normal(4, 2), normal(5, 2, seed=1)
    weighted = sinkhorn_divergence(x, y, 0.5, weights_x=torch.tensor([2.0, 1.0, 1.0, 1.0]))
    repeated = sinkhorn_divergence(x[[0, 0, 1, 2, 3]], y, 0.5)
    assert weighted.item() == pytest.approx(repeated.item(), abs=1e-8)
    assert weighted.item() != pytest.approx(sinkhorn_divergence(x, y, 0.5).item(), abs=1e-3)


@pytest.mark.parametrize("p", [1, 2])
def test_divergence_has_the_gradient_of_its_formula(p):
    x, y = normal(4, 2).requires_grad_(), normal(5, 2, seed=1).requires_grad_()
    logits = normal(4, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b, w: sinkhorn_divergence(a, b, 0.5, p, weights_x=w.exp(), tolerance=1e-12), (x, y, logits)
    )


@pytest.mark.parametrize("p", [1, 2])
def test_gradient_at_zero_is_zero(p):
    x = normal(6, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(sinkhorn_divergence(x, x.detach(), 0.5, p), x)
    assert gradient.abs().max() < 1e-9


def test_float32_is_computed_in_float64():
    x, y = normal(30, 2).float(), normal(30, 2, seed=1).float()
    value = sinkhorn_divergence(x, y, 0.01)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(sinkhorn_divergence(x.double(), y.double(), 0.01).item(), rel=1e-6)
    p, q, C = (tensor.float() for tensor in problem())
    result = sinkhorn(p, q, C, 0.1)
    assert {t.dtype for t in (result.objective, result.plan, *result.potentials)} == {torch.float32}
    assert result.marginal_residual < 1e-8


half, cost2 = torch.tensor([0.5, 0.5]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
points = torch.zeros(2, 2)
BAD = {
    "epsilon must be positive": lambda: sinkhorn(half, half, cost2, 0.0),
    "epsilon must be positive and": lambda: sinkhorn_divergence(points, points, math.nan),
    "tolerance must be > 0": lambda: sinkhorn(half, half, cost2, 1.0, tolerance=0),
    "p must lie between 1 and 2": lambda: sinkhorn_divergence(points, points, 1.0, p=3),
    "p must sum to one": lambda: sinkhorn(half + 0.1, half, cost2, 1.0),
    "cost holds NaN": lambda: sinkhorn(half, half, cost2 * math.nan, 1.0),
    "must have shapes": lambda: sinkhorn(half, half, cost2[:1], 1.0),
    "weights_x must not all be 0": lambda: sinkhorn_divergence(points, points, 1.0, weights_x=0 * half),
    "y holds NaN": lambda: sinkhorn_divergence(points, points * math.nan, 1.0),
    "did not converge": lambda: sinkhorn(*problem(), 1e-3, max_iterations=1),
}


@pytest.mark.parametrize("message", list(BAD))
def test_bad_input_is_refused_by_name(message):
    with pytest.raises((UsageError, DataError), match=message):
        BAD[message]()
