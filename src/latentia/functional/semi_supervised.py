"""Bounds of log p(x) of unlabelled rows, from bounds of log p(x, y) for each class y."""

import torch
from torch import Tensor

from latentia.functional.checks import same_shape


def enumerated_bound(bounds: Tensor, log_q: Tensor) -> Tensor:
    """Return the bound with a classifier q(y | x): its expectation of L over classes, plus its entropy.

    U(x) = Σ_y q(y | x) L(x, y) + H(q(· | x)) ≤ log p(x), with equality in q(y | x) ∝ e^L(x, y)

    It is linear in L, so unbiased estimates of L give an unbiased estimate of U.

    Args:
        bounds: (*B, C) L(x, y) ≤ log p(x, y) in nats, for each of C classes, log p(y) included.
        log_q: (*B, C) log q(y | x), in nats.

    Returns:
        (*B,) nats.

    Raises:
        UsageError: unless the shapes are equal.

    Reference: Kingma, Mohamed, Rezende and Welling (2014), Semi-supervised learning with deep generative models, eq. 7.

    Example:
        >>> L = torch.tensor([0.3, 0.1]).log()
        >>> enumerated_bound(L, torch.tensor([0.75, 0.25]).log()).exp()
        tensor(0.4000)
    """
    same_shape(bounds=bounds, log_q=log_q)
    q = log_q.exp()
    finite = torch.where(
        log_q.isneginf(), 0.0, log_q
    )  # a class of probability 0 adds nothing, and 0 · ∞ is NaN
    return (q * (bounds - finite)).sum(-1)


def marginal_bound(bounds: Tensor) -> Tensor:
    """Return the bound that marginalises over classes: log Σ_y e^L(x, y) ≤ log p(x), never below `enumerated_bound`.

    Where e^L is an unbiased estimate of p(x, y), as that of importance sampling, the result is a bound in
    expectation; with a noisy L that is a bound only in expectation, the result may exceed log p(x), since the logarithm
    of a sum of exponentials is convex.

    Args:
        bounds: (*B, C) L(x, y) ≤ log p(x, y) in nats, for each of C classes, log p(y) included.

    Returns:
        (*B,) nats.

    Example:
        >>> marginal_bound(torch.tensor([0.3, 0.1]).log()).exp()
        tensor(0.4000)
    """
    return bounds.logsumexp(-1)
