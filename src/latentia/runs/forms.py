"""Rows in the form of the data: frames are read by column name, and what a run gives back is like what it was given."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentia.data.columns.kind import Draws
from latentia.data.columns.rows import frame_of, matched, natural
from latentia.data.ingest.arrays import as_events, as_tensor
from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.runs.options import checked_seed

if TYPE_CHECKING:
    import pandas as pd


def is_frame(x: Any) -> bool:
    """Whether x is a DataFrame, or one of its rows or columns."""
    pandas = sys.modules.get("pandas")  # a frame exists only where pandas has been imported
    return pandas is not None and isinstance(x, pandas.DataFrame | pandas.Series)


def numbers_of(x: Any, spec: DataSpec, *, one: bool = False) -> Tensor:
    """Return natural rows (n, *event) of a frame, whose columns are matched by name, or of an array.

    Args:
        x: rows in the form of the data.
        spec: what a run was fitted to.
        one: whether x is to be one row, with or without the first dimension.

    Raises:
        DataError: for a frame without a column of the run's, or values that are not of its kind.
        UsageError: where one row is expected and x is not one.
    """
    values = _of_frame(x, spec) if is_frame(x) and spec.table else as_tensor(x, "x")
    shape = spec.event_shape
    if one and tuple(values.shape) in (shape, shape[1:]):  # a grey picture may come without its channel
        values = values.reshape(1, *shape)
    values = as_events(values)
    if one and len(values) != 1:
        raise UsageError(f"one row of shape {shape} is expected; got shape {tuple(values.shape)}")
    return values


def given_back(
    x: Tensor,
    spec: DataSpec,
    known: Mapping[str, Tensor],
    draws: Draws | None = None,
    like: Any = None,
) -> Any:
    """Return natural rows in the form of the data: a frame with its columns and types, or the tensor.

    Args:
        x: (n, *event) natural rows.
        spec: what a run was fitted to.
        known: what the rows were given, by attribute, which a frame shows in its columns.
        draws: where ids that are made anew, and values of rare categories, come from.
        like: the rows that these were made of; a frame's index is kept.
    """
    if not spec.table:
        return x
    frame = frame_of(x, spec, known, draws)
    if is_frame(like) and len(like) == len(frame):
        frame.index = like.index
    return frame


def framed(
    x: Tensor, spec: DataSpec, known: Mapping[str, Tensor] | None = None, draws: Draws | None = None
) -> pd.DataFrame:
    """Return natural rows (n, D) as a frame: of arrays too, whose columns without a name are called x0, x1, ...

    Raises:
        UsageError: for rows that are no vectors.
    """
    if spec.table:
        return frame_of(x, spec, known, draws)
    if len(spec.event_shape) != 1:
        raise UsageError(f"rows of shape {spec.event_shape} are no table: write .npy or .png")
    import pandas as pd

    names = spec.columns or [f"x{j}" for j in range(spec.size)]
    return pd.DataFrame(x.cpu().numpy(), columns=list(names))


def draws_of(seed: int | torch.Generator | None) -> Draws:
    """Return where what is made anew comes from: a stream of its own for a seed, or the generator."""
    if isinstance(seed, torch.Generator):
        return Draws(seed)
    return Draws(None if seed is None else torch.Generator().manual_seed(checked_seed("seed", seed)))


def traversed(x: Tensor, spec: DataSpec, span: float) -> pd.DataFrame:
    """Return natural rows (d, steps, D) as a frame, its index the entry of the code and the value that it takes."""
    import pandas as pd

    frame = framed(x.flatten(0, 1), spec)
    values = torch.linspace(-span, span, x.shape[1]).tolist()
    frame.index = pd.MultiIndex.from_product([range(len(x)), values], names=["entry", "value"])
    return frame


def moved(x: Tensor, spec: DataSpec, span: float) -> pd.DataFrame:
    """Return natural rows (d, steps, D) as a frame whose first two columns are the entry and the value that it takes.

    They are called so in the frame, unless the rows have columns of these names.
    """
    frame = traversed(x, spec, span)
    taken = {str(each) for each in frame.columns}
    names = [f"code {name}" if name in taken else name for name in frame.index.names]
    return frame.rename_axis(index=names).reset_index()


def filled(frame: pd.DataFrame, imputed: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with its missing values replaced by those of another one; nothing else changes."""
    there = [column for column in frame.columns if column in imputed.columns]
    result = frame.copy()
    for column in there:
        gaps = frame[column].isna().to_numpy()
        if gaps.any():
            new = imputed[column]
            result[column] = new.where(gaps, frame[column]).astype(new.dtype)
    return result


def _of_frame(x: Any, spec: DataSpec) -> Tensor:
    pandas = sys.modules["pandas"]
    frame = x.to_frame().T.infer_objects() if isinstance(x, pandas.Series) else x
    return torch.from_numpy(natural(matched(frame, spec, "x"), spec.table))
