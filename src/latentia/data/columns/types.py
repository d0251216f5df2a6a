"""Types of columns in pandas' words: what values are, and how they are given back in the type that they had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latentia.data.columns.column import Column
from latentia.data.columns.kind import Numbers

if TYPE_CHECKING:
    import pandas as pd

_FAMILIES = {
    "string": "words",
    "empty": "nothing",
    "boolean": "truth",
    "integer": "integer",
    "floating": "float",
    "mixed-integer-float": "float",
    "decimal": "float",
    "date": "date",
    "datetime": "date",
    "datetime64": "date",
}


def family_of(series: pd.Series) -> str:
    """Return what values are: category, truth, date, integer, float, words, nothing, or pandas' word for another type.

    Example:
        >>> import pandas as pd
        >>> [family_of(pd.Series(values, dtype=object)) for values in ([1, None], ["a"], [None], [1, "a"])]
        ['integer', 'words', 'nothing', 'mixed-integer']
    """
    from pandas.api import types

    dtype = series.dtype
    if not len(series):
        return "nothing"
    if isinstance(dtype, types.CategoricalDtype) or str(dtype).startswith("dictionary"):
        return "category"
    tests = {
        "truth": types.is_bool_dtype,
        "integer": types.is_integer_dtype,
        "float": types.is_float_dtype,
        "date": types.is_datetime64_any_dtype,
    }
    known = next((family for family, test in tests.items() if test(dtype)), None)
    return known or _inferred(series)


def _inferred(series: pd.Series) -> str:
    from pandas.api import types

    dtype = str(series.dtype)
    if dtype.startswith(("date32", "date64", "timestamp")):
        return "date"
    if dtype == "object" or types.is_string_dtype(series.dtype):
        found = types.infer_dtype(series, skipna=True)
        return _FAMILIES.get(found, found)
    return dtype


def type_of(series: pd.Series) -> str:
    """Return the type that a column's values are to be given back in."""
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if isinstance(dtype, pd.ArrowDtype):
        return f"arrow {dtype.pyarrow_dtype}"
    return str(dtype)


def typed(values: Any, column: Column) -> pd.Series:
    """Return values in a column's type; integers with gaps, for which NumPy has none, become pandas' nullable."""
    import pandas as pd

    series = values if isinstance(values, pd.Series) else pd.Series(values)
    dtype = column.dtype
    if dtype.startswith(("int", "uint")) and series.isna().any():
        dtype = dtype.replace("uint", "UInt") if dtype[0] == "u" else dtype.replace("int", "Int")
    if dtype == "bool" and series.isna().any():
        dtype = "boolean"
    return series.astype(_dtype(dtype))


def _dtype(name: str) -> Any:
    """Return the type of a name; Arrow's types are named as Arrow names them."""
    if not name.startswith("arrow "):
        return name
    import pandas as pd
    import pyarrow as pa

    plain = name.removeprefix("arrow ")
    if plain.startswith("timestamp["):
        unit, _, zone = plain.removeprefix("timestamp[").removesuffix("]").partition(", tz=")
        return pd.ArrowDtype(pa.timestamp(unit, zone or None))
    return pd.ArrowDtype(pa.string() if plain.startswith("dictionary") else pa.type_for_alias(_alias(plain)))


def _alias(arrow: str) -> str:
    return {"double": "float64", "float": "float32", "halffloat": "float16"}.get(arrow, arrow)


def numbers_of(series: pd.Series) -> Numbers:
    """Return numbers, truth values or decimals as float64, NaN where one is missing."""
    if isinstance(series.dtype, np.dtype) and series.dtype != object:
        return series.to_numpy(dtype=np.float64)
    if series.dtype == object:
        return series.astype("float64").to_numpy()
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def name_of(value: Any) -> str:
    """Return what a category is called: ``1`` for 1, 1.0 and NumPy's 1, which mean the same."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: NumPy's numbers as Python's, and what is none, such as a date, as text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
