"""Data frames as rows: what each column is, the labels and conditions among them, and the numbers of the others."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from latentia.data.attributes import Attribute
from latentia.data.columns.categories import category_names
from latentia.data.columns.column import Column
from latentia.data.columns.infer import column_names, infer_columns, with_label
from latentia.data.columns.kind import modelled
from latentia.data.columns.rows import matched, natural, support_of_rows, unmodelled_note
from latentia.data.columns.types import family_of, name_of, numbers_of, plain
from latentia.data.ingest.arrays import check_size
from latentia.data.ingest.raw import Raw
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, DataWarning, UsageError
from latentia.registry import check_name

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TableReading:
    """How a frame is read.

    Attributes:
        support: what was declared of all entries; None to infer it column by column.
        labels: the name of the column of labels, or labels of the rows; None without.
        context: names of the columns that a conditional model is given.
        columns: by name, the kinds that were declared.
        like: the spec of rows that these are to be read like: its columns, by name, with their categories and
            numbers; None to find out what the columns are.
    """

    support: Support | None = None
    labels: Any = None
    context: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    like: DataSpec | None = None


def declared_columns(columns: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Return the kinds of columns by name, which may be given as words ``name=kind``.

    Raises:
        UsageError: for a word without a kind.

    Example:
        >>> declared_columns(["age=count", "when=datetime:%d/%m/%Y"])
        {'age': 'count', 'when': 'datetime:%d/%m/%Y'}
    """
    if isinstance(columns, Mapping):
        return {str(name): kind for name, kind in columns.items()}
    pairs = {name: kind for name, _, kind in (word.partition("=") for word in columns)}
    for name, kind in pairs.items():
        if not kind:
            raise UsageError(
                f"columns are declared as name=kind, as in age=count; got {name!r}", options=["columns"]
            )
    return pairs


def read_table(frame: pd.DataFrame, name: str, reading: TableReading) -> Rows:
    """Return a frame's rows: natural numbers of the modelled columns, in float64, with what is known besides.

    Args:
        frame: the table.
        name: what to call it in messages.
        reading: what was declared about it.

    Raises:
        UsageError: for a column of labels or context that is not there.
        DataError: for a frame without rows or without a column to model, and values that are not of their kind.
    """
    if frame.shape[0] == 0:
        raise DataError(f"{name} is empty: it has no rows")
    check_size(tuple(frame.shape), name)
    ours = reading.like
    if ours is not None:
        reading, frame = _like(frame, name, reading)
    label = reading.labels if isinstance(reading.labels, str) else None
    rest, labels = take_labels(frame, label)
    rest, conditions, given = (
        take_context(rest, reading.context, name) if reading.context else (rest, [], None)
    )
    if not rest.shape[1]:
        raise DataError(f"{name} has no columns besides the labels")
    columns = _columns(rest, reading) if reading.like is None else reading.like.table
    rows = _rows(rest, columns, labels if label else reading.labels, reading.support, name)
    rows = rows if given is None else rows.with_conditions(conditions, given)
    if ours is not None:
        return replace(rows, spec=replace(ours, attributes=rows.spec.attributes))
    return replace(rows, spec=replace(rows.spec, table=_table(frame, columns, rows.spec, label)))


def _columns(rest: pd.DataFrame, reading: TableReading) -> tuple[Column, ...]:
    declared = dict(reading.columns)
    if reading.support is not None:
        declared = {**_declared_by(reading.support, rest), **declared}
    columns = infer_columns(rest, declared)
    note = unmodelled_note(columns)
    if note and modelled(columns):  # otherwise it is an error, which says so
        warnings.warn(note, DataWarning, stacklevel=2)
    return columns


def _rows(
    rest: pd.DataFrame, columns: Sequence[Column], labels: Any, support: Support | None, name: str
) -> Rows:
    """Return the rows of a frame without labels and conditions."""
    ours = modelled(tuple(columns))
    if not ours:
        kinds = ", ".join(f"{column.name} is {column.kind}" for column in columns if not column.role)
        raise DataError(f"{name} has no column to model: {kinds}; declare kinds with columns= (--columns)")
    names = tuple(map(category_names, ours))
    return Raw(
        natural(rest, columns),
        labels,
        support or support_of_rows(columns),
        columns=tuple(column.name for column in ours),
        categories=names if any(names) else (),
    ).rows(name)


def _like(frame: pd.DataFrame, name: str, reading: TableReading) -> tuple[TableReading, pd.DataFrame]:
    """Return how a frame is read that has the columns of a spec, and these columns."""
    like, labels = reading.like or DataSpec((0,), Support("real")), reading.labels
    roles = {column.name: column.role for column in like.table if column.role}
    if isinstance(labels, str) and roles.get(labels) != "label":
        frame, labels = take_labels(frame, labels)
    like = replace(like, table=known_columns(like, column_names(frame), name))
    found = matched(frame, like, name)
    there = column_names(found)
    own = [column for column, role in roles.items() if role == "label" and column in there]
    context = reading.context or [each.name for each in like.conditions]
    labels = own[0] if labels is None and own else labels
    return replace(reading, labels=labels, context=context, support=like.support, like=like), found


def known_columns(spec: DataSpec, names: Sequence[str], data: str) -> tuple[Column, ...]:
    """Return what the columns of a frame are to be, by a spec; also by one that is older than tables, or of arrays.

    Args:
        spec: of the rows that others are to be like.
        names: of the frame's columns, by position those of an array, which have no names.
        data: what to call the frame in messages.

    Raises:
        DataError: for a frame with another number of columns than an array had.
    """
    if spec.table:
        return spec.table
    if not spec.columns and len(names) != spec.size:
        raise DataError(
            f"{data} has {len(names)} columns, and the run was fitted to rows of {spec.size} numbers"
        )
    supports = spec.support.columns or (spec.support,) * spec.size
    categories = spec.categories or ((),) * spec.size
    table = [_known(*each) for each in zip(spec.columns or names, supports, categories, strict=True)]
    conditions = [
        Column(each.name, "real", "float64", facts={"role": "condition"}) for each in spec.conditions
    ]
    return (*table, *conditions)


def _known(name: str, support: Support, categories: Sequence[str]) -> Column:
    """Return the column of an older spec."""
    kinds = {"binary": "boolean", "categorical": "categorical", "discrete": "ordinal"}
    kind = kinds.get(support.kind, "real")
    if kind == "real":
        return Column(name, kind, "float64", support.missing)
    values = list(categories) or ([False, True] if kind == "boolean" else list(range(support.levels or 2)))
    return Column(name, kind, "category" if categories else "int64", support.missing, {"values": values})


def _declared_by(support: Support, frame: pd.DataFrame) -> dict[str, str]:
    """Return the kinds of a frame's columns that a support declares.

    Raises:
        DataError: for a table of another number of columns.
    """
    names = column_names(frame)
    supports = support.columns or (support,) * len(names)
    if len(supports) != len(names):
        raise DataError(
            f"{support} is declared, of {len(supports)} columns; the data has {len(names)}: {', '.join(names)}"
        )
    return {
        name: _kind(each, frame.iloc[:, place])
        for place, (name, each) in enumerate(zip(names, supports, strict=True))
    }


def _kind(support: Support, series: pd.Series) -> str:
    levels = ",".join(map(str, range(support.levels or 0)))
    number = family_of(series) in ("integer", "float")
    match support.kind:
        case "categorical":
            return f"categorical:{levels}" if number else "categorical"
        case "discrete":
            return f"ordinal:{levels}" if number else "ordinal"
        case "binary":
            return "boolean"
        case "count":
            return "count"
        case _:
            return "real"


def _table(
    frame: pd.DataFrame, columns: Sequence[Column], spec: DataSpec, label: str | None
) -> tuple[Column, ...]:
    """Return all columns of a frame in their order, those of labels and conditions among them."""
    known = {column.name: column for column in columns}
    attributes = {each.name: each for each in spec.conditions}
    if label is not None and spec.label is not None:
        attributes[label] = spec.label
    table = [
        known[name] if name in known else _role(frame.iloc[:, place], name, attributes[name])
        for place, name in enumerate(column_names(frame))
    ]
    return tuple(with_label(column, label) for column, label in zip(table, list(frame.columns), strict=True))


def _role(series: pd.Series, name: str, attribute: Attribute) -> Column:
    """Return the column of a label or a condition: its categories are numbered as the attribute's are."""
    (column,) = infer_columns(
        series.rename(name).to_frame(), {name: "real"} if attribute.kind == "real" else {}
    )
    if attribute.kind == "real":
        facts = {**column.facts, "role": attribute.role}
        return replace(column, facts=facts)
    by_name = {name_of(value): plain(value) for value in series.dropna().unique()}
    kept = {key: column.facts[key] for key in ("categories", "ordered") if key in column.facts}
    values = [by_name.get(str(value), value) for value in attribute.values]  # noqa: PD011  (no frame)
    return replace(column, kind="categorical", facts={"values": values, "role": attribute.role, **kept})


def take_labels(frame: pd.DataFrame, column: str | None) -> tuple[pd.DataFrame, Any]:
    """Take the column of labels out of a frame.

    Raises:
        UsageError: for a column that is not there, with near matches.
    """
    if column is None:
        return frame, None
    places = {name: place for place, name in enumerate(column_names(frame))}
    check_name("label column", column, places)
    labels = frame.iloc[:, places[column]].to_numpy()
    return _without(frame, [places[column]]), labels


def take_context(
    frame: pd.DataFrame, columns: Sequence[str], name: str
) -> tuple[pd.DataFrame, list[Attribute], Tensor]:
    """Take columns out of a frame as conditions: numbers are real, all else is categorical.

    Args:
        frame: the table.
        columns: names of columns.
        name: of the data, for messages.

    Returns:
        the other columns, the conditions, and their (n, C) values: numbers of categories, or the numbers measured.

    Raises:
        UsageError: for a column that is not there, with near matches.
        DataError: for missing values.
    """
    places = {column: j for j, column in enumerate(column_names(frame))}
    for column in columns:
        check_name("context column", column, places)
    taken = [_condition(frame.iloc[:, places[column]], column, name) for column in columns]
    rest = _without(frame, [places[column] for column in columns])
    return rest, [factor for factor, _ in taken], torch.from_numpy(np.stack([x for _, x in taken], axis=1))


def _without(frame: pd.DataFrame, places: Sequence[int]) -> pd.DataFrame:
    """Return a frame without some columns; the others keep their names, also where two were called the same."""
    names = column_names(frame)
    kept = [j for j in range(frame.shape[1]) if j not in places]
    rest = frame.iloc[:, kept]
    same = column_names(rest) == [names[j] for j in kept]
    return rest if same else rest.set_axis([names[j] for j in kept], axis=1)


def _condition(column: pd.Series, label: str, name: str) -> tuple[Attribute, np.ndarray]:
    missing = column.isna().to_numpy()
    if missing.any():
        first = int(missing.argmax())
        raise DataError(
            f"{name} holds no value in {int(missing.sum())} rows of column {label!r}, first in row {first}: "
            "a model must be given each row's context; fill or remove these rows"
        )
    if family_of(column) in ("integer", "float"):
        values = numbers_of(column)
        return Attribute(label, (float(values.min()), float(values.max())), "real"), values
    names, numbers = np.unique(column.to_numpy().astype(str), return_inverse=True)
    return Attribute(label, tuple(map(str, names))), numbers.astype(np.float64)
