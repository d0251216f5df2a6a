"""Margins of a copula: the distribution of one column, as a map from and to a standard normal variable."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from latentia.data.support import Support
from latentia.models.cells import NumberCells

FARTHEST = 37.0  # |z| of the normal variables: Φ(−37) is 5.7e-300
_PSEUDO_COUNT = 0.5
_COUNT_BINS = 256


class Margin(nn.Module, ABC):
    """The distribution F of one column x, which is a function of z ~ N(0, 1)."""

    @abstractmethod
    def place(self, values: Tensor) -> None:
        """Fit the distribution to values (n,), at least one, none of them missing."""

    @abstractmethod
    def value(self, z: Tensor) -> Tensor:
        """Return x = F⁻¹(Φ(z)): (B,) float64 from (B,)."""


class ContinuousMargin(Margin, ABC):
    """A column that is a strictly increasing function of z, or taken as one."""

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """Return z = Φ⁻¹(F(x)): (B,) float64."""


class DensityMargin(ContinuousMargin, ABC):
    """A column with a density."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Return log f(x) of values: (B,)."""


class DiscreteMargin(Margin, ABC):
    """A column whose values are intervals of z."""

    @abstractmethod
    def interval(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of the values' intervals, Φ⁻¹(F(x − 1)) and Φ⁻¹(F(x)): (B,) each, finite."""


class ClassMargin(DiscreteMargin):
    """Categories or ranks of probability (n_k + ½)/(n + K/2), in an order that is kept.

    Args:
        levels: K.

    Attributes:
        places: (K,) the place of each category in the order; categories are in the order of their numbers unless
            `arrange` has said otherwise.
        ends: (K + 1,) the ends of the intervals of z, by place.
    """

    places: Tensor
    ends: Tensor

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.register_buffer("places", torch.arange(levels))
        even = torch.linspace(0, 1, levels + 1, dtype=torch.float64)
        self.register_buffer("ends", normal_quantiles(even))

    def arrange(self, scores: Tensor) -> None:
        """Put the categories in the order of their scores, (K,)."""
        self.places = scores.argsort(stable=True).argsort()

    def place(self, values: Tensor) -> None:
        """Count the categories."""
        counts = torch.bincount(self.places[values.long()], minlength=self.levels).double() + _PSEUDO_COUNT
        below = torch.cat([counts.new_zeros(1), counts.cumsum(0)]) / counts.sum()
        self.ends = normal_quantiles(below)

    def interval(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of the categories' intervals."""
        at = self.places[x.long()]
        return self.ends[at], self.ends[at + 1]

    def value(self, z: Tensor) -> Tensor:
        """Return the category whose interval holds z."""
        at = torch.searchsorted(self.ends[1:-1].contiguous(), z.contiguous(), right=True)
        return self.places.argsort()[at].double()


class CountMargin(DiscreteMargin):
    """Counts: a histogram of bins between quantiles, uniform in a bin, with a geometric tail.

    Attributes:
        below: (C + 1,) the probability of the cells before each.
    """

    below: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.cells = NumberCells(Support("count"), _COUNT_BINS)
        self.register_buffer("below", torch.zeros(0, dtype=torch.float64))

    def place(self, values: Tensor) -> None:
        """Choose the bins and count what is in them."""
        self.cells.place(values)
        counts = torch.bincount(self.cells.of(values), minlength=self.cells.count).double() + _PSEUDO_COUNT
        self.below = torch.cat([counts.new_zeros(1), counts.cumsum(0)]) / counts.sum()

    def interval(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of the counts' intervals."""
        return normal_quantiles(self._below(x)), normal_quantiles(self._below(x + 1))

    def value(self, z: Tensor) -> Tensor:
        """Return the largest count below which there is at most Φ(z)."""
        u = torch.special.ndtr(z)
        cell = torch.searchsorted(self.below[1:-1].contiguous(), u, right=True)
        within = (u - self.below[cell]) / (self.below[cell + 1] - self.below[cell])
        return self.cells.quantile(cell, within)

    def _below(self, x: Tensor) -> Tensor:
        """Return P(X < x) of whole x: (B,)."""
        cell = self.cells.of(x)
        mass = self.below[cell + 1] - self.below[cell]
        return self.below[cell] + mass * self.cells.fraction(x, cell)


class EmpiricalMargin(ContinuousMargin):
    """The training values themselves: x is one of them, and z the normal score of its mean rank.

    Attributes:
        values: (n,) in ascending order.
    """

    values: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("values", torch.zeros(0))

    def place(self, values: Tensor) -> None:
        """Keep the values."""
        self.values = values.sort().values

    def score(self, x: Tensor) -> Tensor:
        """Return Φ⁻¹ of the mean rank over n + 1."""
        return normal_scores(x.to(self.values), self.values)

    def value(self, z: Tensor) -> Tensor:
        """Return the value of rank ⌈n Φ(z)⌉."""
        at = (torch.special.ndtr(z) * len(self.values)).long().clamp_max(len(self.values) - 1)
        return self.values[at].double()


def normal_scores(x: Tensor, ordered: Tensor) -> Tensor:
    """Return Φ⁻¹(r/(n + 1)) with r the mean rank of x (B,) among values (n,) in ascending order."""
    first = torch.searchsorted(ordered, x.contiguous())
    last = torch.searchsorted(ordered, x.contiguous(), right=True)
    rank = (first + last + 1).double() / 2
    return torch.special.ndtri(
        (rank / (len(ordered) + 1)).clamp(1 / (4 * len(ordered)), 1 - 1 / (4 * len(ordered)))
    )


def normal_quantiles(p: Tensor) -> Tensor:
    """Return Φ⁻¹(p), at most 37 from 0."""
    return torch.special.ndtri(p.clamp(0, 1)).clamp(-FARTHEST, FARTHEST)
