"""Kinds of columns whose values are no part of the rows that a model is fitted to: ids, constants, free text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latentia.data.columns.column import Column
from latentia.data.columns.ids import form_of, made
from latentia.data.columns.kind import Draws, Numbers
from latentia.data.columns.types import plain, typed
from latentia.data.support import Support
from latentia.registry import column_kinds

if TYPE_CHECKING:
    import pandas as pd


class _Presence:
    """What kinds have in common of which, where some are missing, only whether one is there is modelled, as 0 or 1."""

    def support(self, column: Column) -> Support | None:
        """Return binary support where some are missing: whether one is there."""
        return Support("binary") if column.missing and column.facts.get("value", "") is not None else None

    def to_numbers(self, series: pd.Series, column: Column) -> Numbers:  # noqa: ARG002
        """Return 1 where a value is there, 0 where it is missing."""
        return series.notna().to_numpy(dtype=np.float64)

    def there(self, values: pd.Series, numbers: Numbers, column: Column) -> pd.Series:
        """Return values where the numbers are 1; all of a column of which none are missing."""
        if self.support(column) is None:
            return values
        return values.where(np.round(np.nan_to_num(numbers)) > 0, None)


class _Unmodelled:
    """What kinds that are not modelled have in common."""

    def learn(self, series: pd.Series, detail: str) -> dict[str, Any]:  # noqa: ARG002
        """Return nothing."""
        return {}

    def support(self, column: Column) -> Support | None:  # noqa: ARG002
        """Return None."""
        return None

    def to_numbers(self, series: pd.Series, column: Column) -> Numbers:  # noqa: ARG002
        """Return NaN for each row."""
        return np.full(len(series), np.nan)

    def to_series(self, numbers: Numbers, column: Column, draws: Draws) -> pd.Series:  # noqa: ARG002
        """Return gaps."""
        return typed(_repeated(None, len(numbers)), column)


@column_kinds.register("id")
class Id(_Presence):
    """Names of rows: not modelled; written back as new ones of the same form, each once.

    Where some rows have none, whether there is one is modelled as 0 and 1.
    """

    def learn(self, series: pd.Series, detail: str) -> dict[str, Any]:  # noqa: ARG002
        """Return the form: numbers that go on, words with a number, UUIDs, or a pattern of characters."""
        return {"form": form_of(series)}

    def to_series(self, numbers: Numbers, column: Column, draws: Draws) -> pd.Series:
        """Return new names."""
        import pandas as pd

        names = pd.Series(made(column.facts["form"], len(numbers), column.name, draws), dtype=object)
        return typed(self.there(names, numbers, column), column)


@column_kinds.register("constant")
class Constant(_Presence):
    """One value, or none at all: written back. Where it stands in some rows only, that is modelled as 0 and 1."""

    def learn(self, series: pd.Series, detail: str) -> dict[str, Any]:  # noqa: ARG002
        """Return the value; None where all are missing."""
        present = series.dropna()
        if not len(present):
            return {"value": None}
        middle = present if series.dtype.kind not in "fiu" else present.sort_values(ignore_index=True)
        return {"value": plain(middle.iloc[len(middle) // 2])} | _categories(series)

    def to_series(self, numbers: Numbers, column: Column, draws: Draws) -> pd.Series:  # noqa: ARG002
        """Return the value in each row, or where the number is 1."""
        import pandas as pd

        value = column.facts["value"]
        series = self.there(_repeated(value, len(numbers)), numbers, column)
        if column.dtype == "category":
            categories = column.facts.get("categories", [] if value is None else [value])
            return series.astype(pd.CategoricalDtype(categories, column.facts.get("ordered", False)))
        return typed(series, column)


@column_kinds.register("text")
class Text(_Unmodelled):
    """Free text: left out, and written back as gaps."""


@column_kinds.register("drop")
class Drop(_Unmodelled):
    """A column that is left out, and not written back."""


def _repeated(value: Any, n: int) -> pd.Series:
    import pandas as pd

    return pd.Series([value] * n, dtype=object)


def _categories(series: pd.Series) -> dict[str, Any]:
    import pandas as pd

    if not isinstance(series.dtype, pd.CategoricalDtype):
        return {}
    ordered = {"ordered": True} if series.cat.ordered else {}
    return {"categories": list(map(plain, series.cat.categories)), **ordered}
