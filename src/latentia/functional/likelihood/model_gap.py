"""The log-likelihood of points, its ceiling, and the gap between them, which is a Kullback-Leibler divergence."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import same_shape


@dataclass(frozen=True)
class LogLikelihood:
    """A mean log-likelihood and its standard error, both (*B,) nats per point."""

    value: Tensor
    stderr: Tensor


def mean_log_likelihood(log_p: Tensor) -> LogLikelihood:
    """Return the mean log-likelihood of points, with its standard error.

    L(θ) = (1/N) Σ_i log p(x_i | θ); se = std_i log p(x_i | θ)/√N

    For the data's own distribution it is the ceiling L(p_data), an estimate of minus the entropy, −H(p_data).

    Args:
        log_p: (N, *B) log-probabilities or log-densities of N points, in nats; −∞ where a model gives a point no mass.

    Returns:
        the mean and its standard error; −∞ and ∞ where a point has no mass.

    Raises:
        UsageError: without a dimension of points.
        DataError: for fewer than 2 points, NaN or +∞.

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, eq. 1.119.

    Example:
        >>> mean_log_likelihood(torch.tensor([-1.0, -3.0]))
        LogLikelihood(value=tensor(-2.), stderr=tensor(1.))
    """
    _check_points(log_p=log_p)
    return LogLikelihood(log_p.mean(0), _stderr(log_p))


@dataclass(frozen=True)
class LikelihoodGap:
    """The gap between a model's log-likelihood and its ceiling.

    Attributes:
        value: (*B,) ceiling − log_likelihood, an estimate of KL(p_data ‖ model), in nats per point.
        stderr: (*B,) its standard error, from the differences point by point.
        log_likelihood: (*B,) L(θ), the model's.
        ceiling: (*B,) L(p_data), of the data's own distribution.
    """

    value: Tensor
    stderr: Tensor
    log_likelihood: Tensor
    ceiling: Tensor


def likelihood_gap(log_p_model: Tensor, log_p_data: Tensor) -> LikelihoodGap:
    """Return the gap between the log-likelihoods of the data's distribution and of a model: an estimate of KL.

    KL(p_data ‖ p_θ) = L(p_data) − L(θ) = E log p_data(x) − E log p_θ(x) ≥ 0, x ~ p_data

    The identity holds in expectation, so the points must be held out: on training points L(θ̂) can exceed the ceiling,
    and the gap be negative. On held-out points an estimate is negative only by chance.

    Args:
        log_p_model: (N, *B) log p_θ(x_i) in nats; −∞ where the model gives a point no mass.
        log_p_data: (N, *B) log p_data(x_i) of the same points in nats; finite, since the points come from it.

    Returns:
        the gap, its standard error and its two terms; ∞ and ∞ where the model gives a point no mass.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.
        DataError: for fewer than 2 points, NaN or +∞, or a point of probability 0 under p_data.

    Reference: Cover & Thomas (2006), Elements of Information Theory, eq. 2.27.

    Example:
        >>> gap = likelihood_gap(torch.tensor([-2.0, -4.0]), torch.tensor([-1.5, -2.5]))
        >>> gap.value, gap.stderr
        (tensor(1.), tensor(0.5000))
    """
    same_shape(log_p_model=log_p_model, log_p_data=log_p_data)
    _check_points(log_p_model=log_p_model, log_p_data=log_p_data)
    ruled_out = int((log_p_data == -torch.inf).sum())
    if ruled_out:
        raise DataError(f"log_p_data is −∞ at {ruled_out} points, so these cannot come from p_data")
    gaps = log_p_data - log_p_model
    return LikelihoodGap(
        value=gaps.mean(0),
        stderr=_stderr(gaps),
        log_likelihood=log_p_model.mean(0),
        ceiling=log_p_data.mean(0),
    )


def _stderr(values: Tensor) -> Tensor:
    """Return the standard error of the mean of (N, *B) values; ∞ where one of them is infinite."""
    infinite = values.isinf().any(0)
    finite = torch.where(infinite, 0.0, values)  # their standard deviation would be NaN
    return torch.where(infinite, torch.inf, finite.std(0) / math.sqrt(len(values)))


def _check_points(**log_p: Tensor) -> None:
    for name, values in log_p.items():
        if values.dim() == 0:
            raise UsageError(f"{name} must have shape (N, *B), a value for each point; got a number")
        if len(values) < 2:
            raise DataError(f"{name} needs at least 2 points; got {len(values)}")
        wrong = int((values.isnan() | (values == torch.inf)).sum())
        if wrong:
            raise DataError(f"{name} holds NaN or +∞ in {wrong} of its {values.numel()} entries")
