"""Scaling: the first layer of encoders and critics, and the last of decoders and generators."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from latentia.core.objective import Blocks
from latentia.data.moments import mean_and_variance, moments_of_present
from latentia.data.spec import DataSpec, Support
from latentia.errors import UnfitError


class Affine(Protocol):
    """An affine map between data x and standardised values y: x = shift + scale · y."""

    @property
    def shift(self) -> Tensor:
        """The value that maps to 0."""
        ...

    @property
    def scale(self) -> Tensor:
        """The difference in x for a difference of 1 in y."""
        ...

    def inverse(self, y: Tensor, /) -> Tensor:
        """Return network output as data."""
        ...


class Scaling(nn.Module):
    """The map between data and network input: affine, and one-hot for categories.

    Bounded data (binary, unit, discrete) goes to [-1, 1]. Real data and counts are standardised entry by entry, by
    moments that `fit` computes from the rows; before, the map of real data is the identity. One-hot entries of encoded
    rows stay as they are, so that a category lies in the simplex. A categorical entry is
    one-hot, with K entries; in a table these follow the other columns. A missing cell is 0 in all its entries, and an
    indicator, 1 where the cell is missing, follows for each column that may have such cells; moments are of the cells
    that are there.

    Args:
        data: what a row is.

    Example:
        >>> scaling = Scaling(DataSpec((2,), Support.parse("table(categorical(3), binary)")))
        >>> scaling.out_shape, scaling(torch.tensor([[2.0, 0.0]])).tolist()
        ((4,), [[-1.0, 0.0, 0.0, 1.0]])
        >>> scaling = Scaling(DataSpec((2,), Support.parse("table(categorical(3) or missing, real)")))
        >>> scaling(torch.tensor([[torch.nan, 0.5]])).tolist()
        [[0.5, 0.0, 0.0, 0.0, 1.0]]
    """

    shift: Tensor
    scale: Tensor
    free: Tensor
    gap_logits: Tensor
    source: Tensor

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        self.event_shape, self.columns = data.event_shape, data.support.columns or (data.support,)
        self.bounded = data.support.bounds is not None
        self.categories = {j: c.levels or 0 for j, c in enumerate(self.columns) if c.kind == "categorical"}
        self.plain = [j for j in range(len(self.columns)) if j not in self.categories]
        shape = () if self.bounded else data.event_shape
        low, high = torch.tensor([_range(column) for column in self.columns]).T
        self.register_buffer("shift", ((low + high) / 2).squeeze().expand(shape).clone())
        self.register_buffer("scale", ((high - low) / 2).squeeze().expand(shape).clone())
        fitted = torch.tensor([column.bounds is None for column in self.columns])
        self.register_buffer("free", fitted.squeeze().expand(shape).clone(), persistent=False)
        for first, length in data.blocks:
            self.free[first : first + length] = False
        self.gaps = columns_with_gaps(data)
        if self.gaps:
            self.register_buffer("gap_logits", torch.zeros(len(self.gaps)))
            self.register_buffer("source", self._column_of_each_input(), persistent=False)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of a row as network input."""
        first, *rest = self.event_shape
        if len(self.columns) == 1:
            return (first * self.categories.get(0, 1) + len(self.gaps), *rest)
        return (len(self.plain) + sum(self.categories.values()) + len(self.gaps),)

    def forward(self, x: Tensor) -> Tensor:
        """Return data as network input: (x - shift) / scale, categories one-hot, and where cells are missing."""
        if not self.gaps:
            return self._inputs(x)
        missing = x.isnan()
        there = self._inputs(torch.where(missing, 0.0, x)).masked_fill(missing[:, self.source], 0.0)
        return torch.cat([there, missing[:, self.gaps].to(there.dtype)], dim=1)

    def _inputs(self, x: Tensor) -> Tensor:
        """Return complete data as network input."""
        if self.bounded and self.categories:
            return one_hot(x.long(), self.categories[0]).movedim(-1, 2).flatten(1, 2).to(self.scale.dtype)
        slope = self.scale.reciprocal()
        y = torch.addcmul(-self.shift * slope, x, slope)  # one pass over the rows
        if not self.categories:
            return y
        codes = [one_hot(x[:, j].long(), levels).to(y.dtype) for j, levels in self.categories.items()]
        return torch.cat([y[:, self.plain], *codes], dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """Return network output as data: shift + scale · y; it does not apply to categories."""
        return torch.addcmul(self.shift, y, self.scale)

    def fit(self, rows: Blocks) -> None:
        """Set shift and scale of real entries and counts to their mean and standard deviation, and note the gaps."""
        if self.gaps:
            moments = moments_of_present(rows)
            there = moments.total[self.gaps]
            # of (k + ½) gaps in n + 1 rows: finite also for columns with none, and with nothing else
            self.gap_logits.copy_(((len(rows) - there + 0.5) / (there + 0.5)).log())
            self._standardise(moments.mean, moments.scatter / moments.total.clamp_min(1))
        elif self.free.any():
            self._standardise(*mean_and_variance(rows))

    def _standardise(self, mean: Tensor, variance: Tensor) -> None:
        """Set shift and scale of entries that are standardised, if any."""
        if not self.free.any():
            return
        std = variance.sqrt()
        std = torch.where(std > 0, std, torch.ones_like(std))
        self.shift.copy_(torch.where(self.free, mean.to(self.shift), self.shift))
        self.scale.copy_(torch.where(self.free, std.to(self.scale), self.scale))

    def _column_of_each_input(self) -> Tensor:
        """Return the column of the data that each entry of a row as network input comes from, indicators aside."""
        if len(self.columns) == 1:
            return torch.arange(self.event_shape[0]).repeat_interleave(self.categories.get(0, 1))
        codes = [j for j, levels in self.categories.items() for _ in range(levels)]
        return torch.tensor([*self.plain, *codes])


@dataclass(frozen=True, eq=False)
class Columns:
    """The affine map of some columns of a table; it follows changes of the table's map.

    Attributes:
        table: the map of the table.
        indices: indices of the columns.
    """

    table: Scaling
    indices: list[int]

    @property
    def shift(self) -> Tensor:
        """The value of each column that maps to 0."""
        return self.table.shift[self.indices]

    @property
    def scale(self) -> Tensor:
        """The difference in x for a difference of 1 in y."""
        return self.table.scale[self.indices]

    def inverse(self, y: Tensor) -> Tensor:
        """Return (B, columns) network output as data."""
        return torch.addcmul(self.shift, y, self.scale)


def columns_with_gaps(data: DataSpec) -> list[int]:
    """Return the indices of the columns that may have missing cells.

    Raises:
        UnfitError: for such cells in rows that are no tables.
    """
    if data.support.missing and len(data.event_shape) != 1:
        raise UnfitError(
            f"rows of shape {data.event_shape} with missing values cannot be a network's input; tables can: "
            "fill them, or give rows as vectors"
        )
    columns = data.support.columns or (data.support,) * data.size
    return [j for j, column in enumerate(columns) if column.missing]


def _range(column: Support) -> tuple[float, float]:
    """Return the values that map to -1 and 1; for real data and counts, those before `fit`."""
    return column.bounds or ((0.0, 2.0) if column.kind == "count" else (-1.0, 1.0))
