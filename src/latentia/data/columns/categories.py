"""Kinds of columns of categories: truth values, categories without order, and with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from latentia.data.columns.column import Column
from latentia.data.columns.kind import Draws, Numbers
from latentia.data.columns.types import name_of, numbers_of, plain, typed
from latentia.data.support import Support
from latentia.errors import DataError
from latentia.registry import column_kinds

if TYPE_CHECKING:
    import pandas as pd

MOST = 100  # categories that a column keeps apart; rarer ones share one
_KEPT = 10_000  # of those that share one, so many are known by name, the most frequent


@column_kinds.register("boolean")
class Boolean:
    """Two values, such as False and True or 0 and 1."""

    def learn(self, series: pd.Series, detail: str) -> dict[str, Any]:
        """Return the two values, in the order of their numbers."""
        values = _listed(detail, series) if detail else _in_order(series)
        if not 1 <= len(values) <= 2:
            raise DataError(
                f"column {str(series.name)!r} has {len(values)} different values, and a boolean has two"
            )
        both = {False, True} if set(values) <= {False, True} else set(values)
        return {"values": sorted(both) if not detail else values}

    def support(self, column: Column) -> Support | None:
        """Return binary support."""
        return Support("binary", missing=column.missing)

    def to_numbers(self, series: pd.Series, column: Column) -> Numbers:
        """Return 0 and 1."""
        if str(series.dtype) in ("bool", "boolean"):
            return numbers_of(series)
        return numbered(series, column)

    def to_series(self, numbers: Numbers, column: Column, draws: Draws) -> pd.Series:  # noqa: ARG002
        """Return the values of 0 and 1."""
        return _written(numbers, column, column.facts["values"])


@column_kinds.register("categorical")
class Categorical:
    """Values without order; where there are more than 100, the rare ones share a category.

    A value of the shared category is drawn, when it is written back, by how frequent each was.
    """

    def learn(self, series: pd.Series, detail: str) -> dict[str, Any]:
        """Return the values, the most frequent 99 and the others where there are more than 100."""
        if detail:
            return {"values": _listed(detail, series)}
        values = _in_order(series)
        kept = _type_facts(series)
        if len(values) <= MOST:
            return {"values": list(map(plain, values)), **kept}
        return {**_grouped(series, values), **kept}

    def support(self, column: Column) -> Support | None:
        """Return categorical support."""
        return Support("categorical", max(2, len(category_names(column))), missing=column.missing)

    def to_numbers(self, series: pd.Series, column: Column) -> Numbers:
        """Return the numbers of the categories."""
        return numbered(series, column)

    def to_series(self, numbers: Numbers, column: Column, draws: Draws) -> pd.Series:
        """Return the categories."""
        values, others = column.facts["values"], column.facts.get("others", [])
        if others:
            numbers = _drawn(numbers, len(values), column.facts["counts"], draws)
        return _written(numbers, column, [*values, *others])


@column_kinds.register("ordinal")
class Ordinal:
    """Categories in an order: ordered categories of pandas, or numbers or words declared to be so."""

    def learn(self, series: pd.Series, detail: str) -> dict[str, Any]:
        """Return the values in their order."""
        if detail:
            return {"values": _listed(detail, series)}
        values = _in_order(series)
        named = not hasattr(series, "cat") and any(isinstance(value, str) for value in values)
        if named:
            raise DataError(
                f"the order of the words in column {str(series.name)!r} is not known: declare it, as in "
                f"{series.name}=ordinal:{','.join(map(str, values[:3]))}"
            )
        return {"values": list(map(plain, values)), **_type_facts(series)}

    def support(self, column: Column) -> Support | None:
        """Return discrete support: ranks from 0."""
        return Support("discrete", max(2, len(column.facts["values"])), missing=column.missing)

    def to_numbers(self, series: pd.Series, column: Column) -> Numbers:
        """Return ranks."""
        return numbered(series, column)

    def to_series(self, numbers: Numbers, column: Column, draws: Draws) -> pd.Series:  # noqa: ARG002
        """Return the categories of the nearest ranks."""
        return _written(numbers, column, column.facts["values"])


def category_names(column: Column) -> tuple[str, ...]:
    """Return the names of a column's categories in the order of their numbers; none for other kinds.

    Example:
        >>> facts = {"values": [1, 2], "others": [7], "counts": [3]}
        >>> category_names(Column("zip", "categorical", "int64", facts=facts))
        ('1', '2', 'other')
    """
    if column.kind not in ("categorical", "ordinal"):
        return ()
    names = [name_of(value) for value in column.facts["values"]]
    if column.facts.get("others"):
        taken = {*names, *map(name_of, column.facts["others"])}
        names.append(next(name for name in ("other", "(other)", "((other))") if name not in taken))
    return tuple(names)


def numbered(series: pd.Series, column: Column) -> Numbers:
    """Return the numbers of a column's categories, NaN for gaps; each distinct value is looked up once.

    Raises:
        DataError: for a value that is none of them.
    """
    import pandas as pd

    codes, found = pd.factorize(series)
    values = list(enumerate(column.facts["values"]))
    places = {name_of(value): place for place, value in values}
    places |= {str(int(value)): place for place, value in values if isinstance(value, bool)}
    shared = float(len(values)) if column.facts.get("others") else np.nan
    numbers = np.array([places.get(name_of(value), shared) for value in found] + [np.nan])
    strange = [value for value, number in zip(found, numbers[:-1], strict=True) if np.isnan(number)]
    if strange:
        raise DataError(_strange(strange, column))
    return numbers[codes].astype(np.float64)  # a gap's code is −1, the last


def _strange(strange: Sequence[Any], column: Column) -> str:
    known = ", ".join(map(str, column.facts["values"][:20]))
    more = ", ..." if len(column.facts["values"]) > 20 else ""
    values = " and ".join(repr(plain(value)) for value in strange[:3])
    count = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
    return f"column {column.name!r} holds {values}{count}, which is none of its categories: {known}{more}"


def _in_order(series: pd.Series) -> list[Any]:
    """Return the distinct values that occur: in the order of pandas' categories, or sorted."""
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        codes = np.unique(series.cat.codes.to_numpy())
        return [series.cat.categories[code] for code in codes if code >= 0]
    found = pd.factorize(series)[1]
    return sorted(map(plain, found), key=lambda value: (isinstance(value, str), value))


def _type_facts(series: pd.Series) -> dict[str, Any]:
    """Return what pandas' categorical type is besides the values that occur: all its categories, and their order."""
    import pandas as pd

    if not isinstance(series.dtype, pd.CategoricalDtype):
        return {}
    every = list(map(plain, series.cat.categories))
    unused = {"categories": every} if len(every) > series.nunique() else {}
    return unused | ({"ordered": True} if series.cat.ordered else {})


def _grouped(series: pd.Series, values: Sequence[Any]) -> dict[str, Any]:
    """Return the most frequent values in their order, the others by frequency, and how many of these there are."""
    counts = series.value_counts(sort=True)
    frequent = set(counts.index[: MOST - 1])
    others = counts.iloc[MOST - 1 : MOST - 1 + _KEPT]
    return {
        "values": [plain(value) for value in values if value in frequent],
        "others": list(map(plain, others.index)),
        "counts": others.to_list(),
        "shared": len(counts) - MOST + 1,
    }


def _listed(detail: str, series: pd.Series) -> list[Any]:
    """Return the values that a user has listed, in the column's own type."""
    known = {name_of(value): plain(value) for value in _in_order(series)}
    number = all(isinstance(value, int | float) for value in known.values())
    names = detail.split(",")
    strange = [name for name in known if name not in names]
    if strange:
        raise DataError(
            f"column {str(series.name)!r} holds {strange[0]!r}, which is none of {', '.join(names)}"
        )
    return [known.get(name, _as_number(name) if number else name) for name in names]


def _as_number(name: str) -> Any:
    try:
        return int(name)
    except ValueError:
        return name


def _drawn(numbers: Numbers, shared: int, counts: Sequence[int], draws: Draws) -> Numbers:
    """Return numbers with one of those that share a category, by their frequencies, in its place."""
    places = np.flatnonzero(np.round(numbers) >= shared)
    weights = np.asarray(counts, dtype=np.float64)
    chosen = draws.numpy().choice(len(counts), len(places), p=weights / weights.sum())
    numbers = numbers.copy()
    numbers[places] = shared + chosen
    return numbers


def _written(numbers: Numbers, column: Column, values: Sequence[Any]) -> pd.Series:
    """Return the values of numbers, the nearest there are, in a column's type."""
    import pandas as pd

    gaps = np.isnan(numbers)
    codes = np.clip(np.round(np.where(gaps, 0, numbers)), 0, len(values) - 1).astype(np.int64)
    codes[gaps] = -1
    if column.dtype == "category":
        return _as_category(codes, values, column.facts)
    return typed(pd.Series(pd.Categorical.from_codes(codes, categories=_index(values))), column)


def _as_category(codes: np.ndarray, values: Sequence[Any], facts: Mapping[str, Any]) -> pd.Series:
    import pandas as pd

    categories = facts.get("categories", values)
    places = np.array([*(categories.index(value) for value in values), -1])
    given = pd.Categorical.from_codes(
        places[codes], categories=_index(categories), ordered=facts.get("ordered", False)
    )
    return pd.Series(given)


def _index(values: Sequence[Any]) -> pd.Index:
    """Return distinct values as an index; True and 1, which are equal, stay apart from text alone."""
    import pandas as pd

    return pd.Index(list(values))
