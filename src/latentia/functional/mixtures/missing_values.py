"""Gaussian mixtures of rows with missing values: marginal densities, and expected moments.

A missing value is NaN. Values are assumed to be missing at random: given the observed values, which ones are missing
does not depend on them (Rubin 1976).
"""

from collections.abc import Iterator

from torch import Tensor

from latentia.functional.mixtures.components import Components
from latentia.functional.mixtures.conditioning import marginal, others, regression
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
    parts = [_of_pattern(components, x[rows], known, unknown) for rows, known, unknown in patterns(x)]
    return sum(parts[1:], start=parts[0])


def _of_pattern(components: Components, x: Tensor, known: Tensor, unknown: Tensor) -> Moments:
    log_joint = marginal(components, known).log_joint(x[:, known])
    log_prob = log_joint.logsumexp(1)
    r = (log_joint - log_prob[:, None]).exp()
    deviations, (at, cov) = _filled(components, x, known, unknown)
    moments = weighted_moments(deviations, r, components.means, log_prob.sum(), matrix=components.matrix)
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


def patterns(x: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Iterate over the patterns of missing values in (B, D) rows: (rows, observed entries, missing entries)."""
    found, of_row = x.isnan().unique(dim=0, return_inverse=True)
    for number, missing in enumerate(found):
        unknown = missing.nonzero()[:, 0]
        yield (of_row == number).nonzero()[:, 0], others(unknown, x.shape[1]), unknown
