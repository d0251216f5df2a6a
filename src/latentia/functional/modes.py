"""How samples are distributed over modes or classes: nearest modes, and divergences of counts."""

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import point_sets
from latentia.functional.discrete import kl_categorical


def nearest_modes(x: Tensor, centres: Tensor, sd: float) -> tuple[Tensor, Tensor]:
    """Return the nearest mode of each point, and the distance to it in standard deviations of a mode.

    k_i = argmin_k ‖x_i − μ_k‖,  d_i = ‖x_i − μ_{k_i}‖/sd, the Mahalanobis distance for covariances sd² I

    Args:
        x: (n, D) points.
        centres: (K, D) μ.
        sd: standard deviation of each mode, in the points' unit.

    Returns:
        (n,) indices of modes and (n,) distances without unit, in float64.

    Raises:
        UsageError: for shapes that do not fit, or an sd that is not positive.
        DataError: for a point that is not finite.

    Example:
        >>> nearest_modes(torch.tensor([[0.0, 0.1], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]]), 0.5)
        (tensor([0, 1]), tensor([0.2000, 2.0000], dtype=torch.float64))
    """
    point_sets(x=x, centres=centres)
    if not sd > 0:
        raise UsageError(f"sd must be positive; got {sd}")
    # No matrix products: their rounding errors scale with the coordinates, and a narrow mode is far smaller.
    distances = torch.cdist(x.double(), centres.double(), compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.min(1)
    return nearest.indices, nearest.values / sd


def fraction_within(radius: float, dimensions: int) -> float:
    """Return the probability that a Gaussian draw is within a Mahalanobis distance of the mean.

    P(‖z‖ < r) = P(χ²_D < r²), which is 1 − exp(−r²/2) in two dimensions

    It is the fraction of high-quality samples that a perfect model reaches, where modes are well separated.

    Args:
        radius: r.
        dimensions: D.

    Example:
        >>> round(fraction_within(3.0, 2), 5), round(fraction_within(3.0, 1), 5)
        (0.98889, 0.9973)
    """
    half = torch.tensor([dimensions / 2, radius**2 / 2], dtype=torch.float64)
    return float(torch.special.gammainc(half[0], half[1]))


def count_kl(counts: Tensor, probabilities: Tensor) -> Tensor:
    """Return the KL divergence of empirical frequencies from probabilities: KL(p̂ ‖ π) with p̂ = counts/n.

    Σ_k p̂_k log p̂_k/π_k; over K equal modes this is the reverse KL of the mode-collapse literature, Σ p̂ log(p̂ K)

    It is biased upwards: over n draws from π itself its mean is (K − 1)/(2n), in the limit of large n.

    Args:
        counts: (K,) number of samples of each mode or class.
        probabilities: (K,) π, probabilities.

    Returns:
        () nats in float64, from 0 to log 1/min π; ∞ for samples where π is 0.

    Raises:
        DataError: for counts that sum to 0, or a π that does not hold probabilities.

    Reference: Lin et al. (2018), PacGAN, section 4; 2n times it is the likelihood ratio of Wilks (1938), χ² of K − 1
    degrees of freedom for draws from π.

    Example:
        >>> count_kl(torch.tensor([5, 5, 0, 0]), torch.full((4,), 0.25))  # log 2
        tensor(0.6931, dtype=torch.float64)
    """
    return kl_categorical(_frequencies(counts), probabilities.double())


def count_kl_stderr(counts: Tensor, probabilities: Tensor) -> Tensor:
    """Return the standard error of `count_kl` by the delta method: √(Var_p̂[log p̂/π]/n).

    At p = π the true error is of the order 1/n, and this one is √2 times as large.

    Args:
        counts: (K,) number of samples of each mode or class.
        probabilities: (K,) π, positive where there are counts.

    Returns:
        () nats in float64.

    Raises:
        DataError: for counts that sum to 0.
    """
    p = _frequencies(counts)
    logs = torch.where(p > 0, (p / probabilities.double()).log(), 0.0)
    variance = (p * logs.square()).sum() - (p * logs).sum().square()
    return (variance.clamp(min=0) / counts.sum()).sqrt()


def count_kl_bias(n: int, categories: int) -> float:
    """Return the mean of `count_kl` over n draws from π itself, to first order: (K − 1)/(2n) nats.

    Example:
        >>> count_kl_bias(2500, 8), count_kl_bias(2500, 25)
        (0.0014, 0.0048)
    """
    return (categories - 1) / (2 * n)


def _frequencies(counts: Tensor) -> Tensor:
    total = float(counts.sum())
    if not total > 0:
        raise DataError("the counts sum to 0, so there are no frequencies to compare")
    return counts.double() / total
