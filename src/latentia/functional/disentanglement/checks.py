"""Checks of the arguments of the disentanglement functions: codes, factors, matrices of scores."""

from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import point_sets


def coded_factors(codes: Tensor, factors: Tensor) -> None:
    """Raise unless codes are (n, d) finite points, and factors integers (n, F) from 0, each with at least two values.

    Raises:
        UsageError: for other shapes, or factors that are not integers.
        DataError: for a code that is not finite, a negative factor, or a factor with one value only.
    """
    point_sets(codes=codes)
    integers_from_zero(factors=factors)
    if len(codes) != len(factors):
        raise UsageError(f"codes and factors must be of the same rows; got {len(codes)} and {len(factors)}")
    constant = (factors == factors[0]).all(0).nonzero().flatten().tolist()
    if constant:
        raise DataError(f"factor {constant[0]} has one value in all {len(factors)} rows: leave it out")


def integers_from_zero(**tensors: Tensor) -> None:
    """Raise unless every tensor holds rows (n, k) of integers from 0, with n and k of at least 1.

    Raises:
        UsageError: for other shapes, or floating-point numbers.
        DataError: for negative entries.
    """
    for name, tensor in tensors.items():
        if tensor.dim() != 2 or not tensor.numel():
            raise UsageError(f"{name} must have shape (n, k), n and k at least 1; got {tuple(tensor.shape)}")
        if tensor.is_floating_point():
            raise UsageError(
                f"{name} must hold integers from 0; got {tensor.dtype}: encode the values as indices"
            )
        if int(tensor.min()) < 0:
            raise DataError(f"{name} must be integers from 0; got {int(tensor.min())}")


def matrix(at_least: tuple[int, int], **tensors: Tensor) -> None:
    """Raise unless every tensor is a finite, non-negative matrix of codes by factors, of at least the given size.

    Raises:
        UsageError: for other shapes, or a matrix that is too small.
        DataError: for an entry that is NaN, infinite or negative.
    """
    for name, tensor in tensors.items():
        shape = tuple(tensor.shape)
        if len(shape) != 2 or shape[0] < at_least[0] or shape[1] < at_least[1]:
            raise UsageError(
                f"{name} must have shape (d, F) with at least {at_least[0]} codes and {at_least[1]} factors; "
                f"got {shape}"
            )
        if not bool(tensor.isfinite().all()) or float(tensor.detach().min()) < 0:
            raise DataError(f"{name} must be finite and not negative")
