"""Files whose missing values are filled by a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from latentia.cli.pictures import write_array
from latentia.data.ingest.files import FileOptions, read_file
from latentia.data.ingest.layout import TextOptions
from latentia.data.ingest.raw import Raw
from latentia.runs.forms import framed, is_frame
from latentia.runs.run import Run
from latentia.runs.written import write_tables

if TYPE_CHECKING:
    import pandas as pd

_NAMES = ("draw", "imputation", "draw of the missing values")  # of the column that numbers several draws


def write_filled(
    run: Run,
    data: Path,
    options: TextOptions,
    given: Mapping[str, Any],
    draws: int,
    seed: int,
    out: Path | None,
) -> Path:
    """Fill the missing values of a file's rows, several times where asked, and return where they are written.

    Args:
        run: whose model draws the values.
        data: a table or an array.
        options: how a table of text is read.
        given: what to condition on, for conditional models.
        draws: how often each value is drawn.
        seed: of the first draw.
        out: a .csv, .parquet or .npy file; by default in the run's folder.
    """
    content = read_file(data, FileOptions(options))
    rows = content.values if isinstance(content, Raw) else content  # noqa: PD011  (an array's)
    ending = "csv" if is_frame(rows) else "npy"
    path = out or (run.path or Path()) / f"impute.{ending}"
    filled = (run.impute(rows, given, seed=seed + number) for number in range(draws))
    if ending == "npy":
        each = torch.stack(list(filled))
        return write_array(each if draws > 1 else each[0], path)
    frames = (each if is_frame(each) else framed(each, run.spec) for each in filled)
    write_tables(_numbered(frames) if draws > 1 else frames, path)
    return path


def _numbered(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield frames with their number, from 1, in a first column."""
    for number, frame in enumerate(frames, 1):
        name = next(each for each in _NAMES if each not in frame.columns)
        frame.insert(0, name, number)
        yield frame
