"""One step of EM for Gaussian mixtures, on rows in blocks."""

from collections.abc import Iterator

import torch
from torch import Tensor

from latentia.core.objective import Blocks
from latentia.errors import DataError
from latentia.functional.mixtures.components import Components
from latentia.functional.mixtures.e_step import as_moments, cancellation, coefficients, expected, features
from latentia.functional.mixtures.m_step import Moments, maximised, weighted_moments
from latentia.functional.mixtures.missing_values import expected_with_missing
from latentia.models.mixture import MixtureModel
from latentia.models.mixture_init import Frame

_BLOCK_SIZE = 2**22  # components × rows × entries held at once: 32 MB
_FEATURE_BLOCK = 2**20  # features held at once: a block that fits into the cache
_MOST_ENTRIES = 64  # of rows for which products of features are faster
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}  # nats that cancellation may cost


def expectation(components: Components, rows: Blocks, frame: Frame, *, missing: bool = False) -> Moments:
    """Return the moments of all rows under r_ik = π_k N(x_i; μ_k, Σ_k) / Σ_j π_j N(x_i; μ_j, Σ_j).

    Blocks of rows go through matrix products of quadratic features, in the rows' own precision, float32 or float64,
    where that loses no more than 1e-4 or 1e-9 nats. Components that are much narrower than the rows' spread, and rows
    of more than 64 entries, use whitened differences from each mean, in float64.

    Args:
        components: the mixture before the step.
        rows: in memory or in a file.
        frame: location and scale of the rows.
        missing: whether NaN is a missing value.

    Raises:
        DataError: for rows whose likelihood is not finite.
    """
    dtype = None if missing else _precision(components, rows, frame)
    if dtype is None:
        parts = _by_differences(components, rows, missing=missing)
        moments = next(parts)
        for part in parts:
            moments = moments + part
    else:
        moments = _by_features(components, rows, frame.centre, dtype)
    if not bool(moments.log_likelihood.isfinite()):
        raise DataError("the rows hold NaN or infinite values, or some so far away that their density is 0")
    return moments


def em_step(
    components: Components, model: MixtureModel, rows: Blocks, frame: Frame, ridge: Tensor
) -> tuple[Components, Tensor]:
    """Return the components after an E-step and an M-step, and the mean log-likelihood before, in nats per row.

    Args:
        components: before the step.
        model: the mixture, for its family of covariances and whether values may be missing.
        rows: in memory or in a file.
        frame: location and scale of the rows.
        ridge: (D,) added to the variances.
    """
    moments = expectation(components, rows, frame, missing=model.data.support.missing)
    after = maximised(moments, components, model.covariance, ridge)
    return after, moments.log_likelihood / moments.rows


def _precision(components: Components, rows: Blocks, frame: Frame) -> torch.dtype | None:
    """Return a precision in which products of features are accurate enough, or None."""
    if len(frame.centre) > _MOST_ENTRIES:
        return None
    lost = float(cancellation(components, frame.variances))
    own = next(iter(rows.blocks(1))).x.dtype
    for dtype in (torch.float32, torch.float64):
        if (own == dtype or dtype == torch.float64) and lost * torch.finfo(dtype).eps < _TOLERANCE[dtype]:
            return dtype
    return None


def _by_features(components: Components, rows: Blocks, centre: Tensor, dtype: torch.dtype) -> Moments:
    near = centre.to(dtype)  # a centre that this precision holds exactly
    A = coefficients(components, near.to(centre.dtype))
    sums, log_likelihood = torch.zeros_like(A), A.new_zeros(())
    for block in rows.blocks(max(1, _FEATURE_BLOCK // sum(A.shape))):
        y = (block.x.flatten(1) - near).T.contiguous()
        part, value = expected(A.to(dtype), features(y, matrix=components.matrix))
        sums += part
        log_likelihood += value
    return as_moments(sums, near.to(centre.dtype), log_likelihood, matrix=components.matrix)


def _by_differences(components: Components, rows: Blocks, *, missing: bool) -> Iterator[Moments]:
    for block in rows.blocks(max(1, _BLOCK_SIZE // components.means.numel())):
        x = block.x.flatten(1).to(components.means.dtype)
        yield expected_with_missing(components, x) if missing else _expected(components, x)


def _expected(components: Components, x: Tensor) -> Moments:
    """Return one block's moments about the current means, more accurate than about one centre."""
    log_joint = components.log_joint(x)
    log_prob = log_joint.logsumexp(-1)
    r = (log_joint - log_prob[:, None]).exp()
    deviations = components.deviations(x)
    return weighted_moments(deviations, r, components.means, log_prob.sum(), matrix=components.matrix)
