"""The 2-Wasserstein distance of two Gaussians: optimal transport in closed form.

``_power`` is W₂², and the distance its root. Covariances may be singular: that of a point mass is 0.
"""

import torch
from torch import Tensor

from latentia.errors import DataError
from latentia.functional.gaussian.densities import check_diagonal_gaussians, check_gaussians, symmetric


def bures_wasserstein_power(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    """Return the squared 2-Wasserstein distance of two Gaussians with full covariance.

    W₂² = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr(Σ₁^½ Σ₂ Σ₁^½)^½

    The last trace is the sum of the singular values of F₁ᵀF₂, for any F with F Fᵀ = Σ. Its gradient is finite
    at positive definite covariances, equal ones included; at singular ones there is none (the square root has
    infinite slope at 0), and requiring it is an error.

    Args:
        mean1: (*B, D) μ₁.
        cov1: (*B, D, D) Σ₁, positive semidefinite.
        mean2: (*B, D) μ₂.
        cov2: (*B, D, D) Σ₂, positive semidefinite.

    Returns:
        (*B,) in squared units of the data.

    Raises:
        UsageError: (a ValueError) for shapes that do not fit.
        DataError: for values that are not finite, a covariance that is not symmetric positive semidefinite,
            or a singular covariance that requires a gradient.

    Reference: Dowson & Landau (1982), The Fréchet Distance between Multivariate Normal Distributions;
    Bhatia, Jain & Lim (2019), On the Bures-Wasserstein Distance between Positive Definite Matrices, theorem 1.

    Example:
        >>> bures_wasserstein_power(torch.tensor([3.0, 4.0]), torch.eye(2), torch.zeros(2), 4 * torch.eye(2))
        tensor(27.)
    """
    check_gaussians(mean1=mean1, cov1=cov1, mean2=mean2, cov2=cov2)
    factor1, factor2 = _semidefinite_factor(cov1, "cov1"), _semidefinite_factor(cov2, "cov2")
    traces = factor1.square().sum((-2, -1)) + factor2.square().sum((-2, -1))
    overlap = torch.linalg.svdvals(factor1.mT @ factor2).sum(-1)
    spread = (traces - 2 * overlap).clamp(min=0)  # 0 at equal covariances up to rounding
    return (spread + (mean1 - mean2).double().square().sum(-1)).to(mean1.dtype)


def bures_wasserstein(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    """Return the 2-Wasserstein distance of two Gaussians with full covariance.

    W₂ = √W₂², with W₂² of `bures_wasserstein_power`

    At equal Gaussians the root has a kink; the gradient there is 0. Rounding in W₂², about 10⁻¹⁶ tr Σ, makes the
    distance of equal covariances as large as 10⁻⁸ √tr Σ.

    Args:
        mean1: (*B, D) μ₁.
        cov1: (*B, D, D) Σ₁, positive semidefinite.
        mean2: (*B, D) μ₂.
        cov2: (*B, D, D) Σ₂, positive semidefinite.

    Returns:
        (*B,) in units of the data.

    Raises:
        UsageError: (a ValueError) for shapes that do not fit.
        DataError: for values that are not finite, a covariance that is not symmetric positive semidefinite,
            or a singular covariance that requires a gradient.

    Reference: as `bures_wasserstein_power`.

    Example:
        >>> zero = torch.zeros(1, 1)  # two point masses
        >>> bures_wasserstein(torch.tensor([3.0]), zero, torch.tensor([-1.0]), zero)
        tensor(4.)
    """
    return _root(bures_wasserstein_power(mean1, cov1, mean2, cov2))


def bures_wasserstein_diagonal_power(
    mean1: Tensor, log_var1: Tensor, mean2: Tensor, log_var2: Tensor
) -> Tensor:
    """Return the squared 2-Wasserstein distance of two Gaussians with diagonal covariance.

    W₂² = Σ_d [(μ₁ − μ₂)² + (σ₁ − σ₂)²]

    Args:
        mean1: (*B, D) μ₁.
        log_var1: (*B, D) log σ₁².
        mean2: (*B, D) μ₂.
        log_var2: (*B, D) log σ₂².

    Returns:
        (*B,) in squared units of the data, summed over the D dimensions.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.
        DataError: for values that are not finite.

    Reference: Dowson & Landau (1982), The Fréchet Distance between Multivariate Normal Distributions.

    Example:
        >>> zero = torch.zeros(2)
        >>> bures_wasserstein_diagonal_power(torch.tensor([3.0, 4.0]), zero, zero, zero)
        tensor(25.)
    """
    check_diagonal_gaussians(mean1=mean1, log_var1=log_var1, mean2=mean2, log_var2=log_var2)
    spread = torch.exp(0.5 * log_var1) - torch.exp(0.5 * log_var2)
    return ((mean1 - mean2).square() + spread.square()).sum(-1)


def bures_wasserstein_diagonal(mean1: Tensor, log_var1: Tensor, mean2: Tensor, log_var2: Tensor) -> Tensor:
    """Return the 2-Wasserstein distance of two Gaussians with diagonal covariance.

    W₂ = √W₂², with W₂² of `bures_wasserstein_diagonal_power`; where it is 0, its gradient is 0.

    Args:
        mean1: (*B, D) μ₁.
        log_var1: (*B, D) log σ₁².
        mean2: (*B, D) μ₂.
        log_var2: (*B, D) log σ₂².

    Returns:
        (*B,) in units of the data.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.
        DataError: for values that are not finite.

    Reference: as `bures_wasserstein_diagonal_power`.

    Example:
        >>> zero = torch.zeros(2)
        >>> bures_wasserstein_diagonal(torch.tensor([3.0, 4.0]), zero, zero, zero)
        tensor(5.)
    """
    return _root(bures_wasserstein_diagonal_power(mean1, log_var1, mean2, log_var2))


def _root(power: Tensor) -> Tensor:
    """Return √power, with gradient 0 instead of ∞ where it is 0."""
    apart = power > 0
    return torch.where(apart, torch.where(apart, power, 1.0).sqrt(), 0.0)


def _semidefinite_factor(cov: Tensor, name: str) -> Tensor:
    """Return some F with F Fᵀ = Σ in float64: by Cholesky, or from eigenvectors where Σ is singular."""
    sigma = symmetric(cov)
    L, failed = torch.linalg.cholesky_ex(sigma)
    if not bool(failed.any()):
        return L
    eigenvalues, vectors = torch.linalg.eigh(sigma.detach())
    rounding = 10 * cov.shape[-1] * torch.finfo(cov.dtype).eps * eigenvalues[..., -1:].clamp(min=0)
    if bool((eigenvalues < -rounding).any()):
        smallest = float(eigenvalues.min())
        raise DataError(f"{name} must be positive semidefinite; got a smallest eigenvalue of {smallest:.3g}")
    if sigma.requires_grad:
        raise DataError(f"{name} is singular, where W₂ has no gradient: add a small multiple of the identity")
    return vectors * eigenvalues.clamp(min=0).sqrt()[..., None, :]
