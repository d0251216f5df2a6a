"""Gaussian mixtures of rows with missing values: marginal densities, and expected moments.

A missing value is NaN. Values are assumed to be missing at random: given the observed values, which ones are missing
does not depend on them (Rubin 1976).
"""

from dataclasses import replace

from torch import Tensor

from latentia.functional.mixtures.components import Components
from latentia.functional.mixtures.conditioning import marginal, patterns, regression
from latentia.functional.mixtures.m_step import Moments, weighted_moments


def log_joint_with_missing(components: Components, x: Tensor) -> Tensor:
    """Return log π_k + log N(x_o; μ_o, Σ_oo) of each row's observed entries o: (B, K) nats.

    A row without any value has the density 1.

    Args:
        components: K of them.
        x: (B, D) rows, NaN where a value is missing.
    """
    log_joint = x.new_empty(len(x), len(components.weights))
    for rows, known, _ in patterns(x):
        log_joint[rows] = marginal(components, known).log_joint(x[rows][:, known])
    return log_joint


def expected_with_missing(components: Components, x: Tensor) -> Moments:
    """Return the expected moments of rows with missing values under the components, about their means.

    x̂_ik = E[x_i | x_o, k] imputes the missing values, by each component's `regression`; Σ_i r_ik C_k is added to the
    second moments of the imputed rows in the missing entries.

    Args:
        components: K of them.
        x: (B, D) rows, NaN where a value is missing.

    Reference: Ghahramani and Jordan (1994), Supervised learning from incomplete data via an EM approach, section 2.
    """
    log_joint = log_joint_with_missing(components, x)
    log_prob = log_joint.logsumexp(1)
    return moments_with_missing(components, x, (log_joint - log_prob[:, None]).exp(), log_prob.sum())


def moments_with_missing(components: Components, x: Tensor, r: Tensor, log_likelihood: Tensor) -> Moments:
    """Return the expected moments of rows with missing values and given responsibilities; see `expected_with_missing`.

    Args:
        components: K of them.
        x: (B, D) rows, NaN where a value is missing.
        r: (B, K) the responsibilities.
        log_likelihood: of the rows, in nats.
    """
    parts = [_weighted(components, x[rows], r[rows], known, unknown) for rows, known, unknown in patterns(x)]
    return replace(sum(parts[1:], start=parts[0]), log_likelihood=log_likelihood)


def _weighted(components: Components, x: Tensor, r: Tensor, known: Tensor, unknown: Tensor) -> Moments:
    """Return the expected moments of rows of one pattern, without their log-likelihood."""
    deviations, (at, cov) = _filled(components, x, known, unknown)
    moments = weighted_moments(deviations, r, components.means, r.new_zeros(()), matrix=components.matrix)
    moments.second[at] += r.sum(0).view(-1, *[1] * (cov.dim() - 1)) * cov
    return moments


def _filled(
    components: Components, x: Tensor, known: Tensor, unknown: Tensor
) -> tuple[Tensor, tuple[tuple[slice | Tensor, ...], Tensor]]:
    """Return x̂_k − μ_k of rows of one pattern, (K, B, D), and C_k with its place in the second moments."""
    deviations = x.new_zeros(len(components.means), *x.shape)
    deviations[:, :, known] = x[:, known] - components.means[:, None, known]
    if not components.matrix:
        return deviations, ((slice(None), unknown), components.covariances[:, unknown])
    gain, cov = regression(components, known, unknown)
    deviations[:, :, unknown] = deviations[:, :, known] @ gain.mT
    return deviations, ((slice(None), unknown[:, None], unknown), cov)
