"""Scaling: the first layer of encoders and critics, and the last of decoders and generators."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from latentia.core.objective import Blocks
from latentia.data.moments import mean_and_variance
from latentia.data.spec import DataSpec, Support


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
    moments that `fit` computes from the rows; before, the map of real data is the identity. A categorical entry is
    one-hot, with K entries; in a table these follow the other columns.

    Args:
        data: what a row is.

    Example:
        >>> scaling = Scaling(DataSpec((2,), Support.parse("table(categorical(3), binary)")))
        >>> scaling.out_shape, scaling(torch.tensor([[2.0, 0.0]])).tolist()
        ((4,), [[-1.0, 0.0, 0.0, 1.0]])
    """

    shift: Tensor
    scale: Tensor
    free: Tensor

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

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of a row as network input."""
        first, *rest = self.event_shape
        if len(self.columns) == 1:
            return (first * self.categories.get(0, 1), *rest)
        return (len(self.plain) + sum(self.categories.values()),)

    def forward(self, x: Tensor) -> Tensor:
        """Return data as network input: (x - shift) / scale, and categories one-hot."""
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
        """Set shift and scale of real entries and counts to their mean and standard deviation."""
        if not self.free.any():
            return
        mean, variance = mean_and_variance(rows)
        std = variance.sqrt()
        std = torch.where(std > 0, std, torch.ones_like(std))
        self.shift.copy_(torch.where(self.free, mean.to(self.shift), self.shift))
        self.scale.copy_(torch.where(self.free, std.to(self.scale), self.scale))


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


def _range(column: Support) -> tuple[float, float]:
    """Return the values that map to -1 and 1; for real data and counts, those before `fit`."""
    return column.bounds or ((0.0, 2.0) if column.kind == "count" else (-1.0, 1.0))
