"""Moments of rows: mean and covariance, in one pass over blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from latentia.core.objective import Blocks
from latentia.errors import DataError
from latentia.functional.gaussian.covariances import is_constant, variances_of

_BLOCK_NUMBERS = 2**22  # of (rows, entries) held at once: 32 MB


@dataclass(frozen=True)
class Moments:
    """Weight, mean and scatter of rows; two of them add up to those of all rows together.

    Attributes:
        total: Σ_i w_i, a number; the number of rows where all weights are 1.
        mean: (D,) Σ_i w_i x_i / Σ_i w_i.
        scatter: (D, D) Σ_i w_i (x_i − x̄)(x_i − x̄)ᵀ, or its diagonal (D,).
    """

    total: Tensor
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, x: Tensor, weights: Tensor | None = None, *, matrix: bool) -> Moments:
        """Return the moments of (B, D) rows with weights (B,), in float64.

        Args:
            x: the rows.
            weights: of the rows; 1 without.
            matrix: whether entries' covariances are asked for, besides their variances.
        """
        x = x.double()
        w = torch.ones_like(x[:, 0]) if weights is None else weights
        mean = w @ x / w.sum()
        deviations = x - mean
        weighted = w[:, None] * deviations
        scatter = weighted.mT @ deviations if matrix else (weighted * deviations).sum(0)
        return cls(w.sum(), mean, scatter)

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows.

        With δ = x̄_b − x̄_a: M = M_a + M_b + δ δᵀ w_a w_b / (w_a + w_b), which loses no digits where the mean is large
        beside the deviation: Chan, Golub and LeVeque (1983), eq. 2.1.
        """
        total = self.total + other.total
        delta = other.mean - self.mean
        between = delta.square() if self.scatter.dim() == 1 else delta[:, None] * delta
        return Moments(
            total,
            self.mean + delta * (other.total / total),
            self.scatter + other.scatter + between * (self.total * other.total / total),
        )

    @property
    def covariance(self) -> Tensor:
        """The covariance with 1/N, (D, D) or (D,); exactly 0 where an entry varies by rounding alone."""
        cov = self.scatter / self.total
        varies = (~is_constant(variances_of(cov), self.mean)).to(cov)
        return cov * (varies[:, None] * varies if cov.dim() == 2 else varies)


def moments_of(rows: Blocks, *, matrix: bool) -> Moments:
    """Return the moments of all rows, flattened to D entries, block by block.

    Args:
        rows: in memory or in a file.
        matrix: whether entries' covariances are asked for, besides their variances.

    Raises:
        DataError: for fewer than two rows, or values that are not finite.

    Example:
        >>> from latentia.core.objective import Batch
        >>> moments_of(Batch(torch.tensor([[1.0, 0.0], [3.0, 4.0]])), matrix=True).covariance
        tensor([[1., 2.],
                [2., 4.]], dtype=torch.float64)
    """
    if len(rows) < 2:
        raise DataError(f"a covariance needs at least 2 rows; got {len(rows)}")
    size = max(1, _BLOCK_NUMBERS // next(iter(rows.blocks(1))).x.numel())
    parts = (Moments.of(block.x.flatten(1), matrix=matrix) for block in rows.blocks(size))
    moments = reduce(Moments.__add__, parts)
    if not bool(moments.scatter.isfinite().all()):
        raise DataError("the rows hold NaN, infinite or too large values: remove or fill these rows")
    return moments


def moments(rows: Blocks, block: int = 4096) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance (with 1/N) of each entry over all rows, in float64, in one pass.

    Blocks are combined by the update of Chan, Golub and LeVeque (1983), which loses no digits where the mean is
    large beside the deviation.

    Example:
        >>> from latentia.core.objective import Batch
        >>> mean, variance = moments(Batch(torch.tensor([[1.0], [3.0]])))
        >>> mean.item(), variance.item()
        (2.0, 1.0)
    """
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    for batch in rows.blocks(block):
        x = batch.x.double()
        size, block_mean = len(x), x.mean(0)
        delta = block_mean - mean.to(x.device)
        total = count + size
        squares = (
            squares.to(x.device) + (x - block_mean).square().sum(0) + delta.square() * (count * size / total)
        )
        mean = mean.to(x.device) + delta * (size / total)
        count = total
    return mean, squares / count


def fourth_moment(rows: Blocks, mean: Tensor) -> Tensor:
    """Return Σ_i ‖x_i − x̄‖⁴ over all rows, a number, block by block."""
    size = max(1, _BLOCK_NUMBERS // len(mean))
    blocks = (block.x.flatten(1).double() - mean for block in rows.blocks(size))
    return sum((d.square().sum(1).square().sum() for d in blocks), start=torch.zeros_like(mean[0]))
