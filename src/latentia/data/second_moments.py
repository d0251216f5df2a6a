"""Covariances of rows that are read block by block: as a matrix, or only as what it does to vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from latentia.core.objective import Blocks
from latentia.data.moments import moments
from latentia.errors import DataError

_BLOCK_NUMBERS = 2**22  # of (rows, entries) held at once: 32 MB in float64
DENSE = 2000  # entries up to which the matrix is formed: 32 MB


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
    return dense_covariance(rows, entries) if entries <= DENSE else streamed_covariance(rows, entries)


def streamed_covariance(rows: Blocks, entries: int) -> StreamedCovariance:
    """Return the covariance of rows, in O(D) memory beside a block of rows.

    Raises:
        DataError: for values that are not finite.
    """
    mean, variances = (each.flatten() for each in moments(rows, _rows_of_block(entries)))
    return StreamedCovariance(len(rows), _finite(mean), _finite(variances), rows)


def dense_covariance(rows: Blocks, entries: int, *, quick: bool = False) -> DenseCovariance:
    """Return the covariance of rows as a matrix, in one pass.

    S = (1/n) Σ_i (x_i − c)(x_i − c)ᵀ − δδᵀ, δ = x̄ − c. The centre c is the mean of the first block: about 0 digits
    would be lost where the mean is large beside the deviations.

    Args:
        rows: n rows.
        entries: D.
        quick: take the products of a block in float32 and only add up blocks in float64. It takes half the time, and
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
    """Add Σ_i (x_i − c), (D,), and Σ_i (x_i − c)(x_i − c)ᵀ, (D, D), of a block of rows, with room for deviations.

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


def _rows_of_block(entries: int) -> int:
    return max(1, _BLOCK_NUMBERS // entries)


def _finite(values: Tensor) -> Tensor:
    if not bool(values.isfinite().all()):
        raise DataError(
            "the rows hold NaN or infinity, or numbers whose squares overflow: remove or rescale them"
        )
    return values
