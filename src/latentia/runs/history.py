"""The history of a training: metrics.csv, a line for each epoch, to which lines are appended."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentia.errors import RunError
from latentia.runs.entries import METRICS
from latentia.runs.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

START = ("epoch", "step")
Row = Mapping[str, Any]
"""What an epoch logged: numbers by name, epoch and step among them."""


class HistoryFile:
    """metrics.csv as a training writes it: whole at first and where a column is new, else one line more.

    An epoch then costs the same at the end of a long training as at its start. A kill may tear the last line, which
    `read_rows` leaves out.
    """

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.written = 0

    def record(self, history: Sequence[Row], folder: Path) -> None:
        """Bring the file up to a history that has grown.

        Raises:
            RunError: if the file cannot be written.
        """
        new = history[self.written :]
        known = set(self.columns)
        if self.written and all(known.issuperset(row) for row in new):
            _append(folder / METRICS, _lines(new, self.columns))
        else:
            self.columns = list(dict.fromkeys(name for row in history for name in row))
            write_rows(history, self.columns, folder)
        self.written = len(history)


def write_rows(history: Sequence[Row], columns: Sequence[str], folder: Path) -> None:
    """Write all of metrics.csv, with every digit: numbers come back exactly."""
    text = _line(columns) + _lines(history, columns)
    write_atomically(folder / METRICS, lambda file: file.write(text.encode()))


def table_of(history: Sequence[Row]) -> pd.DataFrame:
    """Return a history as a table with a row for each epoch."""
    import pandas as pd

    return pd.DataFrame(history) if history else pd.DataFrame({name: [] for name in START})


def read_rows(path: Path) -> list[Row]:
    """Read metrics.csv, without a last line that a kill has torn; a folder without the file has no history.

    Raises:
        RunError: for a file that is damaged elsewhere.
    """
    if not path.exists():
        return []
    try:
        whole, _, _torn = path.read_bytes().decode().rpartition("\n")
        reader = csv.DictReader(io.StringIO(whole, newline=""))
        return [{name: _number(text) for name, text in row.items()} for row in reader]
    except (ValueError, TypeError, OSError) as error:
        raise RunError(f"{path} is no readable table ({error}); it is damaged or cut off") from error


def _append(file: Path, text: str) -> None:
    try:
        with file.open("ab") as end:
            end.write(text.encode())
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror or error}") from error


def _lines(rows: Iterable[Row], columns: Sequence[str]) -> str:
    return "".join(_line(_cell(row.get(name)) for name in columns) for row in rows)


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _cell(value: float | None) -> str:
    """Return a number with every digit; NaN, and what was not logged, as nothing."""
    if value is None or math.isnan(value):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(int(value))


def _number(text: str | None) -> float:
    """Return the number that a cell holds: whole ones as int, others exactly, none as NaN."""
    if text is None:
        raise ValueError("a row is cut off")
    return int(text) if text.isdigit() else float(text or "nan")
