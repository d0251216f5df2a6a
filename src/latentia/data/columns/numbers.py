"""Kinds of columns of numbers: real ones, whole ones, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from latentia.data.columns.column import Column
from latentia.data.columns.kind import Draws, Numbers
from latentia.data.columns.types import family_of, numbers_of, typed
from latentia.data.support import Support
from latentia.errors import DataError
from latentia.registry import column_kinds

if TYPE_CHECKING:
    import pandas as pd

EXACT = 2**53  # up to which float64 has every whole number
_SEVERAL = 0.01  # of the values: a bound that so many share is a wall, at which values pile up
_ENOUGH = 20  # values, from which they show that they are rounded
_MOST_DECIMALS = 6


@column_kinds.register("real")
class Real:
    """Numbers: written back with as many decimals as they had, between the smallest and the largest."""

    def learn(self, series: pd.Series, detail: str) -> dict[str, Any]:  # noqa: ARG002
        """Return bounds, and the number of decimals where 20 values or more have at most 6."""
        x = _present(series)
        decimals = _decimals(x, str(series.dtype)) if len(x) >= _ENOUGH else None
        return bounds(x) | ({} if decimals is None else {"decimals": decimals})

    def support(self, column: Column) -> Support | None:
        """Return real support."""
        return Support("real", missing=column.missing)

    def to_numbers(self, series: pd.Series, column: Column) -> Numbers:
        """Return the numbers."""
        return checked_numbers(series, column)

    def to_series(self, numbers: Numbers, column: Column, draws: Draws) -> pd.Series:  # noqa: ARG002
        """Return numbers inside the bounds, rounded."""
        x = inside(numbers, column.facts)
        if "decimals" in column.facts:
            x = inside(np.round(x, column.facts["decimals"]), column.facts)
        return typed(x, column)


@column_kinds.register("integer")
class Integer:
    """Whole numbers: written back on the smallest step seen, between the smallest and the largest."""

    def learn(self, series: pd.Series, detail: str) -> dict[str, Any]:  # noqa: ARG002
        """Return bounds and the smallest step: the greatest common divisor of all differences."""
        x = whole(series)
        steps = np.diff(np.unique(x).astype(np.int64))
        return bounds(x) | {"step": int(np.gcd.reduce(steps)) if len(steps) else 1}

    def support(self, column: Column) -> Support | None:
        """Return real support: the numbers are rounded when they are written back."""
        return Support("real", missing=column.missing)

    def to_numbers(self, series: pd.Series, column: Column) -> Numbers:
        """Return the numbers."""
        return checked_numbers(series, column)

    def to_series(self, numbers: Numbers, column: Column, draws: Draws) -> pd.Series:  # noqa: ARG002
        """Return numbers inside the bounds, on the step."""
        return typed(on_step(inside(numbers, column.facts), column.facts), column)


@column_kinds.register("count")
class Count:
    """Whole numbers from 0 on, without a largest: declared, never inferred."""

    def learn(self, series: pd.Series, detail: str) -> dict[str, Any]:  # noqa: ARG002
        """Return bounds: 0 and, to look at, the largest."""
        x = whole(series)
        if len(x) and x.min() < 0:
            raise DataError(f"column {str(series.name)!r} holds {x.min():.0f}, and counts are from 0 on")
        return {"low": 0, "most": int(x.max()) if len(x) else 0}

    def support(self, column: Column) -> Support | None:
        """Return real support: the numbers are rounded when they are written back."""
        return Support("real", missing=column.missing)

    def to_numbers(self, series: pd.Series, column: Column) -> Numbers:
        """Return the numbers."""
        return checked_numbers(series, column)

    def to_series(self, numbers: Numbers, column: Column, draws: Draws) -> pd.Series:  # noqa: ARG002
        """Return whole numbers from 0 on."""
        return typed(np.round(np.clip(numbers, 0, None)), column)


def checked_numbers(series: pd.Series, column: Column) -> Numbers:
    """Return a column's numbers.

    Raises:
        DataError: for values that are no numbers.
    """
    if family_of(series) not in ("integer", "float", "truth", "nothing"):
        given = next((value for value in series if value is not None and value == value), None)
        raise DataError(f"column {column.name!r} holds {given!r}, and numbers are expected there")
    return numbers_of(series)


def bounds(x: Numbers) -> dict[str, Any]:
    """Return the smallest and the largest of finite numbers, and which of them 1 % or more of the values share."""
    if not len(x):
        return {}
    low, high = x.min(), x.max()
    walls = [
        side for side, end in (("low", low), ("high", high)) if (x == end).sum() >= max(2, _SEVERAL * len(x))
    ]
    return {"low": _number(low), "high": _number(high)} | ({"walls": walls} if walls else {})


def inside(x: Numbers, facts: Mapping[str, Any]) -> Numbers:
    """Return numbers between the smallest and the largest seen.

    What lies beyond a bound that many values share takes its value; beyond another it is reflected, so that no value
    becomes more frequent than it was.
    """
    if "high" not in facts:
        return x
    low, high, walls = facts["low"], facts["high"], facts.get("walls", ())
    if "low" not in walls:
        x = np.where(x < low, 2 * low - x, x)
    if "high" not in walls:
        x = np.where(x > high, 2 * high - x, x)
    return np.clip(x, low, high)


def on_step(x: Numbers, facts: Mapping[str, Any]) -> Numbers:
    """Return the nearest numbers that are whole steps above the smallest."""
    low, step = facts.get("low", 0), facts.get("step", 1)
    return low + step * np.round((x - low) / step)


def whole(series: pd.Series) -> Numbers:
    """Return the whole numbers of a column, without gaps.

    Raises:
        DataError: for other values, and for whole numbers that float64 does not have.
    """
    x = _present(series)
    name = str(series.name)
    if (x != np.round(x)).any():
        raise DataError(
            f"column {name!r} holds {x[x != np.round(x)][0]:g}, and whole numbers are expected there"
        )
    if len(x) and np.abs(x).max() > EXACT:
        raise DataError(
            f"column {name!r} holds whole numbers beyond 2^53, which no model reads exactly as numbers: "
            f"declare it an id, categorical or real, or drop it (--columns {name}=id)"
        )
    return x


def _present(series: pd.Series) -> Numbers:
    if family_of(series) not in ("integer", "float", "truth", "nothing"):
        given = next((value for value in series if value is not None and value == value), None)
        raise DataError(f"column {str(series.name)!r} holds {given!r}, and numbers are expected there")
    x = numbers_of(series)
    return x[np.isfinite(x)]


def _decimals(x: Numbers, dtype: str) -> int | None:
    """Return the least number of decimals that all numbers have; None where there are more than 6."""
    kind = np.float32 if "float32" in dtype.lower() or dtype == "float[pyarrow]" else np.float64
    ulp = np.spacing(np.abs(x).astype(kind)).astype(np.float64)
    for decimals in range(_MOST_DECIMALS + 1):
        if 10.0**-decimals < 100 * ulp.max():  # coarser numbers are round to so many decimals by themselves
            return None
        some = slice(0, 100)
        if all(_is_round(x[part], ulp[part], decimals) for part in (some, slice(None))):
            return decimals
    return None


def _is_round(x: Numbers, ulp: Numbers, decimals: int) -> bool:
    return bool((np.abs(np.round(x, decimals) - x) <= 2 * ulp).all())


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() and abs(value) <= EXACT else float(value)
