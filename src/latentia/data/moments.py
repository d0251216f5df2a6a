"""Moments of rows in one pass over blocks: mean, variances and covariance, as a matrix or as what it does to vectors.

There are two ways. Variances are combined block by block by Chan's update (`Moments.__add__`). A covariance matrix is
summed about one centre near the mean, which is one matrix product a block; neither loses digits where the mean is
large relative to the standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from latentia.core.objective import Blocks
from latentia.errors import DataError
from latentia.functional.gaussian.covariances import is_constant, variances_of

_BLOCK_NUMBERS = 2**22  # of (rows, entries) held at once: 32 MB in float64
_IN_CACHE = 2**18  # of them that stay in a core's cache: 2 MB
DENSE = 2000  # entries up to which the matrix is formed: 32 MB


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
            weights: of the rows; 1 by default.
            matrix: whether to return the entries' covariances besides their variances.
        """
        x = x.double()
        w = None if weights is None else weights[:, None]
        total = x.new_tensor(len(x)) if weights is None else weights.sum()
        mean = x.mean(0) if w is None else (w * x).sum(0) / total
        deviations = x - mean
        weighted = deviations if w is None else w * deviations
        scatter = weighted.mT @ deviations if matrix else (weighted * deviations).sum(0)
        return cls(total, mean, scatter)

    @classmethod
    def of_present(cls, x: Tensor) -> Moments:
        """Return the moments of each entry of (B, D) rows where it is not missing, NaN; ``total`` is (D,)."""
        present, x = ~x.isnan(), x.double()
        total = present.sum(0).double()
        mean = x.nansum(0) / total.clamp_min(1)
        return cls(total, mean, torch.where(present, x - mean, 0.0).square().sum(0))

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows.

        With δ = x̄_b − x̄_a: M = M_a + M_b + δ δᵀ w_a w_b / (w_a + w_b): Chan, Golub and LeVeque (1983), eq. 2.1.
        """
        total = self.total + other.total
        delta = other.mean - self.mean
        between = delta.square() if self.scatter.dim() == 1 else delta[:, None] * delta
        whole = total.clamp_min(torch.finfo(torch.float64).tiny)  # 0 for entries that neither has
        return Moments(
            total,
            self.mean + delta * (other.total / whole),
            self.scatter + other.scatter + between * (self.total * other.total / whole),
        )

    @property
    def covariance(self) -> Tensor:
        """The covariance with 1/N, (D, D) or (D,); exactly 0 where an entry varies by rounding alone."""
        cov = self.scatter / self.total
        varies = (~is_constant(variances_of(cov), self.mean)).to(cov)
        return cov * (varies[:, None] * varies if cov.dim() == 2 else varies)


def mean_and_variance(rows: Blocks) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance (with 1/N) of each entry over all rows, (*event) float64, in one pass.

    Example:
        >>> from latentia.core.objective import Batch
        >>> mean, variance = mean_and_variance(Batch(torch.tensor([[1.0], [3.0]])))
        >>> mean.item(), variance.item()
        (2.0, 1.0)
    """
    moments, shape = _streamed(rows)
    return moments.mean.view(shape), (moments.scatter / moments.total).view(shape)


def moments_of_present(rows: Blocks) -> Moments:
    """Return the moments of each entry over the rows where it is not missing, in one pass.

    Example:
        >>> from latentia.core.objective import Batch
        >>> found = moments_of_present(Batch(torch.tensor([[1.0, torch.nan], [3.0, 5.0]])))
        >>> found.total.tolist(), found.mean.tolist(), found.scatter.tolist()
        ([2.0, 1.0], [2.0, 5.0], [2.0, 0.0])
    """
    return _streamed(rows, Moments.of_present)[0]


def moments_of(rows: Blocks, *, matrix: bool) -> Moments:
    """Return the moments of all rows, flattened to D entries, block by block.

    Args:
        rows: in memory or in a file.
        matrix: whether to return the entries' covariances besides their variances.

    Raises:
        DataError: for fewer than two rows, or values that are not finite.

    Example:
        >>> from latentia.core.objective import Batch
        >>> moments_of(Batch(torch.tensor([[1.0, 0.0], [3.0, 4.0]])), matrix=True).covariance
        tensor([[1., 2.],
                [2., 4.]], dtype=torch.float64)
    """
    n = len(rows)
    if n < 2:
        raise DataError(f"a covariance needs at least 2 rows; got {n}")
    if not matrix:
        moments, _ = _streamed(rows)
        _finite(moments.scatter)
        return moments
    dense = dense_covariance(rows, next(iter(rows.blocks(1))).x.numel())
    total = torch.tensor(float(n), dtype=torch.float64, device=dense.mean.device)
    return Moments(total, dense.mean, dense.matrix * n)


def fourth_moment(rows: Blocks, mean: Tensor) -> Tensor:
    """Return Σ_i ‖x_i − x̄‖⁴ over all rows, a number, block by block."""
    blocks = (block.x.flatten(1).double() - mean for block in rows.blocks(_rows_of_block(len(mean))))
    return sum((d.square().sum(1).square().sum() for d in blocks), start=torch.zeros_like(mean[0]))


class Covariance(Protocol):
    """S = (1/n) Σ_i (x_i − x̄)(x_i − x̄)ᵀ of n rows flattened to D entries, in float64."""

    @property
    def rows(self) -> int:
        """Return n."""
        ...

    @property
    def mean(self) -> Tensor:
        """Return x̄, (D,)."""
        ...

    @property
    def variances(self) -> Tensor:
        """Return the diagonal of S, (D,)."""
        ...

    def times(self, B: Tensor) -> Tensor:
        """Return SB for (D, k) B."""
        ...


@dataclass(frozen=True)
class DenseCovariance:
    """A covariance as its (D, D) ``matrix``."""

    rows: int
    mean: Tensor
    matrix: Tensor

    @property
    def variances(self) -> Tensor:
        """The diagonal of S."""
        return self.matrix.diagonal()

    def times(self, B: Tensor) -> Tensor:
        """Return SB: one matrix product."""
        return self.matrix @ B


@dataclass(frozen=True)
class StreamedCovariance:
    """A covariance that is not formed: each product reads the rows of ``source`` once."""

    rows: int
    mean: Tensor
    variances: Tensor
    source: Blocks

    def times(self, B: Tensor) -> Tensor:
        """Return SB = (1/n) Σ_i (x_i − x̄)((x_i − x̄)ᵀB), block by block."""
        total = torch.zeros_like(B)
        for block in self.source.blocks(_rows_of_block(len(B))):
            deviations = block.x.flatten(1).double() - self.mean
            total += deviations.mT @ (deviations @ B)
        return total / self.rows


def covariance_of(rows: Blocks, entries: int) -> Covariance:
    """Return the covariance of rows with so many entries: as a matrix, unless it would take much memory."""
    return dense_covariance(rows, entries) if entries <= DENSE else streamed_covariance(rows)


def streamed_covariance(rows: Blocks) -> StreamedCovariance:
    """Return the covariance of rows, in O(D) memory besides a block of rows.

    Raises:
        DataError: for values that are not finite.
    """
    mean, variances = (each.flatten() for each in mean_and_variance(rows))
    return StreamedCovariance(len(rows), _finite(mean), _finite(variances), rows)


def dense_covariance(rows: Blocks, entries: int, *, quick: bool = False) -> DenseCovariance:
    """Return the covariance of rows as a matrix, in one pass.

    S = (1/n) Σ_i (x_i − c)(x_i − c)ᵀ − δδᵀ, δ = x̄ − c. The centre c is the mean of the first block: about 0 digits
    would be lost where the mean is large relative to the standard deviation.

    Args:
        rows: n rows.
        entries: D.
        quick: take the products of a block in float32 and only add up blocks in float64. This takes half the time, and
            an entry S_ij is then off by about 1e-6 √(S_ii S_jj).

    Raises:
        DataError: for values that are not finite.
    """
    n, dtype = 0, torch.float32 if quick else torch.float64
    room = centre = first = torch.zeros(entries, dtype=torch.float64)
    second = torch.zeros(entries, entries, dtype=torch.float64)
    for block in rows.blocks(_rows_of_block(entries)):
        x = block.x.flatten(1)
        if not n:
            centre = x.mean(0, dtype=torch.float64).to(dtype)
            first, second = first.to(x.device), second.to(x.device)
            room = torch.empty(x.shape, dtype=dtype, device=x.device)  # memory anew for each block takes long
        _add_moments(first, second, x.to(dtype), centre, room[: len(x)])
        n += len(x)
    delta = first / n
    return DenseCovariance(n, centre + delta, _finite((second / n).addr_(delta, delta, alpha=-1)))


def _add_moments(first: Tensor, second: Tensor, x: Tensor, centre: Tensor, room: Tensor) -> None:
    """Add Σ_i (x_i − c), (D,), and Σ_i (x_i − c)(x_i − c)ᵀ, (D, D), of a block of rows; x_i − c goes into ``room``.

    On a CPU all of it is NumPy's: it sees the symmetry of the product, takes half of it, and its threads do not have
    to wait for torch's.
    """
    if x.device.type != "cpu":
        deviations = torch.sub(x, centre, out=room)
        first += deviations.sum(0)
        second += deviations.mT @ deviations
        return
    with np.errstate(invalid="ignore", over="ignore"):  # it shows in the sum
        rows = np.subtract(x.numpy(), centre.numpy(), out=room.numpy())
        total, product = first.numpy(), second.numpy()  # views
        total += np.ones(len(rows), rows.dtype) @ rows
        product += rows.T @ rows


_without_covariances = partial(Moments.of, matrix=False)


def _streamed(
    rows: Blocks, of: Callable[[Tensor], Moments] = _without_covariances
) -> tuple[Moments, torch.Size]:
    """Return the moments of all rows, without covariances, and the shape of a row."""
    shape = next(iter(rows.blocks(1))).x.shape[1:]
    size = max(1, min(_BLOCK_NUMBERS, _IN_CACHE) // max(1, shape.numel()))
    blocks: Iterator[Tensor] = (block.x for block in rows.blocks(size))
    return reduce(Moments.__add__, (of(x.flatten(1)) for x in blocks)), shape


def _rows_of_block(entries: int) -> int:
    return max(1, _BLOCK_NUMBERS // max(1, entries))


def _finite(values: Tensor) -> Tensor:
    if not bool(values.isfinite().all()):
        raise DataError(
            "the rows hold NaN or infinity, or numbers whose squares overflow: remove or rescale them"
        )
    return values
