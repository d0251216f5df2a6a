"""Checks that the equations share: the line names the argument, and nothing is broadcast in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from latentia.errors import DataError, UnknownNameError, UsageError
from latentia.registry import unknown

T = TypeVar("T")


def same_shape(**tensors: Tensor) -> None:
    """Raise `UsageError` (a ValueError) unless all tensors have one shape.

    Example:
        >>> same_shape(mean=torch.zeros(2, 3), log_var=torch.zeros(3))
        Traceback (most recent call last):
        latentia.errors.UsageError: shapes must be equal, nothing is broadcast; got mean (2, 3), log_var (3,)
    """
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        given = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise UsageError(f"shapes must be equal, nothing is broadcast; got {given}")


def point_sets(*, at_least: int = 1, **tensors: Tensor) -> None:
    """Raise unless every tensor holds enough finite points, (n, d) with one d.

    Raises:
        UsageError: for other shapes, or widths that differ.
        DataError: for too few points, or a NaN or infinite value.
    """
    given = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
    if any(tensor.dim() != 2 for tensor in tensors.values()):
        raise UsageError(f"point sets must have shapes (n, d); got {given}: flatten each point first")
    if len({tensor.shape[1] for tensor in tensors.values()}) > 1:
        raise UsageError(f"point sets must have the same number of dimensions; got {given}")
    for name, tensor in tensors.items():
        if len(tensor) < at_least:
            raise DataError(f"{name} needs at least {at_least} points; got {len(tensor)}")
        wrong = int((~torch.isfinite(tensor)).any(1).sum())
        if wrong:
            raise DataError(f"{name} holds NaN or infinite values in {wrong} of its {len(tensor)} points")


def member(table: Mapping[str, T], name: str, what: str) -> T:
    """Return the entry of a table, or raise `UnknownNameError` with the nearest names.

    Example:
        >>> member({"cosine": 1}, "cosin", "schedule")
        Traceback (most recent call last):
        latentia.errors.UnknownNameError: unknown schedule 'cosin'; did you mean 'cosine'?
    """
    if name not in table:
        raise UnknownNameError(unknown(what, name, table))
    return table[name]
