"""Lower bounds of a log-likelihood from log-weights log w_k = log p(x, z_k) − log q(z_k | x), z_k ~ q.

For K weights, E[elbo] ≤ E[iwae] ≤ log p(x), and both are equal for K = 1. `elbo` averages logarithms, so more
weights only lower its variance; `iwae` takes the logarithm of an average, so more weights tighten it. The
losses that train with either are their negatives.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentia.errors import UsageError


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


def _count(log_w: Tensor) -> int:
    if log_w.dim() == 0 or len(log_w) == 0:
        raise UsageError(f"log_w needs shape (K, *B) with K of at least 1; got {tuple(log_w.shape)}")
    return len(log_w)
