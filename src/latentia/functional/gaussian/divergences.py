"""Divergences of two Gaussians other than KL, for full covariances Σ and for diagonal ones, given by log σ².

All are symmetric in the two Gaussians. The distance of optimal transport is in `functional.gaussian.wasserstein`.
"""

import torch
from torch import Tensor

from latentia.functional.gaussian.densities import (
    check_diagonal_gaussians,
    check_gaussians,
    cholesky_factor,
    kl_diagonal_gaussian,
    kl_from_factors,
    log_det_from_factor,
    squared_mahalanobis,
    symmetric,
)


def jeffreys_gaussian(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    """Return the Jeffreys divergence of two Gaussians with full covariance.

    J = KL(1‖2) + KL(2‖1) ≥ 0 (their sum, not their mean)

    Args:
        mean1: (*B, D) μ₁.
        cov1: (*B, D, D) Σ₁, positive definite.
        mean2: (*B, D) μ₂.
        cov2: (*B, D, D) Σ₂, positive definite.

    Returns:
        (*B,) nats.

    Raises:
        UsageError: (a ValueError) for shapes that do not fit.
        DataError: for values that are not finite, or a covariance that is not symmetric positive definite.

    Reference: Jeffreys (1946), An Invariant Form for the Prior Probability in Estimation Problems.

    Example:
        >>> jeffreys_gaussian(torch.ones(2), torch.eye(2), torch.zeros(2), torch.eye(2))
        tensor(2.)
    """
    check_gaussians(mean1=mean1, cov1=cov1, mean2=mean2, cov2=cov2)
    L1, L2 = cholesky_factor(cov1, "cov1"), cholesky_factor(cov2, "cov2")
    difference = mean1 - mean2
    return (kl_from_factors(difference, L1, L2) + kl_from_factors(difference, L2, L1)).to(mean1.dtype)


def jeffreys_diagonal_gaussian(mean1: Tensor, log_var1: Tensor, mean2: Tensor, log_var2: Tensor) -> Tensor:
    """Return the Jeffreys divergence of two Gaussians with diagonal covariance.

    J = KL(1‖2) + KL(2‖1) ≥ 0 (their sum, not their mean)

    Args:
        mean1: (*B, D) μ₁.
        log_var1: (*B, D) log σ₁².
        mean2: (*B, D) μ₂.
        log_var2: (*B, D) log σ₂².

    Returns:
        (*B,) nats, summed over the D dimensions.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.
        DataError: for values that are not finite.

    Reference: Jeffreys (1946), An Invariant Form for the Prior Probability in Estimation Problems.

    Example:
        >>> one, zero = torch.ones(2), torch.zeros(2)
        >>> jeffreys_diagonal_gaussian(one, zero, zero, zero)
        tensor(2.)
    """
    check_diagonal_gaussians(mean1=mean1, log_var1=log_var1, mean2=mean2, log_var2=log_var2)
    there = kl_diagonal_gaussian(mean1, log_var1, mean2, log_var2)
    return there + kl_diagonal_gaussian(mean2, log_var2, mean1, log_var1)


def bhattacharyya_gaussian(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    """Return the Bhattacharyya distance of two Gaussians with full covariance.

    D_B = −log ∫ √(p₁ p₂) = ⅛ δᵀ Σ̄⁻¹ δ + ½ log(det Σ̄/√(det Σ₁ det Σ₂)), δ = μ₁ − μ₂, Σ̄ = ½ (Σ₁ + Σ₂)

    Args:
        mean1: (*B, D) μ₁.
        cov1: (*B, D, D) Σ₁, positive definite.
        mean2: (*B, D) μ₂.
        cov2: (*B, D, D) Σ₂, positive definite.

    Returns:
        (*B,) nats.

    Raises:
        UsageError: (a ValueError) for shapes that do not fit.
        DataError: for values that are not finite, or a covariance that is not symmetric positive definite.

    Reference: Kailath (1967), The Divergence and Bhattacharyya Distance Measures in Signal Selection.

    Example:
        >>> bhattacharyya_gaussian(2 * torch.ones(2), torch.eye(2), torch.zeros(2), torch.eye(2))
        tensor(1.)
    """
    check_gaussians(mean1=mean1, cov1=cov1, mean2=mean2, cov2=cov2)
    log_det1 = log_det_from_factor(cholesky_factor(cov1, "cov1"))
    log_det2 = log_det_from_factor(cholesky_factor(cov2, "cov2"))
    L = torch.linalg.cholesky(0.5 * (symmetric(cov1) + symmetric(cov2)))
    spread = (log_det_from_factor(L) - 0.5 * (log_det1 + log_det2)).clamp(
        min=0
    )  # 0 at equality up to rounding
    return (0.125 * squared_mahalanobis(mean1 - mean2, L) + 0.5 * spread).to(mean1.dtype)


def bhattacharyya_diagonal_gaussian(
    mean1: Tensor, log_var1: Tensor, mean2: Tensor, log_var2: Tensor
) -> Tensor:
    """Return the Bhattacharyya distance of two Gaussians with diagonal covariance.

    D_B = −log ∫ √(p₁ p₂) = Σ_d [¼ δ_d²/(σ₁² + σ₂²) + ½ log cosh(½ log σ₁²/σ₂²)], δ = μ₁ − μ₂

    Args:
        mean1: (*B, D) μ₁.
        log_var1: (*B, D) log σ₁².
        mean2: (*B, D) μ₂.
        log_var2: (*B, D) log σ₂².

    Returns:
        (*B,) nats, summed over the D dimensions.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.
        DataError: for values that are not finite.

    Reference: Kailath (1967), The Divergence and Bhattacharyya Distance Measures in Signal Selection.

    Example:
        >>> two, zero = 2 * torch.ones(2), torch.zeros(2)
        >>> bhattacharyya_diagonal_gaussian(two, zero, zero, zero)
        tensor(1.)
    """
    check_diagonal_gaussians(mean1=mean1, log_var1=log_var1, mean2=mean2, log_var2=log_var2)
    # log cosh 2r = log(1 + 2 sinh² r), without the cancellation at equal variances
    spread = torch.log1p(2 * torch.sinh(0.25 * (log_var1 - log_var2)).square())
    shift = (mean1 - mean2).square() / (log_var1.exp() + log_var2.exp())
    return (0.25 * shift + 0.5 * spread).sum(-1)


def squared_hellinger_gaussian(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    """Return the squared Hellinger distance of two Gaussians with full covariance.

    H² = ∫ (√p₁ − √p₂)² = 2 (1 − exp(−D_B)), in [0, 2], with D_B of `bhattacharyya_gaussian`

    This is the f-divergence of f(u) = (√u − 1)². Some texts halve it, to [0, 1].

    Args:
        mean1: (*B, D) μ₁.
        cov1: (*B, D, D) Σ₁, positive definite.
        mean2: (*B, D) μ₂.
        cov2: (*B, D, D) Σ₂, positive definite.

    Returns:
        (*B,) without a unit.

    Raises:
        UsageError: (a ValueError) for shapes that do not fit.
        DataError: for values that are not finite, or a covariance that is not symmetric positive definite.

    Reference: Liese & Vajda (2006), On Divergences and Informations in Statistics and Information Theory.

    Example:
        >>> squared_hellinger_gaussian(2 * torch.ones(2), torch.eye(2), torch.zeros(2), torch.eye(2))
        tensor(1.2642)
    """
    return -2 * torch.expm1(-bhattacharyya_gaussian(mean1, cov1, mean2, cov2))


def squared_hellinger_diagonal_gaussian(
    mean1: Tensor, log_var1: Tensor, mean2: Tensor, log_var2: Tensor
) -> Tensor:
    """Return the squared Hellinger distance of two Gaussians with diagonal covariance.

    H² = ∫ (√p₁ − √p₂)² = 2 (1 − exp(−D_B)), in [0, 2], with D_B of `bhattacharyya_diagonal_gaussian`

    Args:
        mean1: (*B, D) μ₁.
        log_var1: (*B, D) log σ₁².
        mean2: (*B, D) μ₂.
        log_var2: (*B, D) log σ₂².

    Returns:
        (*B,) without a unit.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.
        DataError: for values that are not finite.

    Reference: Liese & Vajda (2006), On Divergences and Informations in Statistics and Information Theory.

    Example:
        >>> two, zero = 2 * torch.ones(2), torch.zeros(2)
        >>> squared_hellinger_diagonal_gaussian(two, zero, zero, zero)
        tensor(1.2642)
    """
    return -2 * torch.expm1(-bhattacharyya_diagonal_gaussian(mean1, log_var1, mean2, log_var2))
