"""Exact Wasserstein distances between two sets of points."""

import torch
from torch import Tensor

from latentia.functional.checks import point_sets
from latentia.functional.transport._checks import (
    distance_cost,
    normalised_weights,
    power_at_least_one,
    root,
)
from latentia.functional.transport.assignment import best_matching
from latentia.functional.transport.linear_program import wasserstein_lp
from latentia.functional.transport.one_dimensional import wasserstein_1d_power


def wasserstein(
    x: Tensor,
    y: Tensor,
    p: float = 1,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
) -> Tensor:
    """Return the Wasserstein distance W_p between two sets of points, exactly.

    W_p = (min_P Σ_ij P_ij ‖x_i − y_j‖^p)^(1/p), over plans P between the weights

    The root of p > 1 has an infinite derivative where the sets are equal; train on `wasserstein_power`.

    Args:
        x: (n, d) points.
        y: (m, d) points; m need not be n.
        p: the power, at least 1.
        weights_x: (n,) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (m,) likewise.

    Returns:
        () in the units of the points, computed in float64; differentiable in them.

    Raises:
        UsageError: for p < 1, or shapes that do not fit.
        DataError: for NaN or infinite points, negative weights, or weights that are all 0.

    Reference: Peyré & Cuturi (2019), Computational Optimal Transport, proposition 2.2.

    Example:
        >>> wasserstein(torch.zeros(2, 2), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        tensor(3.)
    """
    return root(wasserstein_power(x, y, p, weights_x, weights_y), p)


def wasserstein_power(
    x: Tensor,
    y: Tensor,
    p: float = 1,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
) -> Tensor:
    """Return W_p^p between two sets of points, exactly: `wasserstein` without its root.

    W_p^p = min_P Σ_ij P_ij ‖x_i − y_j‖^p: two points at distance 3 are at 9 for p = 2, and not at 9/2.

    In one dimension it is solved by quantiles; for equally many unweighted points it is an assignment; otherwise it is
    the linear program of `wasserstein_lp`.

    Args:
        x: (n, d) points.
        y: (m, d) points; m need not be n.
        p: the power, at least 1.
        weights_x: (n,) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (m,) likewise.

    Returns:
        () in the units of the points to the power p; differentiable in them and in the weights.

    Raises:
        UsageError: for p < 1, or shapes that do not fit.
        DataError: for NaN or infinite points, negative weights, or weights that are all 0.

    Reference: Peyré & Cuturi (2019), Computational Optimal Transport, eq. 2.11; proposition 2.1 (assignment).

    Example:
        >>> wasserstein_power(torch.zeros(1, 2), torch.tensor([[3.0, 0.0]]), p=2)
        tensor(9.)
    """
    power_at_least_one(p)
    point_sets(x=x, y=y)
    dtype = torch.promote_types(x.dtype, y.dtype)
    a = normalised_weights("weights_x", weights_x, x, len(x))
    b = normalised_weights("weights_y", weights_y, y, len(y))
    x, y = x.double(), y.double()
    if x.shape[1] == 1:
        value = wasserstein_1d_power(x[:, 0], y[:, 0], p, a, b)
    elif weights_x is None and weights_y is None and len(x) == len(y):
        value = _assignment_power(x, y, p)
    else:
        value = wasserstein_lp(a, b, distance_cost(x, y, p)).value
    return value.to(dtype)


def _assignment_power(x: Tensor, y: Tensor, p: float) -> Tensor:
    """Return the mean of ‖x_i − y_σ(i)‖^p over the optimal assignment σ."""
    there, here = x.detach(), y.detach()
    prices = _prices_of_a_shift(there, here, p).cpu().numpy()
    sigma = best_matching(distance_cost(there, here, p).cpu().numpy(), [prices])
    matched = torch.from_numpy(sigma).to(y.device)
    distances = torch.linalg.vector_norm(x - y[matched], dim=1)
    return distances.pow(p).mean()


def _prices_of_a_shift(x: Tensor, y: Tensor, p: float) -> Tensor:
    """Return −⟨y_j, ∇‖v‖^p⟩ with v = ȳ − x̄: the dual prices if y were x shifted by v."""
    v = y.mean(0) - x.mean(0)
    length = torch.linalg.vector_norm(v).clamp(min=torch.finfo(v.dtype).tiny)
    return -p * length ** (p - 1) * (y @ (v / length))
