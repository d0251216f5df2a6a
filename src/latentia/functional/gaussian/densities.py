"""Densities and Kullback-Leibler divergences of Gaussians.

A Gaussian is given by its mean μ and its covariance Σ, or, where Σ is diagonal, its log-variance log σ². Full
covariances are decomposed in float64, whatever their dtype; results have the dtype of the means. Other
divergences are in `functional.gaussian.divergences`, optimal transport in `functional.gaussian.wasserstein`.
"""

import math

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import finite, same_shape

LOG_2PI = math.log(2 * math.pi)


def log_prob_diagonal_gaussian(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Return the log-density of a Gaussian with diagonal covariance.

    log N(x; μ, diag σ²) = −½ Σ_d [log 2π + log σ_d² + (x_d − μ_d)² / σ_d²]

    Args:
        x: (*B, D) points.
        mean: (*B, D) μ.
        log_var: (*B, D) log σ².

    Returns:
        (*B,) nats, relative to Lebesgue measure.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, eq. 2.43.

    Example:
        >>> log_prob_diagonal_gaussian(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2))
        tensor([-1.8379])
    """
    same_shape(x=x, mean=mean, log_var=log_var)
    return -0.5 * (LOG_2PI + log_var + (x - mean).square() * torch.exp(-log_var)).sum(-1)


def kl_diagonal_gaussian(mean_q: Tensor, log_var_q: Tensor, mean_p: Tensor, log_var_p: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence KL(q‖p) of two Gaussians with diagonal covariance.

    KL = ½ Σ_d [σ_q²/σ_p² + (μ_q − μ_p)²/σ_p² − 1 − log(σ_q²/σ_p²)] ≥ 0

    Args:
        mean_q: (*B, D) μ_q.
        log_var_q: (*B, D) log σ_q².
        mean_p: (*B, D) μ_p.
        log_var_p: (*B, D) log σ_p².

    Returns:
        (*B,) nats, summed over the D dimensions and never averaged.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.

    Reference: Kingma & Welling (2014), Auto-Encoding Variational Bayes, appendix B, for p = N(0, I).

    Example:
        >>> one, zero = torch.ones(1, 2), torch.zeros(1, 2)
        >>> kl_diagonal_gaussian(one, zero, zero, zero)
        tensor([1.])
    """
    same_shape(mean_q=mean_q, log_var_q=log_var_q, mean_p=mean_p, log_var_p=log_var_p)
    log_ratio = log_var_q - log_var_p
    # expm1(r) − r is σ_q²/σ_p² − 1 − log(σ_q²/σ_p²), without the cancellation at equal variances.
    spread = torch.expm1(log_ratio) - log_ratio
    return 0.5 * (spread + (mean_q - mean_p).square() * torch.exp(-log_var_p)).sum(-1)


def kl_standard_gaussian(mean: Tensor, log_var: Tensor) -> Tensor:
    """Return KL(N(μ, diag σ²) ‖ N(0, I)).

    KL = ½ Σ_d [σ_d² + μ_d² − 1 − log σ_d²] ≥ 0

    Args:
        mean: (*B, D) μ.
        log_var: (*B, D) log σ².

    Returns:
        (*B,) nats, summed over the D dimensions and never averaged.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.

    Reference: Kingma & Welling (2014), Auto-Encoding Variational Bayes, appendix B (which prints −KL).

    Example:
        >>> kl_standard_gaussian(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))
        tensor([12.5000])
    """
    same_shape(mean=mean, log_var=log_var)
    return 0.5 * (torch.expm1(log_var) - log_var + mean.square()).sum(-1)


def log_prob_gaussian(x: Tensor, mean: Tensor, cov: Tensor) -> Tensor:
    """Return the log-density of a Gaussian with full covariance.

    log N(x; μ, Σ) = −½ [D log 2π + log det Σ + (x − μ)ᵀ Σ⁻¹ (x − μ)]

    Each covariance is decomposed once, however many points *S are evaluated.

    Args:
        x: (*S, *B, D) points, *S of them for each Gaussian.
        mean: (*B, D) μ.
        cov: (*B, D, D) Σ, positive definite.

    Returns:
        (*S, *B) nats, relative to Lebesgue measure.

    Raises:
        UsageError: (a ValueError) for shapes that do not fit.
        DataError: for values that are not finite, or a covariance that is not symmetric positive definite.

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, eq. 2.43.

    Example:
        >>> log_prob_gaussian(torch.zeros(3, 2), torch.zeros(2), torch.eye(2))
        tensor([-1.8379, -1.8379, -1.8379])
    """
    if x.dim() < mean.dim() or x.shape[x.dim() - mean.dim() :] != mean.shape:
        raise UsageError(
            f"x must have shape (*S, *B, D) for a mean of shape (*B, D); got x {tuple(x.shape)},"
            f" mean {tuple(mean.shape)}"
        )
    finite(x=x)
    check_gaussians(mean=mean, cov=cov)
    L = cholesky_factor(cov, "cov")
    sets = x.shape[: x.dim() - mean.dim()]
    deviations = (x - mean).double().reshape(sets.numel(), *mean.shape)
    whitened = torch.linalg.solve_triangular(L, deviations.movedim(0, -1), upper=False)  # (*B, D, points)
    constant = mean.shape[-1] * LOG_2PI + log_det_from_factor(L)
    log_prob = -0.5 * (constant[..., None] + whitened.square().sum(-2))
    return log_prob.movedim(-1, 0).reshape(x.shape[:-1]).to(x.dtype)


def kl_gaussian(mean_q: Tensor, cov_q: Tensor, mean_p: Tensor, cov_p: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence KL(q‖p) of two Gaussians with full covariance.

    KL = ½ [tr(Σ_p⁻¹ Σ_q) + (μ_q − μ_p)ᵀ Σ_p⁻¹ (μ_q − μ_p) − D − log(det Σ_q/det Σ_p)] ≥ 0

    The reverse divergence KL(p‖q) is this function with the two Gaussians swapped.

    Args:
        mean_q: (*B, D) μ_q.
        cov_q: (*B, D, D) Σ_q, positive definite.
        mean_p: (*B, D) μ_p.
        cov_p: (*B, D, D) Σ_p, positive definite.

    Returns:
        (*B,) nats.

    Raises:
        UsageError: (a ValueError) for shapes that do not fit.
        DataError: for values that are not finite, or a covariance that is not symmetric positive definite.

    Reference: Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, eq. A.23.

    Example:
        >>> kl_gaussian(torch.ones(2), torch.eye(2), torch.zeros(2), torch.eye(2))
        tensor(1.)
    """
    check_gaussians(mean_q=mean_q, cov_q=cov_q, mean_p=mean_p, cov_p=cov_p)
    L_q, L_p = cholesky_factor(cov_q, "cov_q"), cholesky_factor(cov_p, "cov_p")
    return kl_from_factors(mean_q - mean_p, L_q, L_p).to(mean_q.dtype)


def kl_from_factors(difference: Tensor, L_q: Tensor, L_p: Tensor) -> Tensor:
    """Return KL(q‖p) from μ_q − μ_p (*B, D) and the triangular L (*B, D, D) with L Lᵀ = Σ: (*B,).

    With M = L_p⁻¹ L_q, tr(Σ_p⁻¹ Σ_q) = Σ_ij M_ij² and log(det Σ_q/det Σ_p) = Σ_i log M_ii². As for diagonal
    covariances, every term of the sum is then ≥ 0, so nothing cancels where the covariances are equal.
    """
    M = torch.linalg.solve_triangular(L_p, L_q, upper=False)
    log_ratio = 2 * M.diagonal(dim1=-2, dim2=-1).log()
    spread = (torch.expm1(log_ratio) - log_ratio).sum(-1) + M.tril(-1).square().sum((-2, -1))
    return 0.5 * (spread + squared_mahalanobis(difference, L_p))


def check_gaussians(**parameters: Tensor) -> None:
    """Raise unless means and covariances, passed by name alternately, have shapes (*B, D) and (*B, D, D).

    Raises:
        UsageError: for other shapes, means of different shapes, or integers.
        DataError: for values that are not finite, or a covariance that is not symmetric.

    Example:
        >>> check_gaussians(mean=torch.zeros(2), cov=torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
        Traceback (most recent call last):
        latentia.errors.DataError: cov must be symmetric; got entries 0.5 off from their mirror images
    """
    names = list(parameters)
    same_shape(**{name: parameters[name] for name in names[::2]})
    finite(**parameters)
    for mean_name, cov_name in zip(names[::2], names[1::2], strict=True):
        mean, cov = parameters[mean_name].shape, parameters[cov_name].detach()
        if not mean or cov.shape != (*mean, mean[-1]):
            raise UsageError(
                f"{mean_name} and {cov_name} must have shapes (*B, D) and (*B, D, D);"
                f" got {tuple(mean)} and {tuple(cov.shape)}"
            )
        off = (cov - cov.mT).abs()
        if bool((off > torch.finfo(cov.dtype).eps ** 0.5 * cov.abs().amax((-2, -1), keepdim=True)).any()):
            raise DataError(
                f"{cov_name} must be symmetric; got entries {float(off.max()):.3g} off from their mirror images"
            )


def check_diagonal_gaussians(**parameters: Tensor) -> None:
    """Raise unless means and log-variances, given by name, are finite and of one shape (*B, D).

    Raises:
        UsageError: for other shapes, or integers.
        DataError: for values that are not finite.
    """
    same_shape(**parameters)
    finite(**parameters)
    name, parameter = next(iter(parameters.items()))
    if parameter.dim() == 0:
        raise UsageError(f"{name} must have shape (*B, D); got a number: give it a dimension")


def cholesky_factor(cov: Tensor, name: str) -> Tensor:
    """Return the lower triangular L with L Lᵀ = Σ in float64: (*B, D, D).

    Raises:
        DataError: unless Σ, called ``name``, is positive definite to within the rounding of its dtype.
    """
    sigma = symmetric(cov)
    L, failed = torch.linalg.cholesky_ex(sigma)
    # The conditional variance given the entries before it. Rounding alone can make it positive.
    left = L.detach().diagonal(dim1=-2, dim2=-1).square() / sigma.detach().diagonal(dim1=-2, dim2=-1)
    if bool(failed.any()) or bool((left < cov.shape[-1] * torch.finfo(cov.dtype).eps).any()):
        smallest = float(torch.linalg.eigvalsh(sigma.detach()).min())
        raise DataError(
            f"{name} must be positive definite; got a smallest eigenvalue of {smallest:.3g}:"
            " add a small multiple of the identity"
        )
    return L


def symmetric(cov: Tensor) -> Tensor:
    """Return ½ (Σ + Σᵀ) in float64, which makes its gradient symmetric too."""
    cov = cov.double()
    return 0.5 * (cov + cov.mT)


def log_det_from_factor(L: Tensor) -> Tensor:
    """Return log det L Lᵀ = 2 Σ_i log L_ii: (*B, D, D) → (*B,)."""
    return 2 * L.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def squared_mahalanobis(difference: Tensor, L: Tensor) -> Tensor:
    """Return δᵀ (L Lᵀ)⁻¹ δ = ‖L⁻¹ δ‖²: (*B, D), (*B, D, D) → (*B,)."""
    whitened = torch.linalg.solve_triangular(L, difference.double()[..., None], upper=False)
    return whitened.square().sum((-2, -1))
