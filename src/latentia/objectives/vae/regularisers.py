"""What is descended of the codes of a batch beside a bound: one function for each variant."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from latentia.distributions.diagonal_gaussian import DiagonalGaussian, StandardGaussian
from latentia.errors import UsageError
from latentia.functional.disentanglement.regularisers import (
    code_covariance,
    covariance_penalty,
    entrywise_log_prob,
    stratified_log_weights,
    total_correlation,
    weighted_log_weights,
)
from latentia.functional.gaussian.densities import kl_standard_gaussian
from latentia.functional.kernel.kernels import kernel_of_length
from latentia.functional.kernel.mmd import mmd2
from latentia.objectives.vae.kl_terms import free_bits
from latentia.registry import check_name

ESTIMATORS = {"stratified": stratified_log_weights, "weighted": weighted_log_weights}


@dataclass(frozen=True)
class Codes:
    """What an encoder tells of a batch.

    Attributes:
        posterior: q(z | x), batch shape (B,).
        prior: p(z).
        z: (S, B, d) draws from q.
        rows: () n, of the whole data.
    """

    posterior: Distribution
    prior: Distribution
    z: Tensor
    rows: Tensor


Regulariser = Callable[[Codes], Tensor]
"""What is descended of the codes of a batch beside the bound: a number. It refuses laws that it cannot read."""


def nats_for_free(least: float) -> Regulariser:
    """Return Σ_j max(λ − KL_j, 0), which with the KL itself leaves entries below λ nats alone: free bits.

    Raises:
        UsageError: for a λ that is not positive; later, for codes without a KL of each entry.
    """
    if not least > 0:
        raise UsageError(f"free_bits must be above 0; got {least}")

    def term(codes: Codes) -> Tensor:
        q = _diagonal(codes.posterior, "free_bits")
        if not isinstance(codes.prior, StandardGaussian):
            raise UsageError(
                "free_bits are of the KL of each entry from N(0, 1): choose prior='standard-normal'"
            )
        return free_bits(kl_standard_gaussian(q.mean[..., None], q.log_var[..., None]), least)

    return term


def covariance_of_means(off_diagonal: float, diagonal: float) -> Regulariser:
    """Return DIP-VAE-I's penalty: how far the covariance of mean codes is from the identity.

    Raises:
        UsageError: for negative weights; later, for codes that are no Gaussians.
    """
    _check_weights(off_diagonal, diagonal)

    def term(codes: Codes) -> Tensor:
        mean, _ = _moments(codes.posterior)
        return covariance_penalty(code_covariance(mean), off_diagonal, diagonal)

    return term


def covariance_of_codes(off_diagonal: float, diagonal: float) -> Regulariser:
    """Return DIP-VAE-II's penalty: how far the covariance of the aggregated posterior is from the identity.

    Raises:
        UsageError: for negative weights; later, for codes that are no Gaussians.
    """
    _check_weights(off_diagonal, diagonal)

    def term(codes: Codes) -> Tensor:
        return covariance_penalty(code_covariance(*_moments(codes.posterior)), off_diagonal, diagonal)

    return term


def weighted_total_correlation(weight: float, estimator: str = "stratified") -> Regulariser:
    """Return a weight times the total correlation of the aggregated posterior, as β-TCVAE estimates it.

    Args:
        weight: β − 1, since the KL has one total correlation in it.
        estimator: stratified or weighted.

    Raises:
        UsageError: for an estimator that is neither; later, for codes that are no diagonal Gaussians.
    """
    check_name("estimator", estimator, ESTIMATORS)

    def weights_of(codes: Codes) -> Tensor:
        return ESTIMATORS[estimator](codes.z.shape[1], int(codes.rows))

    log_weights: Any = torch.compiler.disable(weights_of)  # a number that is read cannot be compiled

    def term(codes: Codes) -> Tensor:
        q = _diagonal(codes.posterior, "the total correlation")
        w = log_weights(codes)
        each = [total_correlation(entrywise_log_prob(z, q.mean, q.log_var), w).mean() for z in codes.z]
        return weight * torch.stack(each).mean()

    return term


def discrepancy_from_prior(weight: float, kernel: str = "inverse-multiquadric") -> Regulariser:
    """Return a weight times MMD²(q(z), p(z)), from a batch's codes and as many draws of the prior.

    The kernel's length is √(2d), the usual distance of two codes from N(0, I).

    Raises:
        UsageError: for a kernel that there is none of.
    """
    kernel_of_length(kernel, 1.0)  # refuses an unknown name now

    def term(codes: Codes) -> Tensor:
        if not codes.z.isfinite().all():  # the training has diverged, which the loop says better
            return codes.z.sum()
        draws, rows, d = codes.z.shape
        k = kernel_of_length(kernel, math.sqrt(2 * d))
        shape = torch.Size((draws, rows))
        p = codes.prior.rsample(shape) if codes.prior.has_rsample else codes.prior.sample(shape)
        # Of a single row, as the last batch may be, no pairs of different codes are there to average.
        estimator = "unbiased" if rows > 1 else "biased"
        each = [mmd2(z, other, k, estimator) for z, other in zip(codes.z, p, strict=True)]
        return weight * torch.stack(each).mean()

    return term


def _diagonal(q: Distribution, what: str) -> DiagonalGaussian:
    if not isinstance(q, DiagonalGaussian):
        raise UsageError(f"{what} is taken entry by entry of a Gaussian: choose posterior='diagonal'")
    return q


def _moments(q: Distribution) -> tuple[Tensor, Tensor]:
    """Return the means of Gaussian codes, (B, d), and their covariances, (B, d, d), or variances, (B, d)."""
    if isinstance(q, DiagonalGaussian):
        return q.mean, q.variance
    if isinstance(q, MultivariateNormal):
        return q.mean, q.covariance_matrix
    raise UsageError("a flow's moments have no closed form: choose posterior='diagonal' or 'full'")


def _check_weights(off_diagonal: float, diagonal: float) -> None:
    if off_diagonal < 0 or diagonal < 0:
        raise UsageError(
            f"the weights of a covariance must be at least 0; got off-diagonal {off_diagonal}, diagonal {diagonal}"
        )
