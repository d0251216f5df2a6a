"""A look at a table before anything is fitted: what its columns are taken for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentia.data.columns.describe import describe_frame, look_at
from latentia.data.ingest.arrays import as_tensor
from latentia.data.ingest.files import FileOptions, is_table, read_file
from latentia.data.ingest.layout import TextOptions
from latentia.data.ingest.tables import declared_columns
from latentia.errors import DataWarning, UsageError

if TYPE_CHECKING:
    import pandas as pd


def describe(
    data: Any,
    columns: Mapping[str, str] | Iterable[str] = (),
    *,
    header: str = "auto",
    index: str = "auto",
    separator: str | None = None,
) -> pd.DataFrame:
    """Return what the columns of a table are taken for: a row for each, with gaps, distinct values, bounds and notes.

    ``attrs["rows"]`` says how many rows there are, and how many of them are copies of others.

    Args:
        data: a DataFrame, an array (n, D), or the path of a CSV or Parquet file.
        columns: the kinds of columns that are not to be inferred, as ``fit`` takes them.
        header: whether the first line of a table of text holds the columns' names: auto, yes or no.
        index: whether its first column holds row names or row numbers, which are left out: auto, yes or no.
        separator: what stands between its fields; None to find it.

    Raises:
        UsageError: for what is no table, and a column or a kind that does not exist.
        DataError: for a table that cannot be read.

    Example:
        >>> import pandas as pd
        >>> look = describe(pd.DataFrame({"age": [31, 45, 31], "town": ["Ulm", "Bonn", None]}))
        >>> look[["column", "kind", "gaps"]].to_numpy().tolist()
        [['age', 'integer', ''], ['town', 'categorical', '33.3 %']]
    """
    frame = _frame(data, TextOptions(header, index, separator))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is not read as dates", category=DataWarning)
        known, rows = look_at(frame, declared_columns(columns))
    look = describe_frame(known)
    look.attrs["rows"] = rows
    return look


def _frame(data: Any, options: TextOptions) -> pd.DataFrame:
    import pandas as pd

    if isinstance(data, pd.DataFrame | pd.Series):
        return pd.DataFrame(data)
    if isinstance(data, str | Path):
        content = read_file(Path(data), FileOptions(options)) if is_table(data) else None
        if isinstance(content, pd.DataFrame):
            return content
    elif getattr(data, "ndim", 0) == 2:
        return pd.DataFrame(as_tensor(data).numpy())
    what = data if isinstance(data, str | Path) else type(data).__name__
    raise UsageError(f"{what} is no table: give a DataFrame, a CSV or Parquet file, or an array (n, D)")
