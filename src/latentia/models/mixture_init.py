"""Initialisation of mixtures: the rows' means and variances, and k-means++ centres."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentia.core.objective import Blocks
from latentia.errors import DataError
from latentia.functional.gaussian.covariances import typical_variances
from latentia.functional.mixtures.categories import Categories, uniform
from latentia.functional.mixtures.components import Components, Covariance
from latentia.functional.mixtures.entries import Entries
from latentia.functional.mixtures.m_step import Moments, maximised, weighted_moments
from latentia.functional.mixtures.products import MStep, Product, ProductMoments

_BLOCK_SIZE = 2**18  # rows × entries held at once: 2 MB


@dataclass(frozen=True)
class Frame:
    """Location and scale of the rows.

    Attributes:
        centre: (D,) the entries' means.
        variances: (D,) the entries' variances; a constant entry has the mean of all, or 1.
    """

    centre: Tensor
    variances: Tensor

    def standardised(self, x: Tensor) -> Tensor:
        """Return (B, D) rows in units of the entries' standard deviations, missing values replaced by the mean."""
        return ((x - self.centre) / self.variances.sqrt()).nan_to_num(nan=0.0)


def frame_of(rows: Blocks, *, missing: bool = False, numbers: Sequence[int] | None = None) -> Frame:
    """Return the frame of all rows in one pass over blocks, in float64; missing values are left out.

    Blocks are combined by the update of Chan, Golub and LeVeque (1983), eq. 2.1, entry by entry.

    Args:
        rows: in memory or in a file.
        missing: whether NaN is a missing value.
        numbers: the entries to read; default: all.

    Raises:
        DataError: for values that are not finite, and for an entry that is missing in every row.
    """
    D = next(iter(rows.blocks(1))).x.numel()
    entries = range(D) if numbers is None else numbers
    count, mean, scatter = (torch.zeros(len(entries), dtype=torch.float64) for _ in range(3))
    for block in rows.blocks(max(1, _BLOCK_SIZE // D)):
        x = block.x.flatten(1)
        x = (x if len(entries) == D else x[:, list(entries)]).double()
        count, mean, scatter = (each.to(x.device) for each in (count, mean, scatter))
        there = (~x.isnan()).double() if missing else torch.ones_like(x)
        x = x.nan_to_num(nan=0.0) if missing else x  # infinities become huge, and are found below
        size = there.sum(0)
        own = (x * there).sum(0) / size.clamp_min(1)
        total, delta = (count + size).clamp_min(1), own - mean
        scatter = scatter + ((x - own) * there).square().sum(0) + delta.square() * count * size / total
        mean, count = mean + delta * size / total, count + size
    _check(count, scatter, entries)
    return Frame(mean, typical_variances(scatter / count, mean))


def _check(count: Tensor, scatter: Tensor, entries: Sequence[int]) -> None:
    if bool((count == 0).any()):
        raise DataError(
            f"entry {entries[int((count == 0).nonzero()[0, 0])]} is missing in every row: drop it"
        )
    if not bool(scatter.isfinite().all()):
        raise DataError(
            "the rows hold NaN, infinite or too large values: remove or fill these rows, or declare the "
            "support 'real or missing' for NaN"
        )


def random_rows(rows: Blocks, size: int) -> Tensor:
    """Return at most ``size`` random rows in their order, (n, D) in float64, read block by block."""
    chosen = torch.zeros(len(rows), dtype=torch.bool)
    chosen[torch.randperm(len(rows))[:size]] = True
    start, parts = 0, list[Tensor]()
    for block in rows.blocks(4096):
        x = block.x[chosen[start : start + len(block)].to(block.x.device)]
        parts.append(x.flatten(1).double())
        start += len(block)
    return torch.cat(parts)


def kmeans_start(x: Tensor, components: int, family: Covariance, frame: Frame, ridge: Tensor) -> Components:
    """Return K components: rows are assigned to the nearest of K centres that k-means++ draws, then an M-step.

    Distances are in units of the entries' standard deviations. Missing values are replaced by their means.

    Args:
        x: (n, D) rows.
        components: K.
        family: the family of the covariances.
        frame: location and scale of the rows.
        ridge: (D,) added to the variances.

    Raises:
        DataError: for fewer rows than components, and for a covariance that is singular.

    Reference: Arthur and Vassilvitskii (2007), k-means++: The advantages of careful seeding.
    """
    drawn, r = _assigned(frame.standardised(x), components)
    return maximised(*_gaussians(x, drawn, r, family, frame), family, ridge)


def product_start(x: Tensor, components: int, entries: Entries, frame: Frame, m_step: MStep) -> Product:
    """Return K products: rows are assigned to the nearest of K centres that k-means++ draws, then an M-step.

    Numbers are in units of their standard deviations, and missing ones replaced by their means; categories and gaps are
    one-hot.

    Args:
        x: (n, D) rows.
        components: K.
        entries: what in a row is what.
        frame: location and scale of the numbers.
        m_step: of EM.

    Raises:
        DataError: for fewer rows than components, and for a covariance that is singular.

    Reference: Arthur and Vassilvitskii (2007), k-means++: The advantages of careful seeding.
    """
    numbers, indicators = entries.of_numbers(x), entries.indicators(x)
    drawn, r = _assigned(torch.cat([frame.standardised(numbers), indicators], dim=1), components)
    moments, unfitted = _gaussians(numbers, drawn, r, m_step.family, frame)
    categories = Categories(uniform(components, entries.groups).to(r.device), entries.groups)
    return m_step(ProductMoments(moments, r.mT @ indicators), Product(unfitted, categories, entries))


def _assigned(y: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Return the numbers (K,) of the rows that k-means++ draws, and which of them is nearest to each row, (n, K)."""
    from sklearn.cluster import kmeans_plusplus

    if len(y) < components:
        raise DataError(
            f"a mixture of {components} components needs at least {components} rows; got {len(y)}"
        )
    seed = int(torch.randint(2**31 - 1, ()))
    drawn = torch.from_numpy(kmeans_plusplus(y.cpu().numpy(), components, random_state=seed)[1]).to(y.device)
    return drawn, nn.functional.one_hot(torch.cdist(y, y[drawn]).argmin(1), components).to(y)


def _gaussians(
    x: Tensor, drawn: Tensor, r: Tensor, family: Covariance, frame: Frame
) -> tuple[Moments, Components]:
    """Return the moments of rows about the drawn ones, and Gaussians there with the variances of all rows."""
    filled = torch.where(x.isnan(), frame.centre, x)
    centres = filled[drawn]
    size = max(1, _BLOCK_SIZE // max(1, centres.numel()))
    parts = [
        weighted_moments(rows - centres[:, None], weights, centres, r.new_zeros(()), matrix=family.matrix)
        for rows, weights in zip(filled.split(size), r.split(size), strict=True)
    ]
    unit = frame.variances.sqrt()
    spread = unit.diag() if family.matrix else unit
    unfitted = Components(r.new_ones(len(drawn)), centres, spread.expand(len(drawn), *spread.shape))
    return sum(parts[1:], start=parts[0]), unfitted
