"""Data frames as arrays: numeric columns, and columns of truth values and categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from latentia.data.attributes import Attribute
from latentia.data.spec import Support
from latentia.errors import DataError
from latentia.registry import check_name

if TYPE_CHECKING:
    import pandas as pd


def take_labels(frame: pd.DataFrame, column: str | None) -> tuple[pd.DataFrame, Any]:
    """Take the column of labels out of a frame.

    Raises:
        UsageError: for a column that is not there, with near matches.
    """
    if column is None:
        return frame, None
    named = {str(name): name for name in frame.columns}
    check_name("label column", column, named)
    labels = frame[named[column]]
    return frame.drop(columns=[named[column]]), labels.to_numpy()


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
    places = {str(column): j for j, column in enumerate(frame.columns)}
    for column in columns:
        check_name("context column", column, places)
    taken = [_condition(frame.iloc[:, places[column]], column, name) for column in columns]
    rest = frame.iloc[:, [j for column, j in places.items() if column not in columns]]
    return rest, [factor for factor, _ in taken], torch.from_numpy(np.stack([x for _, x in taken], axis=1))


def _condition(column: pd.Series, label: str, name: str) -> tuple[Attribute, np.ndarray]:
    import pandas as pd

    missing = column.isna().to_numpy()
    if missing.any():
        first = int(missing.argmax())
        raise DataError(
            f"{name} holds no value in {int(missing.sum())} rows of column {label!r}, first in row {first}: "
            "a model must be given each row's context; fill or remove these rows"
        )
    dtype = column.dtype
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        values = _numbers(column).astype(np.float64)
        return Attribute(label, (float(values.min()), float(values.max())), "real"), values
    names, numbers = np.unique(column.to_numpy().astype(str), return_inverse=True)
    return Attribute(label, tuple(map(str, names))), numbers.astype(np.float64)


def read_frame(frame: pd.DataFrame, name: str) -> tuple[np.ndarray, Support | None]:
    """Return a frame's values as (n, D) numbers, and its support where its column types imply one.

    All numeric: the values, whose support is yet to be inferred. All truth values: binary. A mixture with
    truth values or categories: a table, categories as codes in the order that pandas gives them.

    Raises:
        DataError: for columns of text, dates or other objects, and for a category that is constant.
    """
    columns = [_column(frame.iloc[:, j], str(label), name) for j, label in enumerate(frame.columns)]
    if not columns:
        raise DataError(f"{name} has no columns besides the labels")
    supports = tuple(support for _, support in columns)
    values = np.stack([values for values, _ in columns], axis=1)
    if all(support.kind == "real" for support in supports):
        return values, None
    if all(support.kind == "binary" for support in supports):
        return values, Support("binary")
    return values, Support("table", columns=supports)


def category_names(frame: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Return for each column the names of its categories in the order of their codes; none where no column has any."""
    import pandas as pd

    columns = [frame.iloc[:, j] for j in range(frame.shape[1])]
    names = tuple(
        tuple(map(str, column.cat.categories)) if isinstance(column.dtype, pd.CategoricalDtype) else ()
        for column in columns
    )
    return names if any(names) else ()


def _column(column: pd.Series, label: str, name: str) -> tuple[np.ndarray, Support]:
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories(column, label, name)
    if pd.api.types.is_bool_dtype(dtype):
        return _numbers(column), Support("binary")
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        return _numbers(column), Support("real")
    given = next((value for value in column if value is not None and value == value), None)
    raise DataError(
        f"{name} holds {dtype} values in column {label!r}, first {given!r}; columns are numbers, "
        "truth values or categories: convert it (astype('category')), name it as the labels with labels= "
        "(--labels) or as context with context= (--context), or drop it"
    )


def _categories(column: pd.Series, label: str, name: str) -> tuple[np.ndarray, Support]:
    levels = len(column.cat.categories)
    if levels < 2:
        raise DataError(f"{name} holds one category in column {label!r}; drop the column")
    codes = column.cat.codes.to_numpy(dtype=np.float64, copy=True)
    codes[codes < 0] = np.nan  # missing
    return codes, Support("categorical", levels)


def _numbers(column: pd.Series) -> np.ndarray:
    """Return a column's numbers; missing values of pandas' nullable types become NaN."""
    if isinstance(column.dtype, np.dtype):
        return column.to_numpy()
    return column.to_numpy(dtype=np.float64, na_value=np.nan)
