"""What the first lines of a table of text do not show: codes that begin with 0, and decimal commas, further down."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from latentia.data.ingest.column_names import Look, is_gap
from latentia.data.ingest.layout import Layout
from latentia.data.ingest.records import SPACES

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 1 << 20  # characters that are searched at once


def has_codes(file: IO[bytes], encoding: str, separator: str) -> bool:
    """Whether some field of a table is of digits alone and begins with a 0 that a number would lose.

    Example:
        >>> [has_codes(io.BytesIO(text), "utf-8", ",") for text in (b"a,b\\n1,007\\n", b"a,b\\n0,0.5\\n10,2020-01-02")]
        [True, False]
    """
    between = r"\s" if separator == SPACES else re.escape(separator)
    code = re.compile(rf'(?:^|{between}) *"?0[0-9]+"? *(?={between}|\r?$)', re.MULTILINE)
    text = io.TextIOWrapper(file, encoding, errors="replace", newline="\n")
    try:
        return any(code.search("".join(lines)) for lines in iter(lambda: text.readlines(_BLOCK), []))
    finally:
        text.detach()


def whole_numbers(table: pd.DataFrame) -> list[int]:
    """Return the columns, by position, that were read as whole numbers."""
    return [j for j, dtype in enumerate(table.dtypes) if dtype.kind in "iu"]


def with_other_sign(table: pd.DataFrame, layout: Layout) -> tuple[Layout, str]:
    """Return the layout, with a decimal comma where columns of numbers turned out to have one, and what to say.

    Columns are judged whose first lines are numbers and that were nevertheless read as words.
    """
    numbers = [j for j in _numbers_first(layout) if j < table.shape[1] and _is_words(table.iloc[:, j])]
    words = [j for j in numbers if not _are_numbers(table.iloc[:, j], layout.look)]  # others are codes
    if not words:
        return layout, ""
    column = table.iloc[:, words[0]].dropna()
    strange = next(value for value in column if not layout.look.is_number(str(value)))
    place = f"column {str(table.columns[words[0]])!r} begins with numbers and holds {strange!r} further down"
    comma = replace(layout.look, decimal=",", thousands=None)
    if layout.look.decimal == "." and all(_are_numbers(table.iloc[:, j], comma) for j in words):
        return layout.noting(look=comma), f"{place}: numbers are read with a decimal comma"
    return layout, f"{place}, so it is read as words"


def _numbers_first(layout: Layout) -> list[int]:
    """Return the columns, by position, whose fields are numbers in the first lines."""
    records = layout.records
    columns = records.below(records.first + layout.header)
    return [j for j, fields in enumerate(columns) if _all_numbers(fields, layout.look)]


def _all_numbers(fields: Sequence[str], look: Look) -> bool:
    present = [field for field in fields if not is_gap(field)]
    return bool(present) and all(map(look.is_number, present))


def _is_words(column: pd.Series) -> bool:
    from pandas.api import types

    return types.is_string_dtype(column.dtype) or column.dtype == object


def _are_numbers(column: pd.Series, look: Look) -> bool:
    values: Any = column.dropna().unique()
    return all(look.is_number(str(value)) for value in values)
