"""Discrete optimal transport as a linear program, solved with a certificate."""

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentia.errors import DataError
from latentia.functional.transport._checks import checked_problem, with_gradients

_HIGHS_PAIRS = 2_500  # with more pairs of atoms, POT's network simplex is used where POT is installed
_LARGEST = 1e15  # of a scaled cost: the solver treats 1e20 as infinity


@dataclass(frozen=True)
class TransportResult:
    """An optimal transport plan, with a certificate of its optimality.

    Gap, residual and violation are measured in float64, before tensors are cast to the dtype of the arguments.

    Attributes:
        value: () the cost Σ_ij C_ij P_ij of the plan, without a root.
        plan: (n, m) P ≥ 0 with marginals p and q.
        potentials: f (n,) and g (m,) with f_i + g_j ≤ C_ij everywhere; the dual value is Σ f p + Σ g q.
        gap: primal − dual value, a bound of how much the plan's cost exceeds the optimum.
        marginal_residual: the largest |Σ_j P_ij − p_i| and |Σ_i P_ij − q_j|.
        dual_violation: the largest f_i + g_j − C_ij above 0.
        solver: "highs" or "network simplex".
    """

    value: Tensor
    plan: Tensor
    potentials: tuple[Tensor, Tensor]
    gap: float
    marginal_residual: float
    dual_violation: float
    solver: str


@dataclass(frozen=True)
class TransportProgram:
    """The linear program of transport: minimise c·x subject to A x = b and x ≥ 0, x the plan row by row.

    Attributes:
        A: (n + m, n·m) sparse, of 0 and 1: row sums of the plan, then column sums. Its rank is n + m − 1.
        b: (n + m,) the masses p, then q.
        c: (n·m,) the cost row by row.
    """

    A: Any
    b: np.ndarray
    c: np.ndarray


def wasserstein_lp(p: Tensor, q: Tensor, cost: Tensor) -> TransportResult:
    """Solve optimal transport between two discrete distributions, in primal and dual form.

    min_P Σ_ij C_ij P_ij,  P ≥ 0, P1 = p, Pᵀ1 = q   =   max_{f,g} Σ f p + Σ g q,  f_i + g_j ≤ C_ij

    Where C_ij = d(x_i, y_j)^r for a distance d, the value is W_r^r. The solver is SciPy's HiGHS; for larger
    supports POT's network simplex, if POT is installed (``pip install latentia[transport]``). The potentials are made
    feasible by c-transforms, whatever the solver returned, so ``gap`` bounds the error.

    Args:
        p: (n,) probabilities; they may be 0.
        q: (m,) probabilities.
        cost: (n, m) C, of any sign and scale.

    Returns:
        The value, in the units of the cost and differentiable in ``cost``, ``p`` and ``q`` (∂value/∂C is the plan,
        ∂value/∂p the potential), with plan, potentials and residuals. Computed in float64.

    Raises:
        UsageError: for shapes that do not fit.
        DataError: for NaN or infinite values, negative masses, or masses that do not sum to 1.

    Reference: Peyré & Cuturi (2019), Computational Optimal Transport, eqs. 2.11 and 2.20; c-transforms sec. 3.2.

    Example:
        >>> p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])
        >>> result = wasserstein_lp(p, q, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        >>> result.value, result.plan
        (tensor(0.2500), tensor([[0.2500, 0.2500],
                                 [0.0000, 0.5000]]))
    """
    dtype, p, q, C = checked_problem(p, q, cost)
    masses_p, masses_q, costs = (tensor.detach().cpu().numpy() for tensor in (p, q, C))
    plan, f, g, solver = _solve(masses_p, masses_q, costs)
    primal, dual = float((plan * costs).sum()), float(f @ masses_p + g @ masses_q)
    P, potential_p, potential_q = (torch.from_numpy(array).to(C.device) for array in (plan, f, g))
    return TransportResult(
        value=with_gradients(C.new_tensor(primal), P, (potential_p, potential_q), p, q, C).to(dtype),
        plan=P.to(dtype),
        potentials=(potential_p.to(dtype), potential_q.to(dtype)),
        gap=primal - dual,
        marginal_residual=_residual(plan, masses_p, masses_q),
        dual_violation=max(0.0, float((f[:, None] + g - costs).max())),
        solver=solver,
    )


def transport_program(p: Tensor, q: Tensor, cost: Tensor) -> TransportProgram:
    """Return the sparse linear program of optimal transport, for use with another solver.

    min c·x,  A x = b,  x ≥ 0,   with x_(i·m + j) = P_ij

    Args:
        p: (n,) probabilities.
        q: (m,) probabilities.
        cost: (n, m) of any sign.

    Raises:
        UsageError: for shapes that do not fit.
        DataError: for NaN or infinite values, negative masses, or masses that do not sum to 1.

    Reference: Peyré & Cuturi (2019), Computational Optimal Transport, eq. 3.1.

    Example:
        >>> half = torch.tensor([0.5, 0.5])
        >>> program = transport_program(half, half, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        >>> program.A.toarray().astype(int)
        array([[1, 1, 0, 0],
               [0, 0, 1, 1],
               [1, 0, 1, 0],
               [0, 1, 0, 1]])
    """
    _, p, q, C = checked_problem(p, q, cost)
    return _program(*(tensor.detach().cpu().numpy() for tensor in (p, q, C)))


def _program(p: np.ndarray, q: np.ndarray, C: np.ndarray) -> TransportProgram:
    from scipy.sparse import eye_array, kron, vstack

    row_sums = kron(eye_array(len(p)), np.ones((1, len(q))))
    column_sums = kron(np.ones((1, len(p))), eye_array(len(q)))
    return TransportProgram(
        vstack([row_sums, column_sums], format="csr"), np.concatenate([p, q]), C.ravel().copy()
    )


def _solve(p: np.ndarray, q: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Return a feasible plan and feasible potentials, both optimal up to rounding, and the solver's name.

    Atoms without mass are left out of the solver's problem; the c-transforms give them potentials.
    """
    rows, columns = np.flatnonzero(p), np.flatnonzero(q)
    support = C[np.ix_(rows, columns)]
    offset, scaled, scale = _scaled(support)
    large = support.size > _HIGHS_PAIRS and importlib.util.find_spec("ot") is not None
    name, solver = ("network simplex", _network_simplex) if large else ("highs", _highs)
    solved, f = solver(p[rows], q[columns], scaled)
    plan = np.zeros_like(C)
    plan[np.ix_(rows, columns)] = _onto_marginals(solved, p[rows], q[columns])
    g = (C[rows] - (offset + scale * f)[:, None]).min(0)
    return plan, (C - g).min(1), g, name


def _scaled(C: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return offsets a_i, a cost (C_ij − a_i − b_j)/s of the same problem whose small entries are near 1, and s.

    Solvers have absolute tolerances. The scale s is typical of the rows' smallest positive entries and not of the
    largest: where 1e8 means "forbidden", the costs that matter would otherwise be lost in rounding.
    """
    rows = C.min(1)
    reduced = C - rows[:, None]
    reduced = reduced - reduced.min(0)
    rounding = 8 * np.finfo(np.float64).eps * np.abs(C).max()
    smallest = np.where(reduced > rounding, reduced, np.inf).min(1)
    smallest = smallest[np.isfinite(smallest)]
    scale = float(np.median(smallest)) if len(smallest) else 1.0
    return rows, np.minimum(reduced / scale, _LARGEST), scale


def _highs(p: np.ndarray, q: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a plan and the potential of its rows, by the dual simplex method of HiGHS."""
    from scipy.optimize import linprog

    program = _program(p, q, C)
    tolerances = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    solution = linprog(program.c, A_eq=program.A, b_eq=program.b, method="highs-ds", options=tolerances)
    if solution.x is None:
        raise DataError(f"the linear program was not solved: {solution.message}")
    return solution.x.reshape(C.shape), solution.eqlin.marginals[: len(p)]


def _network_simplex(p: np.ndarray, q: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a plan and the potential of its rows, by POT."""
    import ot

    plan, log = ot.emd(p, q, C, numItermax=10**9, log=True)
    return plan, log["u"]


def _onto_marginals(plan: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return a plan with marginals p and q up to rounding; one that has them already is returned unchanged.

    Reference: Altschuler, Weed & Rigollet (2017), Near-linear time approximation algorithms for optimal
    transport via Sinkhorn iteration, algorithm 2.
    """
    if plan.min() >= 0 and _residual(plan, p, q) < 1e-14:
        return plan
    plan = plan.clip(min=0)
    plan = plan * np.minimum(1, p / np.maximum(plan.sum(1), p))[:, None]
    plan = plan * np.minimum(1, q / np.maximum(plan.sum(0), q))
    missing_p, missing_q = (p - plan.sum(1)).clip(min=0), (q - plan.sum(0)).clip(min=0)
    return plan + np.outer(missing_p, missing_q) / max(missing_p.sum(), np.finfo(np.float64).tiny)


def _residual(plan: np.ndarray, p: np.ndarray, q: np.ndarray) -> float:
    return float(max(np.abs(plan.sum(1) - p).max(), np.abs(plan.sum(0) - q).max()))
