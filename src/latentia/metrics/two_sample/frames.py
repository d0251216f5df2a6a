"""Two frames as points in which every column counts alike, whatever its kind and unit."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from latentia.data.columns.categories import category_names
from latentia.data.columns.infer import column_names, infer_columns, inferred_kind
from latentia.data.columns.kind import Numbers, modelled
from latentia.data.columns.rows import natural, support_of_rows
from latentia.data.spec import DataSpec
from latentia.errors import DataError, DataWarning
from latentia.metrics.points import Points, supports_of

if TYPE_CHECKING:
    import pandas as pd

DISTANCES = ("standardised", "ranks", "raw")


def points_of_frames(
    x: pd.DataFrame, y: pd.DataFrame, distances: str
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Return the rows of two frames of the same columns as (n, D') and (m, D') points, with the names of the D'.

    What the columns are is inferred from both frames together, so that neither is preferred. Ids, free text and
    constants are left out, with a note.

    Args:
        x: a frame.
        y: another, with its columns in the same order.
        distances: "standardised": numbers have a standard deviation of 1 in both frames together; "ranks": so have
            their ranks there; "raw": they are as they are.

    Raises:
        DataError: for frames without a column to compare.
    """
    import pandas as pd

    both = pd.concat([x, y], ignore_index=True)
    columns = infer_columns(both, dict.fromkeys(_ids(x) + _ids(y), "drop"), facts=False)
    ours = modelled(columns)
    left_out = [column.name for column in columns if column.kind in ("drop", "text", "id")]
    if not ours:
        raise DataError(f"x and y have no columns to compare: {', '.join(column_names(both))} are none")
    if left_out:
        note = f"ids and free text are not compared: {', '.join(left_out)}"
        warnings.warn(note, DataWarning, stacklevel=2)
    spec, numbers = DataSpec((len(ours),), support_of_rows(columns)), natural(both, columns)
    rows = torch.from_numpy(_ranked(numbers, spec) if distances == "ranks" else numbers)
    made = (Points.raw if distances == "raw" else Points.standardised)(spec, rows)
    names = made.names([column.name for column in ours], [category_names(column) for column in ours])
    points = made(rows, "x and y")
    return points[: len(x)], points[len(x) :], names


def _ids(frame: pd.DataFrame) -> list[str]:
    """Return the names of a frame's columns that are ids there."""
    names = enumerate(column_names(frame))
    return [name for place, name in names if inferred_kind(frame.iloc[:, place], place) == "id"]


def _ranked(rows: Numbers, spec: DataSpec) -> Numbers:
    """Return (n, D) rows with the ranks of numbers in the place of these, equal ones with their mean rank."""
    from scipy.stats import rankdata

    numbers = [j for j, each in enumerate(supports_of(spec)) if each.kind not in ("categorical", "binary")]
    ranked = rows.copy()
    ranked[:, numbers] = rankdata(rows[:, numbers], axis=0, nan_policy="omit")
    return np.where(np.isnan(rows), np.nan, ranked)
