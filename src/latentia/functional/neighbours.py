"""Nearest neighbours among points that are read block by block."""

from collections.abc import Iterable

import torch
from torch import Tensor

from latentia.errors import DataError
from latentia.functional.checks import point_sets


def nearest(x: Tensor, blocks: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the distance from each point of x to its nearest neighbour among y, and the neighbour's index.

    d_i = min_j ‖x_i − y_j‖ and its argmin

    The nearest point of a block is found by matrix products, whose rounding may swap two that are almost equally near;
    its distance is then computed from differences, so that a copy of y_j is at distance exactly 0.

    Args:
        x: (n, d) points.
        blocks: (m_b, d) blocks of y, in order.

    Returns:
        (n,) distances and (n,) indices of rows of y.

    Raises:
        UsageError: for shapes that do not fit.
        DataError: for a point that is not finite, or no y at all.

    Example:
        >>> x, y = torch.tensor([[0.0, 0.0], [4.0, 3.0]]), torch.tensor([[3.0, 4.0], [4.0, 3.0]])
        >>> nearest(x, y.split(1))
        (tensor([5., 0.]), tensor([0, 1]))
    """
    distance, number, seen = x.new_full((len(x),), torch.inf), torch.zeros(len(x), dtype=torch.int64), 0
    number = number.to(x.device)
    for y in blocks:
        point_sets(x=x, y=y)
        found = torch.cdist(x, y).argmin(1)
        exact = (x - y[found]).norm(dim=1)
        nearer = exact < distance
        distance = torch.where(nearer, exact, distance)
        number = torch.where(nearer, found + seen, number)
        seen += len(y)
    if not seen:
        raise DataError("nearest neighbours need at least 1 point to search; got none")
    return distance, number
