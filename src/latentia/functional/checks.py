"""Checks of arguments that all equations use: errors name the argument, and nothing is broadcast silently."""

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.registry import check_name

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
    check_name(what, name, table)
    return table[name]


def finite(**tensors: Tensor) -> None:
    """Raise unless every tensor holds finite floating-point numbers.

    Raises:
        UsageError: for integers.
        DataError: for a NaN or infinite value.

    Example:
        >>> finite(mean=torch.tensor([0.0, torch.nan]))
        Traceback (most recent call last):
        latentia.errors.DataError: mean holds NaN or infinite values in 1 of its 2 entries
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise UsageError(f"{name} must hold floating-point numbers; got {tensor.dtype}: convert it")
        wrong = int((~torch.isfinite(tensor)).sum())
        if wrong:
            raise DataError(f"{name} holds NaN or infinite values in {wrong} of its {tensor.numel()} entries")


def probability_vectors(**tensors: Tensor) -> None:
    """Raise unless all tensors have one shape (*B, K) and hold probabilities that sum to one over K.

    The sums, taken in float64, may be off by 1e-6, or by 100 roundings of the dtype where that is more.

    Raises:
        UsageError: for other shapes, or integers.
        DataError: for a NaN, infinite or negative value, or a vector that does not sum to one.

    Example:
        >>> probability_vectors(p=torch.tensor([0.5, 0.4]))
        Traceback (most recent call last):
        latentia.errors.DataError: p must sum to one over its last dimension; got a sum of 0.9: divide by the sum
    """
    same_shape(**tensors)
    finite(**tensors)
    for name, tensor in tensors.items():
        if tensor.dim() == 0 or tensor.shape[-1] == 0:
            raise UsageError(
                f"{name} must have shape (*B, K) with K of at least 1; got {tuple(tensor.shape)}"
            )
        if bool((tensor < 0).any()):
            raise DataError(f"{name} must not hold negative mass; got {float(tensor.min()):.6g}")
        sums = tensor.detach().double().sum(-1).flatten()
        wrong = sums[(sums - 1).abs() > max(1e-6, 100 * torch.finfo(tensor.dtype).eps)]
        if len(wrong):
            of = f" (and {len(wrong) - 1} more of {len(sums)} vectors)" if len(wrong) > 1 else ""
            raise DataError(
                f"{name} must sum to one over its last dimension;"
                f" got a sum of {float(wrong[0]):.6g}{of}: divide by the sum"
            )
