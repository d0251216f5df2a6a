"""Bounds of a log-likelihood from log-weights log w_k = log p(x, z_k) − log q(z_k | x), z_k ~ q.

All are one family, the Rényi bounds L_α = log (mean_k w_k^(1−α)) / (1 − α): `elbo` is α = 1 (in the limit),
`iwae` α = 0, and `cubo` of order n is α = 1 − n. For K weights, E[elbo] ≤ E[iwae] ≤ log p(x), and both are equal
for K = 1. `elbo` averages logarithms, so more weights only lower its variance; `iwae` takes the logarithm of an
average, so more weights tighten it. The losses that train with either are their negatives.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError


def elbo(log_w: Tensor) -> Tensor:
    """Return the evidence lower bound: the mean of the log-weights.

    ELBO = (1/K) Σ_k log w_k, an unbiased estimate of log p(x) − KL(q(z|x) ‖ p(z|x))

    Args:
        log_w: (K, *B) log-weights in nats.

    Returns:
        (*B,) nats.

    Raises:
        UsageError: without any log-weight.

    Reference: Kingma & Welling (2014), Auto-Encoding Variational Bayes, eq. 2.

    Example:
        >>> elbo(torch.tensor([[0.0], [2.0]]))
        tensor([1.])
    """
    _count(log_w)
    return log_w.mean(0)


def iwae(log_w: Tensor) -> Tensor:
    """Return the importance-weighted bound: the logarithm of the mean weight.

    IWAE-K = log (1/K) Σ_k w_k

    Args:
        log_w: (K, *B) log-weights in nats.

    Returns:
        (*B,) nats.

    Raises:
        UsageError: without any log-weight.

    Reference: Burda, Grosse & Salakhutdinov (2016), Importance Weighted Autoencoders, eq. 8.

    Example:
        >>> iwae(torch.tensor([[1.0], [3.0]]).log()).exp()
        tensor([2.])
    """
    return torch.logsumexp(log_w, 0) - math.log(_count(log_w))


def renyi(log_w: Tensor, alpha: float) -> Tensor:
    """Return the variational Rényi bound.

    L_α = 1/(1 − α) · log (1/K) Σ_k w_k^(1−α); at α = 1 its limit, the ELBO; at α = 0 IWAE-K

    As K grows it tends to log p(x) − D_α(q(z|x) ‖ p(z|x)), D_α the Rényi divergence: a limit that falls in α,
    below log p(x) for α > 0 and above it for α < 0. The expectation with K weights is below that limit for
    α < 1, so that a negative α may still come out below log p(x), and above it for α > 1.

    Args:
        log_w: (K, *B) log-weights in nats.
        alpha: α, any finite number.

    Returns:
        (*B,) nats.

    Raises:
        UsageError: without any log-weight, or for an α that is not finite.

    Reference: Li & Turner (2016), Rényi Divergence Variational Inference, section 3, theorems 1 and 2.

    Example:
        >>> renyi(torch.tensor([[1.0], [3.0]]).log(), alpha=2.0).exp()  # the harmonic mean
        tensor([1.5000])
    """
    if not math.isfinite(alpha):
        raise UsageError(f"alpha must be a finite number; got {alpha}")
    return elbo(log_w) if alpha == 1 else iwae((1 - alpha) * log_w) / (1 - alpha)


def cubo(log_w: Tensor, n: float = 2.0) -> Tensor:
    """Return the χ upper bound of order n.

    CUBO_n = (1/n) log (1/K) Σ_k w_k^n, which is L_α at α = 1 − n

    As K grows it tends to its limit (1/n) log E_q[w^n] ≥ log p(x) *from below* in expectation: only exp(n CUBO_n)
    is unbiased. With too few weights, as where the effective sample size is small, it is no upper bound.

    Args:
        log_w: (K, *B) log-weights in nats.
        n: order, at least 1 (at 1 it is IWAE-K, whose limit is log p(x) itself).

    Returns:
        (*B,) nats.

    Raises:
        UsageError: without any log-weight, or for an order below 1.

    Reference: Dieng et al. (2017), Variational Inference via χ Upper Bound Minimization, section 2.

    Example:
        >>> cubo(torch.tensor([[1.0], [7.0]]).log()).exp()  # the root of the mean square
        tensor([5.])
    """
    if not (n >= 1 and math.isfinite(n)):
        raise UsageError(f"n must be a finite order of at least 1; got {n}")
    return renyi(log_w, 1 - n)


@dataclass(frozen=True)
class JackknifeEstimate:
    """A bound with its jackknife standard error and bias correction.

    Attributes:
        value: (*B,) the bound of all K weights, in nats.
        stderr: (*B,) its standard error.
        corrected: (*B,) the bound less its bias of order 1/K; no longer a bound.
    """

    value: Tensor
    stderr: Tensor
    corrected: Tensor


def renyi_jackknife(log_w: Tensor, alpha: float) -> JackknifeEstimate:
    """Return a Rényi bound with its jackknife standard error and bias correction.

    With L the bound of all weights, L₋ₖ that of all but one, and L̄ the mean of these:
    se² = (K − 1)/K Σ_k (L₋ₖ − L̄)²; corrected = K L − (K − 1) L̄

    ``alpha`` is 1 for the ELBO, 0 for IWAE (whose corrected value is JVI-1), 1 − n for CUBO_n. The error is that
    of the draws of z given x, column by column. It is underestimated where few weights dominate.

    Args:
        log_w: (K, *B) log-weights in nats, K of at least 2.
        alpha: α, any finite number.

    Raises:
        UsageError: for fewer than 2 log-weights, or an α that is not finite.
        DataError: for NaN or +∞, or a column whose bound is infinite without one of its weights.

    Reference: Efron & Stein (1981), The Jackknife Estimate of Variance, section 1.

    Example:
        >>> renyi_jackknife(torch.tensor([[0.0], [2.0], [4.0]]), alpha=1.0).stderr  # std/√K = 2/√3
        tensor([1.1547])
    """
    K = _count(log_w)
    if K < 2:
        raise UsageError(f"log_w needs at least 2 weights for a standard error; got {K}")
    _check_weights(log_w)
    value, without = renyi(log_w, alpha), _renyi_without_each(log_w, alpha)
    lost = int((~torch.isfinite(without)).any(0).sum())
    if lost:
        raise DataError(f"log_w needs two weights above 0 in every column; got fewer in {lost} columns")
    mean = without.mean(0)
    stderr = ((K - 1) / K * (without - mean).square().sum(0)).sqrt()
    return JackknifeEstimate(value, stderr, corrected=value + (K - 1) * (value - mean))


def jvi(log_w: Tensor) -> Tensor:
    """Return the jackknife variational estimate of log p(x): IWAE-K with its bias of order 1/K removed.

    JVI-1 = K · IWAE-K − (K − 1) · mean_k IWAE of all weights but the k-th

    Its bias is of order 1/K². It is an estimate, not a bound.

    Args:
        log_w: (K, *B) log-weights in nats, K of at least 2.

    Returns:
        (*B,) nats.

    Raises:
        UsageError: for fewer than 2 log-weights.
        DataError: for NaN or +∞, or a column in which fewer than 2 weights are above 0.

    Reference: Nowozin (2018), Debiasing Evidence Approximations (jackknife variational inference).

    Example:
        >>> jvi(torch.tensor([[1.0], [3.0]]).log()).exp()  # 2²/√(1 · 3)
        tensor([2.3094])
    """
    return renyi_jackknife(log_w, alpha=0.0).corrected


def effective_sample_size(log_w: Tensor) -> Tensor:
    """Return the effective number of weights.

    ESS = (Σ_k w_k)² / Σ_k w_k², from 1 (one weight dominates) to K (all are equal)

    Args:
        log_w: (K, *B) log-weights in nats.

    Returns:
        (*B,) a number of weights.

    Raises:
        UsageError: without any log-weight.
        DataError: for NaN or +∞, or a column without a weight above 0.

    Reference: Kong (1992), A Note on Importance Sampling Using Standardized Weights.

    Example:
        >>> effective_sample_size(torch.tensor([[1.0], [3.0]]).log())  # 16/10
        tensor([1.6000])
    """
    _count(log_w)
    _check_weights(log_w)
    empty = int((log_w == -torch.inf).all(0).sum())
    if empty:
        raise DataError(f"log_w needs a weight above 0 in every column; got none in {empty} columns")
    return 1 / log_w.softmax(0).square().sum(0)


@dataclass(frozen=True)
class Sandwich:
    """A lower and an upper bound of log p(x), each (*B,) nats, with their jackknife standard errors."""

    lower: Tensor
    lower_stderr: Tensor
    upper: Tensor
    upper_stderr: Tensor


def sandwich(log_w: Tensor, posterior_log_w: Tensor | None = None) -> Sandwich:
    """Return a stochastic lower and a stochastic upper bound of log p(x).

    lower = IWAE-K of weights with z ~ q(z|x); upper = L₂ = −log (1/J) Σ_j 1/w_j of weights with z ~ p(z|x)

    Both hold in expectation for every number of weights, by Jensen's inequality. A draw from the posterior is
    available where x was drawn from the model itself: the z that x was decoded from. By default the upper bound is
    CUBO₂ of ``log_w``, which holds only in the limit of many weights (see `cubo`).

    Args:
        log_w: (K, *B) log-weights of draws from q(z|x), K of at least 2.
        posterior_log_w: (J, *B) log-weights, by the same formula, of independent draws from p(z|x), J of at least 2.

    Raises:
        UsageError: for fewer than 2 log-weights, or shapes that do not fit.
        DataError: for NaN or +∞, or a column whose bound is infinite without one of its weights.

    Reference: Grosse et al. (2015), Sandwiching the Marginal Likelihood Using Bidirectional Monte Carlo.

    Example:
        >>> bounds = sandwich(torch.tensor([[1.0], [7.0]]).log())
        >>> bounds.lower.exp(), bounds.upper.exp()
        (tensor([4.]), tensor([5.]))
    """
    if posterior_log_w is not None and posterior_log_w.shape[1:] != log_w.shape[1:]:
        raise UsageError(
            "log_w and posterior_log_w must have shapes (K, *B) and (J, *B);"
            f" got {tuple(log_w.shape)} and {tuple(posterior_log_w.shape)}"
        )
    weights, alpha = (log_w, -1.0) if posterior_log_w is None else (posterior_log_w, 2.0)
    lower, upper = renyi_jackknife(log_w, alpha=0.0), renyi_jackknife(weights, alpha)
    return Sandwich(lower.value, lower.stderr, upper.value, upper.stderr)


def _renyi_without_each(log_w: Tensor, alpha: float) -> Tensor:
    """Return L_α of all weights but the k-th, for every k: (K, *B)."""
    K = _count(log_w)
    if alpha == 1:
        return (log_w.sum(0) - log_w) / (K - 1)
    powers = (1 - alpha) * log_w
    # log(Σ w − w_k) would cancel where w_k dominates; sums from both ends need no subtraction.
    edge = torch.full_like(powers[:1], -torch.inf)
    before = torch.cat([edge, powers[:-1].logcumsumexp(0)])
    after = torch.cat([powers[1:].flip(0).logcumsumexp(0).flip(0), edge])
    return (torch.logaddexp(before, after) - math.log(K - 1)) / (1 - alpha)


def _check_weights(log_w: Tensor) -> None:
    wrong = int((log_w.isnan() | (log_w == torch.inf)).sum())
    if wrong:
        raise DataError(f"log_w holds NaN or +∞ in {wrong} of its {log_w.numel()} entries")


def _count(log_w: Tensor) -> int:
    if log_w.dim() == 0 or len(log_w) == 0:
        raise UsageError(f"log_w needs shape (K, *B) with K of at least 1; got {tuple(log_w.shape)}")
    return len(log_w)
