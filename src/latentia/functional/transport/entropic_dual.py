"""Maximisation of the dual of entropic transport: Sinkhorn sweeps, then Newton steps on one potential."""

from typing import NamedTuple

import torch
from torch import Tensor

from latentia.errors import DataError

_COARSE = 1e-3  # marginal error at which ε is halved before its final value
_DAMPING = 1e-10  # of the Newton system, relative to the masses
_HALVINGS = 8  # of a Newton step, before a Sinkhorn sweep replaces it


class DualPoint(NamedTuple):
    """The dual at a potential f, with the optimal g given f.

    Attributes:
        f: (n,).
        g: (m,), which makes the columns of the plan sum to q.
        plan: (n, m) P_ij = p_i q_j exp((f_i + g_j − C_ij)/ε).
        value: () Σ f p + Σ g q, the dual objective, since P sums to one.
    """

    f: Tensor
    g: Tensor
    plan: Tensor
    value: Tensor


def soft_c_transform(cost: Tensor, g: Tensor, log_q: Tensor, epsilon: float) -> Tensor:
    """Return f_i = −ε log Σ_j q_j exp((g_j − C_ij)/ε), the f that makes row i of the plan sum to p_i.

    Args:
        cost: (n, m) C.
        g: (m,) the other potential.
        log_q: (m,) log q, −inf for an atom without mass.
        epsilon: ε > 0, in the units of the cost.

    Returns:
        (n,) in the units of the cost; min_j (C_ij − g_j) as ε → 0.

    Reference: Peyré & Cuturi (2019), Computational Optimal Transport, eqs. 4.40 and 4.41.

    Example:
        >>> soft_c_transform(torch.tensor([[1.0, 3.0]]), torch.zeros(2), torch.tensor([0.5, 0.5]).log(), 1e-3)
        tensor([1.0007])
    """
    return -epsilon * torch.logsumexp(log_q + (g - cost) / epsilon, 1)


def entropic_potentials(
    p: Tensor, q: Tensor, cost: Tensor, epsilon: float, tolerance: float, max_iterations: int
) -> tuple[Tensor, Tensor, int]:
    """Return the potentials of entropic transport between masses that are all positive.

    max_f  Σ f p + Σ g(f) q,   g(f) the soft c-transform of f

    ε is halved from the range of the cost down to its value. At each, one Sinkhorn sweep is followed by Newton steps:
    sweeps alone need a number of iterations that grows like exp(1/ε) where the plan is nearly a matching, Newton's
    method a few. The Newton system is that of the smaller side, with n³/3 + n² m operations.

    Args:
        p: (n,) > 0, float64.
        q: (m,) > 0.
        cost: (n, m).
        epsilon: ε > 0.
        tolerance: on Σ_i |Σ_j P_ij − p_i|.
        max_iterations: over all values of ε.

    Returns:
        f (n,), g (m,) and the number of iterations.

    Raises:
        DataError: where the tolerance is not reached.

    Reference: Brauer, Clason, Lorenz & Wirth (2017), A Sinkhorn-Newton method for entropic optimal transport.

    Example:
        >>> one = torch.ones(1).double()
        >>> f, g, _ = entropic_potentials(one, one, torch.full((1, 1), 3.0).double(), 0.1, 1e-9, 100)
        >>> f + g
        tensor([3.], dtype=torch.float64)
    """
    if len(p) > len(q):
        g, f, iterations = entropic_potentials(q, p, cost.T, epsilon, tolerance, max_iterations)
        return f, g, iterations
    f, g, iterations = torch.zeros_like(p), torch.zeros_like(q), 0
    for stage in _stages(float(cost.max() - cost.min()), epsilon):
        goal = tolerance if stage == epsilon else max(_COARSE, tolerance)
        at = _dual(p, q, cost, soft_c_transform(cost, g, q.log(), stage), stage)
        while (error := float((at.plan.sum(1) - p).abs().sum())) > goal:
            if iterations == max_iterations:
                raise DataError(
                    f"entropic transport did not converge: after {iterations} iterations at epsilon = {stage:.3g} "
                    f"a marginal is off by {error:.1g}; raise epsilon, tolerance or max_iterations"
                )
            at, iterations = _next(p, q, cost, at, stage), iterations + 1
        f, g = at.f, at.g
    return f, g, iterations


def _stages(start: float, epsilon: float) -> list[float]:
    """Return start, start/2, …, ε."""
    stages: list[float] = []
    while start > epsilon:
        stages.append(start)
        start /= 2
    return [*stages, epsilon]


def _dual(p: Tensor, q: Tensor, cost: Tensor, f: Tensor, epsilon: float) -> DualPoint:
    g = soft_c_transform(cost.T, f, p.log(), epsilon)
    plan = (p.log()[:, None] + q.log() + (f[:, None] + g - cost) / epsilon).exp()
    return DualPoint(f, g, plan, f @ p + g @ q)


def _next(p: Tensor, q: Tensor, cost: Tensor, at: DualPoint, epsilon: float) -> DualPoint:
    """Return a better point: by Newton's step, shortened until the dual rises, else by a Sinkhorn sweep."""
    step = _newton_step(p, q, at.plan, epsilon)
    if step is not None:
        slope = (p - at.plan.sum(1)) @ step
        for halving in range(_HALVINGS):
            size = 0.5**halving
            point = _dual(p, q, cost, at.f + size * step, epsilon)
            if bool(point.value >= at.value + 1e-4 * size * slope):
                return point
    return _dual(p, q, cost, soft_c_transform(cost, at.g, q.log(), epsilon), epsilon)


def _newton_step(p: Tensor, q: Tensor, plan: Tensor, epsilon: float) -> Tensor | None:
    """Return ε L⁻¹ (p − P1) with L = diag(P1) − P diag(1/q) Pᵀ, or None where L is not positive.

    −L/ε is the dual's Hessian in f. It is 0 along constants, under which the dual is invariant: the term rrᵀ
    fixes them. The damping handles parts of the plan that exchange no mass.
    """
    rows = plan.sum(1)
    L = torch.diag(rows + _DAMPING * p) - (plan / q) @ plan.T + torch.outer(rows, rows)
    factor, failed = torch.linalg.cholesky_ex(L)
    if bool(failed):
        return None
    return epsilon * torch.cholesky_solve((p - rows)[:, None], factor)[:, 0]
