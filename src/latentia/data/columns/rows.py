"""Frames as natural rows, and natural rows as frames."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from latentia.data.columns.column import Column
from latentia.data.columns.infer import column_names
from latentia.data.columns.kind import Draws, Numbers, kind_of, modelled, support_of
from latentia.data.columns.types import name_of, plain
from latentia.data.support import Support
from latentia.errors import DataError, DataWarning

if TYPE_CHECKING:
    import pandas as pd

    from latentia.data.spec import DataSpec

_UNNEEDED = ("id", "text", "drop", "constant")  # which held-out rows may lack


def natural(frame: pd.DataFrame, columns: Sequence[Column]) -> Numbers:
    """Return the (n, D) numbers of a frame's modelled columns, NaN for gaps.

    Args:
        frame: has the columns, by name and in any order.
        columns: what they are, as `infer_columns` says; those that are not modelled are left out.

    Raises:
        DataError: for a column that is not there, and values that are not of their column's kind.

    Example:
        >>> import pandas as pd
        >>> from latentia.data.columns.infer import infer_columns
        >>> frame = pd.DataFrame({"town": ["Ulm", "Bonn", None], "age": [31, 45, 33]})
        >>> natural(frame, infer_columns(frame)).tolist()
        [[1.0, 31.0], [0.0, 45.0], [nan, 33.0]]
    """
    places = {name: place for place, name in enumerate(column_names(frame))}
    wanted = modelled(tuple(columns))
    x = np.empty((len(frame), len(wanted)))
    for j, column in enumerate(wanted):
        if column.name not in places:
            raise DataError(f"the column {column.name!r} is missing; there are: {', '.join(places)}")
        x[:, j] = kind_of(column).to_numbers(frame.iloc[:, places[column.name]], column)
    return x


def support_of_rows(columns: Sequence[Column]) -> Support:
    """Return the support of natural rows: of one kind where all columns are of it, else that of a table."""
    supports = [support for support in map(support_of, columns) if support is not None]
    different = {(support.kind, support.missing) for support in supports}
    if len(different) == 1 and supports[0].kind in ("real", "binary"):
        return supports[0]
    return Support("table", columns=tuple(supports))


def frame_of(
    x: Tensor | Numbers, spec: DataSpec, known: Mapping[str, Any] | None = None, draws: Draws | None = None
) -> pd.DataFrame:
    """Return natural rows as a frame like the one that was read: the same columns, types, categories and rounding.

    Args:
        x: (n, D) natural rows, NaN for gaps.
        spec: whose ``table`` says what the columns are.
        known: by attribute, what is known of the rows besides: numbers of classes, real values, as rows keep them.
            Columns of labels and conditions that are not there are left out.
        draws: where ids and rare categories come from.

    Example:
        >>> import pandas as pd
        >>> from latentia.data.read import read_rows
        >>> frame = pd.DataFrame({"id": range(20), "size": [1.5, 2.5] * 10, "kind": ["a", "b"] * 10})
        >>> rows = read_rows(frame, columns={"id": "id"})
        >>> frame_of(rows.x[:2], rows.spec).values.tolist()
        [[20, 1.5, 'a'], [21, 2.5, 'b']]
    """
    import pandas as pd

    values = np.asarray(x.detach().cpu().double() if isinstance(x, Tensor) else x)
    series = dict(_series(values, spec, known or {}, draws or Draws()))
    by_name = {column.name: column for column in spec.table}
    frame = pd.concat(series.values(), axis=1) if series else pd.DataFrame(index=range(len(values)))
    labels = [by_name[name].label for name in series]
    frame.columns = pd.MultiIndex.from_tuples(labels) if _are_tuples(labels) else pd.Index(labels)
    return frame


def _series(
    x: Numbers, spec: DataSpec, known: Mapping[str, Any], draws: Draws
) -> Iterator[tuple[str, pd.Series]]:
    """Yield the columns of a frame by name."""
    places = {column.name: j for j, column in enumerate(modelled(spec.table))}
    nothing = np.full(len(x), np.nan)
    labels = {} if spec.label is None else {"label": spec.label.name}
    for column in spec.table:
        attribute = labels.get(column.role, column.name)
        if column.kind == "drop" or (column.role and attribute not in known):
            continue
        given = _numbers(known[attribute]) if column.role else nothing
        numbers = x[:, places[column.name]] if column.name in places else given
        yield column.name, kind_of(column).to_series(numbers, column, draws)


def _numbers(values: Any) -> Numbers:
    """Return what is known of rows as one number each: of weights of categories, the heaviest one's."""
    x = np.asarray(values.cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
    return x.argmax(1).astype(np.float64) if x.ndim == 2 else x


def _are_tuples(labels: Sequence[Any]) -> bool:
    return bool(labels) and all(isinstance(label, tuple) for label in labels)


def matched(frame: pd.DataFrame, spec: DataSpec, name: str = "data") -> pd.DataFrame:
    """Return the columns of a frame that a spec's table has, by name and in its order.

    Columns beyond these are left out with a note, and another order is noted too. Ids, constants and other columns that
    are not modelled may be missing, and so may the label.

    Raises:
        DataError: for a frame without one of the columns, or with another value of one that is constant.

    Example:
        >>> import pandas as pd
        >>> from latentia.data.read import read_rows
        >>> frame = pd.DataFrame({"a": [1.5, 2.5], "b": [3.0, 1.0]})
        >>> list(matched(frame, read_rows(frame).spec))
        ['a', 'b']
    """
    places = {found: place for place, found in enumerate(column_names(frame))}
    ours = {column.name: column for column in spec.table}
    needed = [
        column.name
        for column in spec.table
        if support_of(column) or (column.kind not in _UNNEEDED and not column.role)
    ]
    absent = [each for each in needed if each not in places]
    foreign = [each for each in places if each not in ours]
    if absent:
        raise DataError(_other(absent, foreign, name))
    kept = [each for each in places if each in ours]
    if kept != [each for each in ours if each in places]:
        note = f"the columns of {name} stand in another order than the run's: they are matched by name"
        warnings.warn(note, DataWarning, stacklevel=2)
    if foreign:
        note = f"{name} has columns that were not fitted, which are left out: {', '.join(foreign)}"
        warnings.warn(note, DataWarning, stacklevel=2)
    found = frame.iloc[:, [places[each] for each in ours if each in places]]
    for place, each in enumerate(each for each in ours if each in places):
        _check_constant(found.iloc[:, place], ours[each], name)
    return found


def _check_constant(series: pd.Series, column: Column, name: str) -> None:
    """Raise `DataError` where a column that had one value in all rows that were fitted has another."""
    value = column.facts.get("value")
    if column.kind != "constant" or column.role or value is None or isinstance(value, float):
        return
    strange = [each for each in series.dropna().unique() if name_of(plain(each)) != name_of(value)]
    if strange:
        raise DataError(
            f"column {column.name!r} of {name} holds {plain(strange[0])!r}; "
            f"it is {value!r} in all rows that were read before, and no model knows other values"
        )


def _other(absent: Sequence[str], foreign: Sequence[str], name: str) -> str:
    there = f"; it has {', '.join(map(repr, foreign))} in addition" if foreign else ""
    plural = "s" * (len(absent) > 1)
    return f"{name} lacks the column{plural} {', '.join(map(repr, absent))} of the rows that it is to be like{there}"


def unmodelled_note(columns: Sequence[Column]) -> str:
    """Return the line that says what was inferred to be no part of the rows, or to be grouped; empty for nothing.

    Example:
        >>> unmodelled_note([Column("b", "constant", "float64", facts={"value": 2.5})])
        "'b' is always 2.5 (not modelled, written back)"
    """
    said = [
        (column, _told(column)) for column in columns if not column.facts.get("declared") and not column.role
    ]
    said = [(column, why) for column, why in said if why]
    changed = next((column.name for column, _ in said if column.kind != "constant"), "")
    advice = f": declare columns to change this, as in --columns {changed}=categorical" if changed else ""
    return "; ".join(why for _, why in said) + advice


def _told(column: Column) -> str:
    """Return what is said of a column that is no part of the rows, or whose values are grouped; empty for others."""
    match column.kind:
        case "id":
            return f"{column.name!r} is read as an id (made anew when rows are written)"
        case "text":
            return f"{column.name!r} is read as free text (left out)"
        case "constant" if support_of(column) is None:
            value = column.facts["value"]
            what = "without any value" if value is None else f"always {value!r}"
            return f"{column.name!r} is {what} (not modelled, written back)"
        case "categorical" if "shared" in column.facts:
            return f"{column.facts['shared']:,} rare values of {column.name!r} share a category"
        case _:
            return ""
