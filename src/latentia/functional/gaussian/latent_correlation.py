"""Correlations of the Gaussian variables behind pairs of columns, of which one or both are seen in intervals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from latentia.functional.gaussian.rectangles import log_interval

_LARGEST = 0.995  # |ρ| of the estimates
_SMALLEST = 1e-12  # of probabilities


def bivariate_cdf(h: Tensor, k: Tensor, rho: float) -> Tensor:
    """Return P(z₁ ≤ h_i, z₂ ≤ k_j) for standard normal z of correlation ρ: (H, K).

    Φ(h) Φ(k) + (1/2π) ∫_0^{asin ρ} exp(−(h² + k² − 2 h k sin θ)/(2 cos² θ)) dθ

    Args:
        h: (H,) finite, float64.
        k: (K,) finite, float64.
        rho: ρ, between −1 and 1; to 1e-8 up to 0.98.

    References:
        Plackett (1954), A reduction formula for normal multivariate integrals; Drezner and Wesolowsky (1990).

    Example:
        >>> zero = torch.zeros(1).double()
        >>> round(float(bivariate_cdf(zero, zero, 0.5)), 6)
        0.333333
    """
    x, w = (torch.from_numpy(each).to(h) for each in np.polynomial.legendre.leggauss(48))
    end = math.asin(rho)
    sin = (end * (x + 1) / 2).sin()
    squares, product = h[:, None].square() + k.square(), h[:, None] * k
    exponents = -(squares[..., None] - 2 * product[..., None] * sin) / (2 * (1 - sin.square()))
    integral = exponents.exp() @ w * (end / 2)
    return torch.special.ndtr(h)[:, None] * torch.special.ndtr(k) + integral / (2 * math.pi)


def polychoric(counts: Tensor, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> float:
    """Return the most likely ρ of two normal variables that are seen in intervals only.

    max_ρ Σ_ab n_ab log P(a_a ≤ z₁ ≤ b_a, a_b ≤ z₂ ≤ b_b)

    Args:
        counts: (A, B) n, how many rows are in both.
        first: (A,) lower and upper ends of the intervals of z₁, finite.
        second: (B,) those of z₂.

    Reference: Olsson (1979), Maximum likelihood estimation of the polychoric correlation coefficient, eq. 2.
    """
    h, at_h = torch.cat(first).unique(return_inverse=True)
    k, at_k = torch.cat(second).unique(return_inverse=True)
    (a, b), (c, d) = at_h.view(2, -1), at_k.view(2, -1)

    def value(rho: float) -> float:
        F = bivariate_cdf(h, k, rho)
        p = F[b][:, d] - F[a][:, d] - F[b][:, c] + F[a][:, c]
        return float((counts * p.clamp_min(_SMALLEST).log()).sum())

    return _most_likely(value)


def polyserial(z: Tensor, counts: Tensor, intervals: tuple[Tensor, Tensor]) -> float:
    """Return the most likely ρ of a normal variable that is seen, and one that is seen in intervals only.

    max_ρ Σ_ib n_ib log [Φ((b_b − ρ z_i)/√(1 − ρ²)) − Φ((a_b − ρ z_i)/√(1 − ρ²))]

    Args:
        z: (G,) values of the first, standardised.
        counts: (G, B) n, how many rows have this value and are in this interval.
        intervals: (B,) lower and upper ends.

    Reference: Olsson, Drasgow and Dorans (1982), The polyserial correlation coefficient, eq. 8.
    """
    a, b = intervals

    def value(rho: float) -> float:
        mean, scale = rho * z[:, None], math.sqrt(1 - rho**2)
        log_p = log_interval((a - mean) / scale, (b - mean) / scale)
        return float((counts * log_p.clamp_min(math.log(_SMALLEST))).sum())

    return _most_likely(value)


def nearest_correlation(matrix: Tensor, *, least: float = 1e-4) -> Tensor:
    """Return a positive definite correlation matrix near a symmetric one: eigenvalues raised, the diagonal made 1.

    Args:
        matrix: (D, D) with ones on its diagonal.
        least: the least eigenvalue before the diagonal is made 1.

    Example:
        >>> nearest_correlation(torch.tensor([[1.0, 0.5], [0.5, 1.0]]).double())
        tensor([[1.0000, 0.5000],
                [0.5000, 1.0000]], dtype=torch.float64)
    """
    values, vectors = torch.linalg.eigh(matrix)
    if bool(values[0] >= least):
        return matrix
    raised = vectors * values.clamp_min(least) @ vectors.mT
    scale = raised.diagonal().rsqrt()
    scaled = scale[:, None] * raised * scale
    return ((scaled + scaled.mT) / 2).fill_diagonal_(1)


def _most_likely(value: Callable[[float], float]) -> float:
    """Return the ρ at which a log-likelihood is highest."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda rho: -value(rho), bounds=(-_LARGEST, _LARGEST), method="bounded", options={"xatol": 1e-4}
    )
    return float(found.x)
