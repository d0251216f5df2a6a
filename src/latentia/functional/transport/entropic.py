"""Entropic optimal transport (Sinkhorn), and the debiased Sinkhorn divergence."""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.checks import point_sets
from latentia.functional.transport._checks import (
    checked_problem,
    distance_cost,
    normalised_weights,
    with_gradients,
)
from latentia.functional.transport.entropic_dual import entropic_potentials, soft_c_transform


@dataclass(frozen=True)
class SinkhornResult:
    """The solution of entropic transport.

    Attributes:
        objective: () the minimum of Σ C P + ε KL(P ‖ p⊗q), regulariser included; differentiable.
        transport_cost: () Σ C P, without the regulariser, at least the cost of `wasserstein_lp`; it has no gradient.
        plan: (n, m) P.
        potentials: f (n,) and g (m,), the dual solution, with P_ij = p_i q_j exp((f_i + g_j − C_ij)/ε).
        marginal_residual: Σ_i |Σ_j P_ij − p_i| + Σ_j |Σ_i P_ij − q_j|, measured in float64.
        iterations: Newton steps and sweeps beyond the first sweep of each ε.
    """

    objective: Tensor
    transport_cost: Tensor
    plan: Tensor
    potentials: tuple[Tensor, Tensor]
    marginal_residual: float
    iterations: int


def sinkhorn(
    p: Tensor,
    q: Tensor,
    cost: Tensor,
    epsilon: float,
    *,
    tolerance: float = 1e-9,
    max_iterations: int = 1000,
) -> SinkhornResult:
    """Solve entropic optimal transport between two discrete distributions, in the log domain.

    OT_ε(p, q) = min_P Σ_ij C_ij P_ij + ε KL(P ‖ p⊗q),   KL = Σ P log(P / p⊗q),   P1 = p, Pᵀ1 = q

    OT_ε → the cost of `wasserstein_lp` as ε → 0, and → Σ_ij p_i q_j C_ij as ε → ∞. With −ε H(P)
    in place of the divergence, as in some libraries, the plan is the same and the objective lower by ε (H(p) + H(q)).

    Args:
        p: (n,) probabilities; they may be 0.
        q: (m,) probabilities.
        cost: (n, m) C, of any sign.
        epsilon: ε > 0, in the units of the cost.
        tolerance: on the sum of the absolute errors of a marginal.
        max_iterations: until the tolerance is reached.

    Returns:
        Both values in the units of the cost, plan and potentials. ``objective`` is differentiable in ``cost``
        (by the plan) and in ``p`` and ``q`` (by the potentials). Computed in float64.

    Raises:
        UsageError: for shapes that do not fit, or options out of range.
        DataError: for NaN or infinite values, negative masses, masses that do not sum to 1, or no convergence.

    Reference: Peyré & Cuturi (2019), Computational Optimal Transport, eqs. 4.9 and 4.30, remark 4.22.

    Example:
        >>> half, cost = torch.tensor([0.5, 0.5]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> result = sinkhorn(half, half, cost, epsilon=1.0)
        >>> result.objective, result.transport_cost  # −log ½(1 + 1/e), and 1/(1 + e)
        (tensor(0.3799), tensor(0.2689))
    """
    _options(epsilon, tolerance, max_iterations)
    dtype, p, q, C = checked_problem(p, q, cost)
    objective, plan, (f, g), iterations = _solve(p, q, C, epsilon, tolerance, max_iterations)
    marginals = (plan.sum(1) - p.detach(), plan.sum(0) - q.detach())
    return SinkhornResult(
        objective=objective.to(dtype),
        transport_cost=(plan * C.detach()).sum().to(dtype),
        plan=plan.to(dtype),
        potentials=(f.to(dtype), g.to(dtype)),
        marginal_residual=float(sum(error.abs().sum() for error in marginals)),
        iterations=iterations,
    )


def sinkhorn_divergence(
    x: Tensor,
    y: Tensor,
    epsilon: float,
    p: float = 2,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
    *,
    tolerance: float = 1e-9,
    max_iterations: int = 1000,
) -> Tensor:
    """Return the Sinkhorn divergence between two sets of points: debiased entropic transport.

    S_ε(x, y) = OT_ε(x, y) − ½ OT_ε(x, x) − ½ OT_ε(y, y) ≥ 0,   C_ij = ‖x_i − y_j‖^p, no factor ½

    Its scale is that of the p-th power. As ε → 0 it tends to W_p^p (`wasserstein_power`); as ε → ∞ to
    E‖X − Y‖^p − ½ E‖X − X′‖^p − ½ E‖Y − Y′‖^p over all pairs, which is half the biased MMD² of the kernel −‖x − y‖^p:
    for p = 1 half the energy distance, for p = 2 ‖x̄ − ȳ‖². It is 0 only for equal weighted sets (p < 2, or p = 2
    and ε < ∞).

    Args:
        x: (n, d) points.
        y: (m, d) points.
        epsilon: ε > 0, in the units of the points to the power p; ε^(1/p) is the length below which the
            divergence is blurred.
        p: the power, from 1 to 2: for larger p, S may be negative.
        weights_x: (n,) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (m,) likewise.
        tolerance: on the sum of the absolute errors of a marginal.
        max_iterations: for each of the three problems.

    Returns:
        () in the units of the points to the power p, computed in float64; differentiable in the points and the
        weights, also where it is 0.

    Raises:
        UsageError: for shapes that do not fit, or options out of range.
        DataError: for NaN or infinite points, negative weights, weights that are all 0, or no convergence.

    Reference: Feydy et al. (2019), Interpolating between Optimal Transport and MMD using Sinkhorn Divergences,
    eq. 3 and theorem 1 (whose cost for p = 2 is ½‖x − y‖²).

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> sinkhorn_divergence(x, x, epsilon=0.1), sinkhorn_divergence(x, x + 3.0, epsilon=0.1)
        (tensor(0.), tensor(18.))
    """
    _options(epsilon, tolerance, max_iterations)
    if not 1 <= p <= 2:
        raise UsageError(f"p must lie between 1 and 2, where the divergence is positive; got {p}")
    point_sets(x=x, y=y)
    dtype = torch.promote_types(x.dtype, y.dtype)
    a = normalised_weights("weights_x", weights_x, x, len(x))
    b = normalised_weights("weights_y", weights_y, y, len(y))
    x, y = x.double(), y.double()

    def transport(points: Tensor, masses: Tensor, others: Tensor, other_masses: Tensor) -> Tensor:
        cost = distance_cost(points, others, p)
        return _solve(masses, other_masses, cost, epsilon, tolerance, max_iterations)[0]

    bias = (transport(x, a, x, a) + transport(y, b, y, b)) / 2
    return (transport(x, a, y, b) - bias).to(dtype)


def _options(epsilon: float, tolerance: float, max_iterations: int) -> None:
    if not 0 < epsilon < float("inf"):
        raise UsageError(f"epsilon must be positive and finite, in the units of the cost; got {epsilon}")
    if not tolerance > 0 or max_iterations < 1:
        raise UsageError(f"tolerance must be > 0 and max_iterations >= 1; got {tolerance}, {max_iterations}")


def _solve(
    p: Tensor, q: Tensor, C: Tensor, epsilon: float, tolerance: float, max_iterations: int
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], int]:
    """Return OT_ε with its gradients, plan, potentials and the number of iterations."""
    masses_p, masses_q, costs = p.detach(), q.detach(), C.detach()
    rows, columns = masses_p > 0, masses_q > 0
    on_rows, on_support = costs[rows], costs[rows][:, columns]
    p_there, q_there = masses_p[rows], masses_q[columns]
    f, _, iterations = entropic_potentials(p_there, q_there, on_support, epsilon, tolerance, max_iterations)
    g = soft_c_transform(on_rows.T, f, p_there.log(), epsilon)  # atoms without mass get potentials too
    f = soft_c_transform(costs, g, masses_q.log(), epsilon)
    exponent = masses_p.log()[:, None] + masses_q.log() + (f[:, None] + g - costs) / epsilon
    plan = exponent.exp()
    value = f @ masses_p + g @ masses_q
    return with_gradients(value, plan, (f, g), p, q, C), plan, (f, g), iterations
