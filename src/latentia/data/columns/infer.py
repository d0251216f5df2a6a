"""What the columns of a frame are: as declared, or inferred conservatively."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from latentia.data.columns.column import Column
from latentia.data.columns.dates import is_compact, written_formats
from latentia.data.columns.ids import ENOUGH, is_id
from latentia.data.columns.kind import Numbers
from latentia.data.columns.numbers import EXACT
from latentia.data.columns.types import family_of, name_of, numbers_of, plain, type_of
from latentia.errors import DataError, DataWarning
from latentia.registry import check_name, column_kinds

if TYPE_CHECKING:
    import pandas as pd

_SOME = 1000  # values that are looked at before all are
_SPIKE = 0.2  # of the values: a share that is said
_PROSE = 4.0  # words in a value, on average, from which different values are free text
_ADVICE = "convert it, or leave it out with --columns {name}=drop (columns={{{name!r}: 'drop'}})"


def infer_columns(
    frame: pd.DataFrame, declared: Mapping[str, str] | None = None, *, facts: bool = True
) -> tuple[Column, ...]:
    """Return what the columns of a frame are, in their order.

    Args:
        frame: the table.
        declared: by column, a kind of `column_kinds`, which may have details after a colon:
            ``"datetime:%d/%m/%Y"``, ``"ordinal:small,medium,large"``, ``"categorical:a,b"``.
        facts: note the number of gaps and of distinct values, and values that many rows share.

    Raises:
        UnknownNameError: for a column or a kind that is not there.
        DataError: for values that are not of the declared kind, or of which no kind is known.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"age": [31, 45, 31], "town": ["Ulm", "Bonn", None], "member": [True, False, True]})
        >>> [(column.name, column.kind, column.missing) for column in infer_columns(frame)]
        [('age', 'integer', False), ('town', 'categorical', True), ('member', 'boolean', False)]
    """
    declared = {str(name): kind for name, kind in (declared or {}).items()}
    names = column_names(frame)
    for name, kind in declared.items():
        check_name("column", name, names)
        check_name(column_kinds.what, kind.partition(":")[0], column_kinds)
    return tuple(
        _column(frame.iloc[:, place], name, place, declared.get(name, ""), noting=facts)
        for place, name in enumerate(names)
    )


def column_names(frame: pd.DataFrame) -> list[str]:
    """Return the names of a frame's columns as different strings: a second a is a.1."""
    seen, names = Counter[str](), list[str]()
    labels = [str(label) for label in frame.columns]
    for label in labels:
        name = label
        while name in names or (seen[label] and name in labels):
            seen[label] += 1
            name = f"{label}.{seen[label]}"
        seen[label] += name == label
        names.append(name)
    return names


def _column(series: pd.Series, name: str, place: int, declared: str, *, noting: bool) -> Column:
    label = series.name
    series = series.rename(name)
    kind, _, detail = declared.partition(":")
    kind = kind or inferred_kind(series, place)
    column = Column(name, kind, _type(series, kind), bool(series.isna().any()))
    facts = column_kinds[kind]().learn(series, detail)
    marked = {"declared": True} if declared else {}
    notes = dict(_notes(series)) if noting else {}
    return with_label(replace(column, facts=facts | marked | notes), label)


def inferred_kind(series: pd.Series, place: int) -> str:
    """Return the kind that a column's values show.

    Raises:
        DataError: for values of which no kind is known.
    """
    family, present = family_of(series), series.dropna()
    if family == "nothing" or not len(present) or _is_constant(present, family):
        return "constant"
    match family:
        case "truth":
            return "boolean"
        case "category":
            return (
                "ordinal"
                if getattr(series, "cat", None) is not None and series.cat.ordered
                else "categorical"
            )
        case "date":
            return "datetime"
        case "integer" | "float":
            return _of_numbers(series, present, family, place)
        case "words":
            return _of_words(series, present, place)
        case _:
            raise DataError(_unknown(present, family))


def _is_constant(present: pd.Series, family: str) -> bool:
    """Whether all values are one, or differ by less than float64 resolves at their size."""
    try:
        if len(present.iloc[:_SOME].unique()) == 1 and len(present.unique()) == 1:
            return True
    except TypeError:  # lists and the like
        return False
    if family != "float":
        return False
    x = numbers_of(present)
    size = np.abs(x).max()
    return bool(np.isfinite(size) and x.std() < np.spacing(size))


def _of_numbers(series: pd.Series, present: pd.Series, family: str, place: int) -> str:
    x = numbers_of(present)
    if family == "float" and (len(x) == len(series) or not _is_whole(x)):
        return "real"
    if x.min() == 0 and x.max() == 1:
        return "boolean"
    if is_id(series, place):
        return "id"
    if 19000101 <= x.min() <= x.max() <= 20991231 and is_compact(present):
        return "datetime"
    return "integer"


def _is_whole(x: Numbers) -> bool:
    """Whether numbers are whole ones, which pandas has made floats of because others are missing."""
    return bool(np.isfinite(x).all() and (x == np.round(x)).all() and np.abs(x).max() <= EXACT)


def _of_words(series: pd.Series, present: pd.Series, place: int) -> str:
    formats = written_formats(present)
    if len(formats) == 1:
        return "datetime"
    if formats:
        first, fits = present.iloc[0], " and ".join(formats)
        note = f"column {present.name!r}, with {first!r}, fits {fits}, and is not read as dates: say which it is, as in"
        warnings.warn(f"{note} --columns {present.name}=datetime:{formats[0]}", DataWarning, stacklevel=2)
    if is_id(series, place):
        return "id"
    return "text" if _is_text(present) else "categorical"


def _is_text(present: pd.Series) -> bool:
    """Whether words are free text: half of the values or more differ, and they are sentences, or nearly all differ."""
    share = present.nunique() / len(present)
    if len(present) < ENOUGH or share < 0.5:
        return False
    some = present.iloc[:_SOME].astype(str)
    return bool(share > 0.95 or some.str.count(r"\s+").mean() + 1 >= _PROSE)


def _unknown(present: pd.Series, family: str) -> str:
    kinds = {type(value).__name__ for value in present.iloc[:_SOME]}
    several = f"values of different types, {' and '.join(sorted(kinds))}"
    mixed = "mixed" in family
    what = several if mixed and len(kinds) > 1 else f"{kinds.pop() if mixed else family} values"
    first = present.iloc[0]
    first = first.item() if isinstance(first, np.generic) else first
    return f"column {present.name!r} holds {what}, first {first!r}: {_ADVICE.format(name=present.name)}"


def _type(series: pd.Series, kind: str) -> str:
    """Return the type to give values back in: of Python objects that are numbers, that of their column."""
    dtype, family = type_of(series), family_of(series)
    if dtype != "object" or kind in ("id", "text") or family not in ("integer", "float"):
        return dtype
    if family == "float":
        return "float64"
    big = any(not -(2**63) <= value < 2**63 for value in series.dropna())
    return "object" if big else "Int64" if series.isna().any() else "int64"


def _notes(series: pd.Series) -> Iterator[tuple[str, Any]]:
    """Yield what a look at the column shows: gaps, distinct values, and the value of many rows."""
    import pandas as pd

    yield "rows", len(series)
    gaps = int(series.isna().sum())
    if gaps:
        yield "gaps", gaps
    try:
        codes, found = pd.factorize(series)
    except TypeError:
        return
    yield "distinct", len(found)
    if len(found) > 1 and len(codes) - gaps:
        counts = np.bincount(codes[codes >= 0])
        share = counts.max() / (len(codes) - gaps)
        if share >= _SPIKE:
            yield "spike", [name_of(plain(found[counts.argmax()])), round(float(share), 4)]


def with_label(column: Column, label: Any) -> Column:
    """Return a column with the name that its frame has for it, where that is no string or not the only one."""
    facts = {key: value for key, value in column.facts.items() if key != "label"}
    if isinstance(label, tuple):
        return replace(column, facts=facts | {"label": list(map(plain, label))})
    value = plain(label)
    return replace(column, facts=facts | ({} if value == column.name else {"label": value}))
