"""The units that models read a table in: offsets and scales, so that float32 loses nothing of numbers far from 0."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from latentia.data.rows import Rows
from latentia.errors import DataWarning

_BLOCK = 1 << 22  # entries
_FAR = 64.0  # standard deviations from 0, from which a mean is subtracted: nearer, float32 keeps five digits
_LOST = 1e-4  # of the mean: a spread of which float32 would keep less than three digits
_LEAST, _MOST = 1e-6, 1e6  # standard deviations of columns that keep their unit


def in_own_units(rows: Rows) -> Rows:
    """Return rows of a table, in memory or a mapped file, with the offsets and scales that models read them by.

    A column of real numbers whose mean is more than 64 standard deviations from 0 is read less its mean, rounded to a
    power of two; one with a standard deviation below 1e-6 or above 1e6, in a unit that is a power of two. Both are
    exact in float64. A `DataWarning` names the columns that float32 alone would have blurred.

    Example:
        >>> from latentia.data.spec import DataSpec, Support
        >>> years = torch.tensor([[2000.0, 0.0], [2002.0, 1.0]], dtype=torch.float64)
        >>> in_own_units(Rows(years, DataSpec((2,), Support("real")))).spec.offsets
        (2001.0, 0.0)
    """
    spec, store = rows.spec, rows.store
    if len(spec.event_shape) != 1 or not isinstance(store, Tensor) or store.dtype == torch.bool:
        return rows
    supports = spec.support.columns or (spec.support,) * spec.size
    real = [support.kind == "real" for support in supports]
    if not any(real):
        return rows
    mean, spread, first = moments(store)
    offsets = [
        _offset(*each) if is_real else 0.0 for is_real, *each in zip(real, mean, spread, first, strict=True)
    ]
    scales = [_scale(each) if is_real else 1.0 for is_real, each in zip(real, spread, strict=True)]
    _say([j for j, each in enumerate(offsets) if each and spread[j] < _LOST * abs(mean[j])], rows)
    return replace(
        rows,
        spec=replace(
            spec,
            offsets=tuple(offsets) if any(offsets) else (),
            scales=tuple(scales) if set(scales) != {1.0} else (),
        ),
    )


def moments(x: Tensor) -> tuple[list[float], list[float], list[float]]:
    """Return each column's mean, standard deviation and first value, gaps left out, in one pass over blocks.

    The sums are about the first values, so that no digits are lost where these are large.

    Args:
        x: (n, D) numbers, NaN where one is missing.
    """
    first = _first(x)
    count, total, square = (torch.zeros(x.shape[1], dtype=torch.float64) for _ in range(3))
    for block in x.split(max(1, _BLOCK // x.shape[1])):
        centred = block.double() - first
        there = ~centred.isnan()
        centred = centred.nan_to_num(0.0, posinf=0.0, neginf=0.0)
        count += there.sum(0)
        total += centred.sum(0)
        square += centred.square().sum(0)
    shift = total / count.clamp_min(1)
    variance = (square / count.clamp_min(1) - shift.square()).clamp_min(0)
    return (first + shift).tolist(), variance.sqrt().tolist(), first.tolist()


def _first(x: Tensor) -> Tensor:
    """Return the first value of each column that is not missing; 0 where all of the first rows are."""
    head = x[: max(1, _BLOCK // x.shape[1])].double()
    there = head.isfinite()
    values = head.gather(0, there.int().argmax(0, keepdim=True))[0]
    return torch.where(there.any(0), values, 0.0)


def _offset(mean: float, spread: float, first: float) -> float:
    """Return a mean rounded to a power of two where it is far from 0; of a constant, the value that float32 has not."""
    if spread == 0 or not math.isfinite(spread):
        exact = torch.tensor(first, dtype=torch.float32).item() == first
        return 0.0 if exact or not math.isfinite(first) else first
    if abs(mean) <= _FAR * spread:
        return 0.0
    step = 2.0 ** math.floor(math.log2(spread))
    return round(mean / step) * step


def _scale(spread: float) -> float:
    if spread == 0 or not math.isfinite(spread) or _LEAST <= spread <= _MOST:
        return 1.0
    return 2.0 ** round(math.log2(spread))


def _say(blurred: Sequence[int], rows: Rows) -> None:
    """Name the columns whose spread is small compared with their mean."""
    if not blurred:
        return
    names = [rows.spec.columns[j] if rows.spec.columns else str(j) for j in blurred]
    shown = ", ".join(names[:8]) + ", ..." * (len(names) > 8)
    warnings.warn(
        f"{rows.name}: the spread of column{'s' * (len(names) > 1)} {shown} is small beside the mean, "
        "which is subtracted in float64 and added again to samples",
        DataWarning,
        stacklevel=2,
    )
