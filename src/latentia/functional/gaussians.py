"""Gaussians with diagonal covariance, given by mean μ and log-variance log σ²."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentia.functional.checks import same_shape

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
