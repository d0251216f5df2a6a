"""Regularisers of a batch's codes, added to the negative ELBO: one function for each."""

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
    """The codes of a batch.

    Attributes:
        posterior: q(z | x), batch shape (B,).
        prior: p(z).
        z: (S, B, d) draws from q.
        rows: () n, training rows in all.
    """

    posterior: Distribution
    prior: Distribution
    z: Tensor
    rows: Tensor


Regulariser = Callable[[Codes], Tensor]
"""From the codes of a batch to a term of the loss, (); with `UsageError` for posteriors that it does not support."""


def nats_for_free(least: float) -> Regulariser:
    """Return Σ_j max(λ − KL_j, 0): free bits, which remove the gradient of the KL of entries below λ nats.

    Raises:
        UsageError: for a λ that is not positive; when called, for posteriors without a KL for each entry.
    """
    if not least > 0:
        raise UsageError(f"free_bits must be above 0; got {least}")

    def term(codes: Codes) -> Tensor:
        q = _diagonal(codes.posterior, "free_bits")
        if not isinstance(codes.prior, StandardGaussian):
            raise UsageError(
                "free_bits need the KL of each entry from N(0, 1): choose prior='standard-normal'"
            )
        return free_bits(kl_standard_gaussian(q.mean[..., None], q.log_var[..., None]), least)

    return term


def covariance_of_means(off_diagonal: float, diagonal: float) -> Regulariser:
    """Return DIP-VAE-I's penalty: the distance of the covariance of posterior means from the identity.

    Raises:
        UsageError: for negative weights; when called, for posteriors that are not Gaussian.
    """
    _check_weights(off_diagonal, diagonal)

    def term(codes: Codes) -> Tensor:
        mean, _ = _moments(codes.posterior)
        return covariance_penalty(code_covariance(mean), off_diagonal, diagonal)

    return term


def covariance_of_codes(off_diagonal: float, diagonal: float) -> Regulariser:
    """Return DIP-VAE-II's penalty: the distance of the aggregated posterior's covariance from the identity.

    Raises:
        UsageError: for negative weights; when called, for posteriors that are not Gaussian.
    """
    _check_weights(off_diagonal, diagonal)

    def term(codes: Codes) -> Tensor:
        return covariance_penalty(code_covariance(*_moments(codes.posterior)), off_diagonal, diagonal)

    return term


def weighted_total_correlation(weight: float, estimator: str = "stratified") -> Regulariser:
    """Return a weight times the total correlation of the aggregated posterior, as β-TCVAE estimates it.

    Args:
        weight: β − 1, since the KL contains the total correlation once.
        estimator: stratified or weighted.

    Raises:
        UsageError: for an unknown estimator; when called, for posteriors that are not diagonal Gaussians.
    """
    check_name("estimator", estimator, ESTIMATORS)

    def weights_of(codes: Codes) -> Tensor:
        return ESTIMATORS[estimator](codes.z.shape[1], int(codes.rows))

    log_weights: Any = torch.compiler.disable(weights_of)  # reading a tensor's value cannot be compiled

    def term(codes: Codes) -> Tensor:
        q = _diagonal(codes.posterior, "the total correlation")
        w = log_weights(codes)
        each = [total_correlation(entrywise_log_prob(z, q.mean, q.log_var), w).mean() for z in codes.z]
        return weight * torch.stack(each).mean()

    return term


def discrepancy_from_prior(weight: float, kernel: str = "inverse-multiquadric") -> Regulariser:
    """Return a weight times MMD²(q(z), p(z)), from a batch's codes and as many draws of the prior.

    The kernel's length is √(2d), the root mean squared distance of two draws from N(0, I).

    Raises:
        UsageError: for an unknown kernel.
    """
    kernel_of_length(kernel, 1.0)  # checks the name now

    def term(codes: Codes) -> Tensor:
        if not codes.z.isfinite().all():  # training has diverged: the loop reports it
            return codes.z.sum()
        draws, rows, d = codes.z.shape
        k = kernel_of_length(kernel, math.sqrt(2 * d))
        shape = torch.Size((draws, rows))
        p = codes.prior.rsample(shape) if codes.prior.has_rsample else codes.prior.sample(shape)
        # A single row, as the last batch may have, gives no pairs of different codes to average.
        estimator = "unbiased" if rows > 1 else "biased"
        each = [mmd2(z, other, k, estimator) for z, other in zip(codes.z, p, strict=True)]
        return weight * torch.stack(each).mean()

    return term


def _diagonal(q: Distribution, what: str) -> DiagonalGaussian:
    if not isinstance(q, DiagonalGaussian):
        raise UsageError(f"{what} needs a Gaussian with independent entries: choose posterior='diagonal'")
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
