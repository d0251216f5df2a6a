"""Scaling: the first layer of encoders and critics, and the last of decoders and generators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from latentia.core.objective import Blocks
from latentia.data.moments import moments
from latentia.data.spec import DataSpec, Support


class Affine(Protocol):
    """A map between data and numbers about 0: x = shift + scale · y."""

    @property
    def shift(self) -> Tensor:
        """What 0 stands for."""
        ...

    @property
    def scale(self) -> Tensor:
        """What 1 stands for, from there."""
        ...

    def inverse(self, y: Tensor, /) -> Tensor:
        """Return network output as data."""
        ...


class Scaling(nn.Module):
    """The map between data and the numbers that networks like: affine, and one-hot for categories.

    Bounded data (binary, unit, discrete) goes to [-1, 1]. Real data and counts are standardised entry by entry, by
    moments that `fit` takes from the rows; until then the map of real data is the identity. Networks read categories
    one-hot: a categorical entry as K numbers, of a table after its other columns.

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
        """The shape of what a network reads of a row."""
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
        """Return network output as data: shift + scale · y, which of categories means nothing."""
        return torch.addcmul(self.shift, y, self.scale)

    def fit(self, rows: Blocks) -> None:
        """Take the mean and the standard deviation of each entry that is real or a count."""
        if not self.free.any():
            return
        mean, variance = moments(rows)
        deviation = variance.sqrt()
        deviation = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
        self.shift.copy_(torch.where(self.free, mean.to(self.shift), self.shift))
        self.scale.copy_(torch.where(self.free, deviation.to(self.scale), self.scale))


@dataclass(frozen=True, eq=False)
class Columns:
    """The affine map of some columns of a table, whatever becomes of the table's own.

    Attributes:
        table: the table's.
        indices: of the columns.
    """

    table: Scaling
    indices: list[int]

    @property
    def shift(self) -> Tensor:
        """What 0 stands for in each of the columns."""
        return self.table.shift[self.indices]

    @property
    def scale(self) -> Tensor:
        """What 1 stands for, from there."""
        return self.table.scale[self.indices]

    def inverse(self, y: Tensor) -> Tensor:
        """Return (B, columns) network output as data."""
        return torch.addcmul(self.shift, y, self.scale)


def _range(column: Support) -> tuple[float, float]:
    """Return the values that go to -1 and 1; those of real data and counts are so until rows are seen."""
    return column.bounds or ((0.0, 2.0) if column.kind == "count" else (-1.0, 1.0))
