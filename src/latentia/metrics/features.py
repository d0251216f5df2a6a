"""Rows as points between which distances mean something."""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from latentia.data.spec import Support


def coordinates(x: Tensor, support: Support) -> Tensor:
    """Return rows as points: categories one-hot over √2, so that any two differ by 1; other entries as they are.

    Where an entry may be missing another one says so, 1 where it is, and 0 stands in its place.

    Args:
        x: (n, *event) rows.
        support: of the rows.

    Returns:
        (n, D'), with D' = D where there are no categories.

    Example:
        >>> rows = torch.tensor([[0.0, 5.0], [2.0, 5.0]])
        >>> points = coordinates(rows, Support.parse("table(categorical(3), real)"))
        >>> points.shape, round((points[0] - points[1]).norm().item(), 6)
        (torch.Size([2, 4]), 1.0)
    """
    x = x.flatten(1)
    if support.missing and not support.columns:
        gaps = x.isnan()
        return torch.cat(
            [coordinates(x.nan_to_num(), replace(support, missing=False)), gaps.to(x.dtype)], dim=1
        )
    if support.kind == "categorical":
        return one_hot(x.long(), support.levels or 0).to(x.dtype).flatten(1) / math.sqrt(2)
    if not any(column.kind == "categorical" or column.missing for column in support.columns):
        return x
    parts = [coordinates(x[:, [j]], column) for j, column in enumerate(support.columns)]
    return torch.cat(parts, dim=1)
