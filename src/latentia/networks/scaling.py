"""Affine scaling: the first layer of encoders and critics, and the last of decoders and generators."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentia.core.objective import Blocks
from latentia.data.spec import DataSpec


class Scaling(nn.Module):
    """The affine map between data and the numbers that networks like.

    Bounded data (binary, unit, discrete) goes to [-1, 1]. Real data is standardised entry by entry, by
    moments that `fit` takes from the rows; until then the map is the identity.

    Args:
        data: what a row is.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        self.bounded = data.support.bounds is not None
        low, high = data.support.bounds or (-1.0, 1.0)
        shape = () if self.bounded else data.event_shape
        self.register_buffer("shift", torch.full(shape, (low + high) / 2))
        self.register_buffer("scale", torch.full(shape, (high - low) / 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return data as network input: (x - shift) / scale."""
        slope = self.scale.reciprocal()
        return torch.addcmul(-self.shift * slope, x, slope)  # one pass over the rows

    def inverse(self, y: Tensor) -> Tensor:
        """Return network output as data: shift + scale · y."""
        return torch.addcmul(self.shift, y, self.scale)

    def fit(self, rows: Blocks) -> None:
        """Take the mean and the standard deviation of each entry, where the data is real."""
        if self.bounded:
            return
        mean, variance = moments(rows)
        deviation = variance.sqrt()
        self.shift.copy_(mean)
        self.scale.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))


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
