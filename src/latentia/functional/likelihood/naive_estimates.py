"""Naive estimates of log p(x): the mean of p(x | z) over the prior, and Parzen windows over samples.

Both are off by tens to hundreds of nats in high dimensions, where few prior draws and few samples are near any given
row. They are here because the literature reports them, and to show how far off they are.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.bounds import iwae
from latentia.functional.checks import point_sets
from latentia.functional.gaussian.densities import LOG_2PI
from latentia.functional.kernel.density_kernels import SMOOTHING_KERNELS, log_kernel_sums

_NARROWEST, _WIDEST = 1e-3, 4.0  # range of the search for σ, in standard deviations of the samples
_CLOSE = 1e-2  # absolute tolerance of log σ


def log_mean_likelihood(log_likelihood: Tensor) -> Tensor:
    """Return the naive Monte Carlo estimate of log p(x).

    log (1/K) Σ_k p(x | z_k), z_k ~ p(z)

    It is IWAE-K with the prior as the proposal: in expectation below log p(x), far below unless K is of the order of
    exp KL(p(z | x) ‖ p(z)).

    Args:
        log_likelihood: (K, *B) log p(x | z_k) in nats.

    Returns:
        (*B,) nats.

    Raises:
        UsageError: without any draw.

    Reference: Wu et al. (2017), On the quantitative analysis of decoder-based generative models, section 2.2.

    Example:
        >>> log_mean_likelihood(torch.tensor([[1.0], [3.0]]).log()).exp()
        tensor([2.])
    """
    return iwae(log_likelihood)


def parzen_log_density(x: Tensor, samples: Tensor, sigma: float) -> Tensor:
    """Return the log-density of Gaussian windows around samples.

    log (1/m) Σ_j N(x; y_j, σ²I), block by block

    Args:
        x: (B, D) points.
        samples: (m, D) y.
        sigma: σ > 0.

    Returns:
        (B,) nats relative to Lebesgue measure, float64.

    Raises:
        UsageError: for other shapes, or σ that is not positive.
        DataError: for points that are not finite.

    Reference: Parzen (1962), On estimation of a probability density function and mode; Breuleux, Bengio and Vincent
    (2011), Quickly generating representative samples from an RBM-derived process, for samples of a model.

    Example:
        >>> parzen_log_density(torch.zeros(1, 1), torch.zeros(5, 1), sigma=1.0)
        tensor([-0.9189], dtype=torch.float64)
    """
    point_sets(x=x, samples=samples)
    if not 0 < sigma < math.inf:
        raise UsageError(f"sigma must be positive and finite; got {sigma}")
    centre = samples.double().mean(0)  # centred, fewer digits cancel
    left, right = ((points.double() - centre) / sigma for points in (x, samples))
    sums = log_kernel_sums(left, right, torch.ones_like(right[:, 0]), SMOOTHING_KERNELS["gaussian"])
    return sums - math.log(len(samples)) - x.shape[1] * (0.5 * LOG_2PI + math.log(sigma))


@dataclass(frozen=True)
class Bandwidth:
    """A bandwidth, the mean log-density of rows under it, and whether it is at an end of the search range."""

    sigma: float
    log_density: float
    at_an_end: bool


def parzen_bandwidth(validation: Tensor, samples: Tensor) -> Bandwidth:
    """Return the σ of windows around samples that maximises the likelihood of validation rows.

    argmax_σ mean_i log (1/m) Σ_j N(x_i; y_j, σ²I), by Brent's method on log σ, between 10⁻³ and 4 times the
    samples' root mean variance

    Args:
        validation: (n, D) rows other than those that are scored afterwards.
        samples: (m, D).

    Raises:
        DataError: for samples that are all equal.
    """
    from scipy.optimize import minimize_scalar

    point_sets(validation=validation, samples=samples, at_least=1)
    typical = float(samples.double().var(0, correction=0).mean().sqrt())
    if not typical > 0:
        raise DataError("the samples are all equal, so no bandwidth suits them")
    ends = math.log(_NARROWEST * typical), math.log(_WIDEST * typical)

    def loss(log_sigma: float) -> float:
        return -float(parzen_log_density(validation, samples, math.exp(log_sigma)).mean())

    found: Any = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": _CLOSE})
    at_an_end = min(found.x - ends[0], ends[1] - found.x) < 5 * _CLOSE
    return Bandwidth(math.exp(found.x), -float(found.fun), bool(at_an_end))
