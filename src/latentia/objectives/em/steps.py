"""One step of EM for mixtures, on rows in blocks."""

from collections.abc import Iterator

import torch
from torch import Tensor

from latentia.core.objective import Blocks
from latentia.errors import DataError
from latentia.functional.mixtures.components import Components
from latentia.functional.mixtures.e_step import as_moments, cancellation, coefficients, expected, features
from latentia.functional.mixtures.products import MStep, Product, ProductMoments
from latentia.models.mixture_init import Frame

_BLOCK_SIZE = 2**22  # components × rows × entries held at once: 32 MB
_FEATURE_BLOCK = 2**20  # features held at once: a block that fits into the cache
_MOST_ENTRIES = 64  # of rows for which products of features are faster
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}  # nats that cancellation may cost


def expectation(product: Product, rows: Blocks, frame: Frame) -> ProductMoments:
    """Return the moments of all rows under r_ik = π_k p(x_i | k) / Σ_j π_j p(x_i | j).

    Where the components are Gaussians of all entries, and none is missing, blocks of rows go through matrix products of
    quadratic features, in the rows' own precision, float32 or float64, where that loses no more than 1e-4 or 1e-9 nats.
    All others, components that are much narrower than the rows' spread, and rows of more than 64 entries use whitened
    differences from each mean, in float64.

    Args:
        product: the mixture before the step.
        rows: in memory or in a file.
        frame: location and scale of the rows' numbers.

    Raises:
        DataError: for rows whose likelihood is not finite.
    """
    plain = not product.entries.outcomes and not product.entries.missing
    dtype = _precision(product.gaussian, rows, frame) if plain else None
    if dtype is None:
        parts = _by_differences(product, rows)
        moments = next(parts)
        for part in parts:
            moments = moments + part
    else:
        moments = _by_features(product.gaussian, rows, frame.centre, dtype)
    if not bool(moments.log_likelihood.isfinite()):
        raise DataError("the rows hold NaN or infinite values, or some so far away that their density is 0")
    return moments


def em_step(product: Product, rows: Blocks, frame: Frame, m_step: MStep) -> tuple[Product, Tensor]:
    """Return the components after an E-step and an M-step, and the mean log-likelihood before, in nats per row.

    Args:
        product: before the step.
        rows: in memory or in a file.
        frame: location and scale of the rows' numbers.
        m_step: what the components are after the E-step's moments.
    """
    moments = expectation(product, rows, frame)
    return m_step(moments, product), moments.log_likelihood / moments.gaussian.rows


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


def _by_features(components: Components, rows: Blocks, centre: Tensor, dtype: torch.dtype) -> ProductMoments:
    near = centre.to(dtype)  # a centre that this precision holds exactly
    A = coefficients(components, near.to(centre.dtype))
    sums, log_likelihood = torch.zeros_like(A), A.new_zeros(())
    for block in rows.blocks(max(1, _FEATURE_BLOCK // sum(A.shape))):
        y = (block.x.flatten(1) - near).T.contiguous()
        part, value = expected(A.to(dtype), features(y, matrix=components.matrix))
        sums += part
        log_likelihood += value
    moments = as_moments(sums, near.to(centre.dtype), log_likelihood, matrix=components.matrix)
    return ProductMoments(moments, sums[:, :0])


def _by_differences(product: Product, rows: Blocks) -> Iterator[ProductMoments]:
    for block in rows.blocks(max(1, _BLOCK_SIZE // product.block)):
        yield product.expected(block.x.flatten(1).to(product.weights.dtype))
