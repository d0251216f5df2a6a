"""Tables of text: CSV and its relatives, with or without column names, row names and lines above."""

from __future__ import annotations

import contextlib
import gzip
import warnings
import zlib
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from latentia.data.ingest.beyond import has_codes, whole_numbers, with_other_sign
from latentia.data.ingest.layout import Layout, TextOptions, layout_of, not_utf8
from latentia.data.ingest.records import zero_led
from latentia.data.ingest.regular import open_regular
from latentia.errors import DataError, DataWarning

if TYPE_CHECKING:
    import pandas as pd

_HEAD = 1 << 16  # bytes that a table's layout is found in
_KEPT = ": index='no' (--index no) keeps it"


def read_csv(path: Path, options: TextOptions | None = None) -> pd.DataFrame:
    """Read a table of text, plain or gzipped.

    Encoding, separator, decimal and thousands signs, lines above the table, a line of column names and a column of
    row numbers are recognised; ``?`` is a gap. Where two readings are possible, a `DataWarning` says which was taken
    and which option says otherwise.

    Raises:
        DataError: for an empty file, lines of different length, and names that fit the columns in two ways.
    """
    options = options or TextOptions()
    try:
        layout, whole = _layout(path, options)
        table, encoding = _parsed(path, layout)
        table, about_rest = (table, "") if whole else _as_the_rest(path, layout, table, encoding)
    except (ValueError, OSError, EOFError, zlib.error, OverflowError) as error:
        raise DataError(f"cannot read {path} as a table: {' '.join(str(error).split())}") from error
    table, about_index = _without_index(table, options)
    table, about_stops = _without_stops(table, layout)
    about_text = "" if encoding == layout.encoding else not_utf8(encoding)
    for note in filter(
        None, (*layout.notes, _about_names(layout), about_text, about_rest, about_index, about_stops)
    ):
        warnings.warn(f"{path.name}: {note}", DataWarning, stacklevel=2)
    return table


@contextlib.contextmanager
def _opened(path: Path) -> Generator[IO[bytes]]:
    """Open a file for reading bytes, unzipped if it is gzipped."""
    with open_regular(path) as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        with gzip.GzipFile(fileobj=file) if zipped else file as content:
            yield content  # pyright: ignore[reportReturnType]


def _layout(path: Path, options: TextOptions) -> tuple[Layout, bool]:
    """Return how a table is laid out, and whether all of it was looked at."""
    with _opened(path) as file:
        head = file.read(_HEAD)
    layout = layout_of(head, options, whole=len(head) < _HEAD)
    if layout is None:
        raise DataError("it is empty")
    return layout, len(head) < _HEAD


def _parsed(path: Path, layout: Layout) -> tuple[pd.DataFrame, str]:
    """Read the whole table; return it with the encoding that it turned out to have."""
    for encoding in dict.fromkeys((layout.encoding, "cp1252")):
        with _opened(path) as file, contextlib.suppress(UnicodeDecodeError):
            return _frame(file, encoding, layout), encoding
    with _opened(path) as file:
        return _frame(file, "latin-1", layout), "latin-1"


def _as_the_rest(path: Path, layout: Layout, table: pd.DataFrame, encoding: str) -> tuple[pd.DataFrame, str]:
    """Return a table read anew where lines beyond the first show codes or decimal commas, and what to say."""
    other, note = with_other_sign(table, layout)
    with _opened(path) as file:
        codes = whole_numbers(table) if has_codes(file, encoding, layout.records.separator) else []
    if codes:
        with _opened(path) as file:
            words = _frame(file, encoding, layout, codes)
        codes = [j for j in codes if zero_led([words.iloc[:, j].dropna().to_list()])]
    if not codes and other is layout:
        return table, note
    with _opened(path) as file:
        return _frame(file, encoding, other, codes), note


def _frame(file: IO[bytes], encoding: str, layout: Layout, codes: Sequence[int] = ()) -> pd.DataFrame:
    """Read a table; columns of codes, those given and those that the first lines show, are read as words."""
    import pandas as pd

    records, look = layout.records, layout.look
    codes = [*codes, *zero_led(records.below(records.first + layout.header))]
    table = pd.read_csv(
        file,
        sep=records.separator,
        decimal=look.decimal,
        thousands=look.thousands,
        header=0 if layout.header else None,
        names=range(records.width) if layout.names else None,  # pyright: ignore[reportArgumentType]
        skiprows=layout.skip,
        skipinitialspace=True,
        encoding=encoding,
        na_values=["?"],
        dtype={layout.line[j] if layout.header else j: str for j in codes},  # pyright: ignore[reportArgumentType]
        low_memory=False,
    )
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"lines have more than the {table.shape[1]} fields of the first")
    return _named(table, layout.names)


def _named(table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Give columns names; a last one without is empty, as where each line ends in a separator."""
    if not names:
        return table
    table = table.set_axis([name or f"Unnamed: {j}" for j, name in enumerate(names)], axis=1)
    return table if names[-1] else table.iloc[:, :-1]


def _without_index(table: pd.DataFrame, options: TextOptions) -> tuple[pd.DataFrame, str]:
    """Return a table without its columns of row numbers or row names, and what is to be said of them."""
    if options.index != "auto":
        return (table.iloc[:, 1:], "") if options.index == "yes" and table.shape[1] > 1 else (table, "")
    note = ""
    while table.shape[1] > 1 and (what := _row_names(table)):
        note = f"the first column has no name and holds {what}, so it is left out{_KEPT}"
        table = table.iloc[:, 1:]
    return table, note


def _row_names(table: pd.DataFrame) -> str:
    """Return what a nameless first column holds, or nothing where it is to be kept."""
    if not str(table.columns[0]).startswith("Unnamed: 0"):
        return ""
    column = table.iloc[:, 0]
    if column.dtype.kind in "iu":
        return "the row numbers"
    words = column.dtype.kind == "O" and column.is_unique and not column.hasnans
    return "row names" if words else ""


def _without_stops(table: pd.DataFrame, layout: Layout) -> tuple[pd.DataFrame, str]:
    """Take full stops off the last column's words where each ends in one, below a line that begins with ``|``.

    So end the lines of test files in the format of C4.5, in which UCI publishes sets. Elsewhere they are only said.
    """
    last, name = table.iloc[:, -1], table.columns[-1]
    if not (len(table) and isinstance(last.iloc[0], str) and last.iloc[0].endswith(".")):
        return table, ""
    if not last.astype(str).str.endswith(".").all():
        return table, ""
    what = f"the words of the last column, {str(name)!r}, all end in a full stop, as {last.iloc[0]!r}"
    if not (layout.above and layout.above[0].startswith("|")):
        return table, what
    cut = table.iloc[:, :-1].join(last.str.removesuffix("."))
    return cut, f"{what}, which is taken off"


def _about_names(layout: Layout) -> str:
    """Return what is said of names that several columns have."""
    twice = [name for name, often in Counter(layout.line).items() if often > 1 and name]
    if not layout.header or not twice:
        return ""
    return f"several columns are called {twice[0]!r}: a number is put behind the name of all but the first"
