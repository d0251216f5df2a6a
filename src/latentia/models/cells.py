"""Cells: finitely many sets of values of a column, each with a density of its own, for histograms."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from latentia.data.support import Support


class Cells(nn.Module, ABC):
    """A partition of the values of a column into cells that are numbered from 0."""

    count: int

    @abstractmethod
    def place(self, values: Tensor) -> None:
        """Choose the cells by a column's values, (n,), at least one."""

    @abstractmethod
    def of(self, x: Tensor) -> Tensor:
        """Return the number of each value's cell: (B,) from (B,) values without NaN."""

    @abstractmethod
    def log_within(self, x: Tensor, cells: Tensor) -> Tensor:
        """Return the log-density, or log-probability, of values (B,) in their cells (B,)."""

    @abstractmethod
    def draw(self, cells: Tensor) -> Tensor:
        """Draw a value in each cell from torch's global generator: (B,) in float64."""


class ClassCells(Cells):
    """One cell for each of a column's categories or ranks.

    Args:
        levels: K, how many there are.
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    @property
    def count(self) -> int:  # pyright: ignore
        """Number of cells: K."""
        return self.levels

    def place(self, values: Tensor) -> None:
        """Choose nothing: the cells are the support's."""

    def of(self, x: Tensor) -> Tensor:
        """Return the values themselves."""
        return x.long()

    def log_within(self, x: Tensor, cells: Tensor) -> Tensor:  # noqa: ARG002
        """Return log 1."""
        return torch.zeros_like(x, dtype=torch.float64)

    def draw(self, cells: Tensor) -> Tensor:
        """Return the cells' only values."""
        return cells.double()


class NumberCells(Cells):
    """Bins of numbers, between quantiles of a column: uniform inside, with exponential tails beyond the first and last.

    Of counts they hold whole numbers and the tail is geometric; where the support ends there is no tail. The tails'
    scale is the mean width of the bins. The bins of a column of one value v go from v − ½ to v + ½.

    Args:
        support: of the column: real, unit or count.
        bins: their number, at most; repeated values make it fewer.

    Attributes:
        edges: (K + 1,) the bins' ends in float64; a bin has its lower end. None before `place`.
    """

    edges: Tensor

    def __init__(self, support: Support, bins: int) -> None:
        super().__init__()
        self.whole, self.bins = support.kind == "count", bins
        self.low = 0.0 if support.kind in ("unit", "count") else None
        self.high = 1.0 if support.kind == "unit" else None
        self.register_buffer("edges", torch.zeros(0, dtype=torch.float64))

    @property
    def count(self) -> int:  # pyright: ignore
        """Number of cells: the bins, and the tails."""
        return len(self.edges) - 1 + (self.low is None) + (self.high is None)

    def place(self, values: Tensor) -> None:
        """Put the edges at quantiles of the values."""
        x = values.double().sort().values
        at = torch.linspace(0, len(x) - 1, self.bins + 1, dtype=torch.float64, device=x.device)
        edges, low, high = x[at.round().long()], float(x[0]), float(x[-1])
        if self.whole:
            edges, high = edges.floor(), high + 1
        elif low == high:
            low, high = low - 0.5, high + 0.5
        else:  # the largest value is in the last bin
            high = float(torch.nextafter(torch.tensor(high).float(), torch.tensor(torch.inf)))
        ends = (low if self.low is None else self.low, high if self.high is None else self.high)
        inner = edges[(edges > ends[0]) & (edges < ends[1])]
        self.edges = torch.cat([edges.new_tensor(ends[:1]), inner, edges.new_tensor(ends[1:])]).unique()

    def of(self, x: Tensor) -> Tensor:
        """Return the number of each value's cell; a lower tail comes first, an upper one last."""
        inner = self.edges[slice(int(self.low is not None), None if self.high is None else -1)]
        return torch.searchsorted(inner, x.double().contiguous(), right=True)

    def log_within(self, x: Tensor, cells: Tensor) -> Tensor:
        """Return −log width in a bin, −d/s − log s at the distance d in a tail of scale s."""
        left, width, sign = self._ends(cells)
        s = self._scale()
        distance = (sign * (x.double() - left)).clamp_min(0)
        log_unit = torch.log(-torch.expm1(-1 / s)) if self.whole else -s.log()
        return torch.where(sign == 0, -width.log(), log_unit - distance / s)

    def draw(self, cells: Tensor) -> Tensor:
        """Draw uniformly in a bin, exponentially in a tail."""
        return self.quantile(cells, torch.rand(len(cells), dtype=torch.float64, device=cells.device))

    def quantile(self, cells: Tensor, u: Tensor) -> Tensor:
        """Return the value at the fraction u (B,) of each cell (B,), which counts from the bins in a tail: (B,)."""
        left, width, sign = self._ends(cells)
        x = left + torch.where(sign == 0, u * width, -sign * self._scale() * torch.log1p(-u))
        return x.floor() if self.whole else x

    def fraction(self, x: Tensor, cells: Tensor) -> Tensor:
        """Return what fraction of its cell lies before a value: (B,); `quantile` inverts it."""
        left, width, sign = self._ends(cells)
        tail = -torch.expm1(-sign * (x.double() - left) / self._scale())
        return torch.where(sign == 0, (x.double() - left) / width, tail)

    def _scale(self) -> Tensor:
        return (self.edges[-1] - self.edges[0]) / (len(self.edges) - 1)

    def _ends(self, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return where each cell begins, its width, and its side: 0 for a bin, −1 and 1 for a tail; (B,) each."""
        bins = len(self.edges) - 1
        number = cells - int(self.low is None)
        at = number.clamp(0, bins - 1)
        left, width = self.edges[at], self.edges[at + 1] - self.edges[at]
        sign = (number >= bins).double() - (number < 0).double()
        return torch.where(sign > 0, self.edges[-1], left), width, sign


def cells_for(support: Support, bins: int) -> Cells:
    """Return the cells of a column of this support: its categories or ranks, or bins of its numbers."""
    if support.kind == "binary":
        return ClassCells(2)
    return ClassCells(support.levels) if support.levels else NumberCells(support, bins)
