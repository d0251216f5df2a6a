"""The E-step of a Gaussian mixture as two matrix products over quadratic features of the rows.

log π_k + log N(x; μ_k, Σ_k) is a quadratic polynomial in x. With the features φ(y) = [y_i y_j (i ≤ j), y_i, 1] of
y = x − c, the log-densities of all components are one product A φ, and all moments are one product r φᵀ.
"""

import torch
from torch import Tensor

from latentia.functional.mixtures.components import Components
from latentia.functional.mixtures.m_step import Moments

_FLOOR = -80.0  # of log-responsibilities: exp() is 50 times slower where its result underflows


def features(y: Tensor, *, matrix: bool) -> Tensor:
    """Return the quadratic features of rows, one in each column: (D, B) → (F, B).

    F = D (D + 1) / 2 + D + 1, or 2 D + 1 without products of different entries.

    Args:
        y: (D, B) the centred rows, one in each column.
        matrix: whether to include products of different entries besides the squares.

    Example:
        >>> features(torch.tensor([[2.0], [3.0]]), matrix=True).T
        tensor([[4., 6., 9., 2., 3., 1.]])
    """
    D, B = y.shape
    products = D * (D + 1) // 2 if matrix else D
    phi = y.new_empty(products + D + 1, B)
    if matrix:
        start = 0
        for i in range(D):
            torch.mul(y[i], y[i:], out=phi[start : start + D - i])
            start += D - i
    else:
        torch.mul(y, y, out=phi[:D])
    phi[products:-1] = y
    phi[-1] = 1
    return phi


def coefficients(components: Components, centre: Tensor) -> Tensor:
    """Return A with A φ(x − c) = log π_k + log N(x; μ_k, Σ_k): (K, F).

    With P = Σ⁻¹ and m = μ − c: −½ P_ii for squares, −P_ij for products, P m for entries, and for 1 the log-density
    at y = 0.

    Args:
        components: K of them.
        centre: (D,) c.
    """
    m = components.means - centre
    if components.matrix:
        P = torch.cholesky_inverse(components.factors)
        linear = (P @ m[..., None])[..., 0]
        i, j = torch.triu_indices(*P.shape[1:], device=P.device)
        square = P[:, i, j] * torch.where(i == j, -0.5, -1.0).to(P)
    else:
        precisions = components.factors.square().reciprocal()
        linear, square = precisions * m, -0.5 * precisions
    constant = components.log_normalisers - 0.5 * (linear * m).sum(1)
    return torch.cat([square, linear, constant[:, None]], dim=1)


def cancellation(components: Components, variances: Tensor) -> Tensor:
    """Return the ratio of the terms of A φ to their sum, which measures cancellation: max_k Σ_i (Σ_k⁻¹)_ii v_i.

    In a floating-point precision ε the product has errors of about ε times this many nats: it is the squared ratio of
    the spread of all rows to that of a component in its narrowest direction.

    Args:
        components: K of them.
        variances: (D,) v, of each entry over all rows.
    """
    if not components.matrix:
        return (variances / components.factors.square()).sum(1).max()
    unit = torch.eye(len(variances), dtype=variances.dtype, device=variances.device)
    inverse = torch.linalg.solve_triangular(
        components.factors, unit.expand_as(components.factors), upper=False
    )
    return (inverse.square().sum(1) * variances).sum(1).max()


def expected(A: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """Return Σ_i r_ik φ(y_i) and Σ_i log p(x_i), in float64, from the features of a block of rows.

    r_ik = exp(a_ik − log Σ_j exp(a_ij)) with a = A φ.

    Args:
        A: (K, F) coefficients, in the features' dtype.
        phi: (F, B) features.

    Returns:
        (K, F), and () nats.
    """
    a = A @ phi
    top = a.amax(0)
    r = a.sub_(top).clamp_min_(_FLOOR).softmax(0)
    log_prob = top.double() - r.amax(0).double().log()  # the largest r is 1 / Σ_j exp(a_j − top)
    return (r @ phi.mT).double(), log_prob.sum()


def as_moments(sums: Tensor, centre: Tensor, log_likelihood: Tensor, *, matrix: bool) -> Moments:
    """Return the moments that sums of features (K, F) hold.

    Args:
        sums: Σ_i r_ik φ(x_i − c).
        centre: (D,) c.
        log_likelihood: of the rows, in nats.
        matrix: whether the features include products of different entries.
    """
    K, D = len(sums), len(centre)
    products, first, count = sums[:, : -D - 1], sums[:, -D - 1 : -1], sums[:, -1]
    second = products
    if matrix:
        i, j = torch.triu_indices(D, D, device=sums.device)
        second = sums.new_empty(K, D, D)
        second[:, i, j] = products
        second[:, j, i] = products
    return Moments(centre.expand(K, D), count, first, second, log_likelihood)
