"""The M-step of a Gaussian mixture, and the sufficient statistics that it needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import DataError
from latentia.functional.mixtures.components import Components, Covariance

_EMPTY = 1e-10  # rows: a component with a smaller count is empty


@dataclass(frozen=True)
class Moments:
    """The sufficient statistics of an M-step, given responsibilities r; those of two sets of rows add.

    Attributes:
        about: (K, D) c_k, the points that moments are taken about; close to the means, nothing cancels.
        count: (K,) Σ_i r_ik.
        first: (K, D) Σ_i r_ik (x_i − c_k).
        second: (K, D, D) or (K, D) Σ_i r_ik (x_i − c_k)(x_i − c_k)ᵀ, or its diagonal.
        log_likelihood: Σ_i log p(x_i), in nats.
    """

    about: Tensor
    count: Tensor
    first: Tensor
    second: Tensor
    log_likelihood: Tensor

    @property
    def rows(self) -> Tensor:
        """The number of rows."""
        return self.count.sum()

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows, which must be about the same points."""
        return Moments(
            self.about,
            self.count + other.count,
            self.first + other.first,
            self.second + other.second,
            self.log_likelihood + other.log_likelihood,
        )

    def __mul__(self, count: float | Tensor) -> Moments:
        """Return the moments as if every row counted ``count`` times."""
        return Moments(
            self.about,
            self.count * count,
            self.first * count,
            self.second * count,
            self.log_likelihood * count,
        )

    def moved(self, about: Tensor) -> Moments:
        """Return the moments about other points (K, D).

        With δ = c − c': Σ r (x − c') = m₁ + N δ, and Σ r (x − c')(x − c')ᵀ = m₂ + m₁ δᵀ + δ m₁ᵀ + N δ δᵀ.
        """
        delta = self.about - about
        mixed = _outer(self.first, delta, self.second) + _outer(delta, self.first, self.second)
        scaled = self.count[:, None] * delta
        second = self.second + mixed + _outer(scaled, delta, self.second)
        return Moments(about, self.count, self.first + scaled, second, self.log_likelihood)


def _outer(a: Tensor, b: Tensor, like: Tensor) -> Tensor:
    """Return a bᵀ of each component, or its diagonal, as ``like`` is."""
    return a[:, :, None] * b[:, None, :] if like.dim() == 3 else a * b


def weighted_moments(
    deviations: Tensor, r: Tensor, about: Tensor, log_likelihood: Tensor, *, matrix: bool
) -> Moments:
    """Return the moments of rows given by their deviations from each component's point.

    Args:
        deviations: (K, B, D) x_i − c_k.
        r: (B, K) the responsibilities.
        about: (K, D) c_k.
        log_likelihood: of the rows, in nats.
        matrix: whether to return covariances of different entries besides the variances.
    """
    weighted = deviations * r.mT[..., None]
    second = weighted.mT @ deviations if matrix else (weighted * deviations).sum(1)
    return Moments(about, r.sum(0), weighted.sum(1), second, log_likelihood)


def maximised(moments: Moments, old: Components, family: Covariance, ridge: Tensor) -> Components:
    """Return the maximum-likelihood components given the responsibilities.

    π_k = N_k / N, μ_k = Σ_i r_ik x_i / N_k and Σ_k = Σ_i r_ik (x_i − μ_k)(x_i − μ_k)ᵀ / N_k + diag(ridge), pooled by
    the family, with N_k = Σ_i r_ik. An empty component keeps its mean and covariance, with weight 0.

    Args:
        moments: of the rows.
        old: the current components.
        family: of the covariances.
        ridge: (D,) added to the variances.

    Raises:
        DataError: for a covariance that is singular.

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, eqs. 9.24 to 9.26.
    """
    held = moments.count >= _EMPTY
    count = torch.where(held, moments.count, torch.ones_like(moments.count))
    shift = moments.first / count[:, None]
    if family.matrix:
        free = moments.second / count[:, None, None] - _outer(shift, shift, moments.second) + ridge.diag()
    else:
        free = (moments.second / count[:, None] - shift.square()).clamp_min(0) + ridge
    weights = torch.where(held, moments.count, torch.zeros_like(count))
    weights = weights / weights.sum()
    means = torch.where(held[:, None], moments.about + shift, old.means)
    free = torch.where(_like(held, free), free, old.covariances)
    return Components(weights, means, factors_of(family.pool(free, weights)))


def factors_of(covariances: Tensor) -> Tensor:
    """Return lower Cholesky factors (K, D, D) of covariances, or the square roots (K, D) of variances.

    Raises:
        DataError: for a covariance that is singular.
    """
    if covariances.dim() == 3:
        factors, failed = torch.linalg.cholesky_ex(covariances)
    else:
        factors = covariances.sqrt()
        failed = (factors == 0).any(-1)
    if bool(failed.any()):
        raise DataError(
            f"the covariance of component {int(failed.nonzero()[0, 0])} is singular: raise regularisation, "
            "or take fewer components, or covariance='diagonal'"
        )
    return factors


def _like(held: Tensor, covariances: Tensor) -> Tensor:
    return held.view(-1, *[1] * (covariances.dim() - 1))
