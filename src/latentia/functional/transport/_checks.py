"""Helpers of the transport functions: checks, the cost, the root, and gradients by the envelope theorem."""

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import finite, probability_vectors


def power_at_least_one(p: float) -> None:
    """Raise `UsageError` unless 1 ≤ p < ∞, for otherwise W_p is no distance."""
    if not 1 <= p < float("inf"):
        raise UsageError(f"p must be a finite power of at least 1; got {p}")


def checked_problem(p: Tensor, q: Tensor, cost: Tensor) -> tuple[torch.dtype, Tensor, Tensor, Tensor]:
    """Check a discrete transport problem.

    Returns:
        The dtype of the result, p and q in float64 normalised to sum to one, and the cost in float64.

    Raises:
        UsageError: unless the shapes are (n,), (m,) and (n, m).
        DataError: for NaN or infinite values, negative masses, or masses that do not sum to 1 (to 1e-6 in float64,
            1e-5 in float32).

    Example:
        >>> checked_problem(torch.tensor([0.5, 0.75]), torch.ones(1), torch.zeros(2, 1))
        Traceback (most recent call last):
        latentia.errors.DataError: p must sum to one over its last dimension; got a sum of 1.25: divide by the sum
    """
    if p.dim() != 1 or q.dim() != 1 or cost.shape != (len(p), len(q)):
        given = f"{tuple(p.shape)}, {tuple(q.shape)} and {tuple(cost.shape)}"
        raise UsageError(f"p, q and cost must have shapes (n,), (m,) and (n, m); got {given}")
    probability_vectors(p=p)
    probability_vectors(q=q)
    finite(cost=cost)
    dtype = torch.promote_types(torch.promote_types(p.dtype, q.dtype), cost.dtype)
    return dtype, sums_to_one(p), sums_to_one(q), cost.double()


def sums_to_one(masses: Tensor) -> Tensor:
    """Return masses (*B, n) ≥ 0 in float64, divided by their sum.

    Example:
        >>> sums_to_one(torch.tensor([1.0, 3.0]))
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    masses = masses.double()
    return masses / masses.sum(-1, keepdim=True)


def normalised_weights(name: str, weights: Tensor | None, values: Tensor, n: int) -> Tensor:
    """Return weights in float64 divided by their sum, or 1/n each by default.

    Args:
        name: of the weights, for error messages.
        weights: (*B, n) ≥ 0 with a positive sum, or None.
        values: a tensor on the device of the result.
        n: expected size of the last dimension.

    Raises:
        UsageError: for another number of weights.
        DataError: for a NaN, a negative weight, or weights that are all 0.
    """
    if weights is None:
        return torch.full((n,), 1 / n, dtype=torch.float64, device=values.device)
    if not weights.dim() or weights.shape[-1] != n:
        raise UsageError(f"{name} must hold one weight for each of {n} points; got {tuple(weights.shape)}")
    finite(**{name: weights})
    if bool((weights < 0).any()):
        raise DataError(f"{name} must be >= 0; got {float(weights.detach().min()):g}")
    if not bool((weights.sum(-1) > 0).all()):
        raise DataError(f"{name} must not all be 0")
    return sums_to_one(weights)


def distance_cost(x: Tensor, y: Tensor, p: float = 1) -> Tensor:
    """Return the cost C_ij = ‖x_i − y_j‖^p, Euclidean, with no factor ½: (n, d), (m, d) → (n, m).

    Distances are computed from differences, not by a matrix product, so that equal points cost exactly 0.

    Example:
        >>> distance_cost(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), p=2)
        tensor([[25.]])
    """
    distances = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    return distances if p == 1 else distances.pow(p)


def root(power: Tensor, p: float) -> Tensor:
    """Return power^(1/p); its derivative at 0 is infinite for p > 1.

    Example:
        >>> root(torch.tensor(9.0), 2)
        tensor(3.)
    """
    return power if p == 1 else power.pow(1 / p)


def with_gradients(
    value: Tensor, plan: Tensor, potentials: tuple[Tensor, Tensor], p: Tensor, q: Tensor, cost: Tensor
) -> Tensor:
    """Return the value of a solved transport problem with its derivatives by the envelope theorem.

    ∂V/∂C_ij = P_ij,   ∂V/∂p_i = f_i,   ∂V/∂q_j = g_j,   at the optimal plan P and potentials (f, g)

    The added terms are exactly 0, and only their gradients are not.

    Reference: Peyré & Cuturi (2019), Computational Optimal Transport, proposition 9.2 (masses), sec. 9.1.

    Example:
        >>> cost = torch.ones(1, 1, requires_grad=True)
        >>> one = torch.ones(1)
        >>> with_gradients(cost.detach().sum(), torch.ones(1, 1), (one, one), one, one, cost).backward()
        >>> cost.grad
        tensor([[1.]])
    """
    if not any(tensor.requires_grad for tensor in (p, q, cost)):
        return value
    f, g = potentials
    through_cost = (plan * (cost - cost.detach())).sum()
    return value + through_cost + f @ (p - p.detach()) + g @ (q - q.detach())
