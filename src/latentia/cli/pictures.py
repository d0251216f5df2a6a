"""What the verbs write: rows as a picture where they have one, as a table, or as an array."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from latentia.errors import UsageError
from latentia.figures.drawing import MODEL, Plot, png, single
from latentia.figures.images import drawable, image_grid, png_of
from latentia.figures.plots import Frame, scatter
from latentia.report.report_rows import seen_spec
from latentia.runs.files import write_atomically
from latentia.runs.forms import framed
from latentia.runs.progress import counted
from latentia.runs.run import Run
from latentia.runs.written import TABLES, write_arrays, write_pictures, write_tables

if TYPE_CHECKING:
    import pandas as pd


def write_rows(
    rows: Tensor,
    run: Run,
    verb: str,
    out: Path | None,
    *,
    table: "Callable[[], pd.DataFrame]",
    columns: int | None = None,
    plot: Plot | None = None,
) -> Path:
    """Write rows as a grid of images, a plot of points, a table, or an array, and return where.

    Args:
        rows: (..., *event) as the run's model makes them; pictures show them in order.
        run: what they come from; without ``out``, they go into its folder.
        verb: what made them, which names the file there.
        out: a .png, .csv, .parquet or .npy file.
        table: the rows as a frame, which is made for a file that holds one.
        columns: of the grid.
        plot: how to draw points; by default a scatter plot.

    Raises:
        UsageError: for another ending, or a picture of rows that have none.
        RunError: for a file that cannot be written.
    """
    path = out or default_file(run, verb)
    if path.suffix in TABLES:
        write_tables([table()], path)
        return path
    if path.suffix == ".npy":
        return write_array(rows, path)
    if path.suffix != ".png":
        raise UsageError(
            f"{path} must end in .png, for a picture, .csv or .parquet, for a table, or .npy, for an array"
        )
    content = picture(rows, run, columns, plot)
    write_atomically(path, lambda file: file.write(content))
    return path


def default_file(run: Run, verb: str) -> Path:
    """Return where a verb's rows go in a run's folder: a picture where they have one, a table, or an array."""
    spec = seen_spec(run)
    points = spec.event_shape == (2,) and not spec.support.columns
    ending = "png" if points or drawable(spec) else "csv" if spec.table else "npy"
    return (run.path or Path()) / f"{verb}.{ending}"


def picture(rows: Tensor, run: Run, columns: int | None, plot: Plot | None) -> bytes:
    """Return rows (..., *event) as a PNG file.

    Raises:
        UsageError: for rows that have no picture.
    """
    spec = seen_spec(run)
    flat = rows.reshape(-1, *spec.event_shape).cpu()
    if drawable(spec):
        return png_of(image_grid(flat, spec, columns))
    if spec.event_shape == (2,):
        return png(single(plot or scatter(flat, Frame.around(flat), spec, MODEL), square=True))
    ending = "FILE.csv" if spec.table else "FILE.npy"
    raise UsageError(f"rows of shape {spec.event_shape} have no picture: give --out {ending}")


def write_samples(
    run: Run, n: int, given: Mapping[str, Any], seed: int | None, out: Path | None, options: Mapping[str, Any]
) -> Path:
    """Draw n rows and write them, in blocks unless they are one picture; return where.

    A path without an ending is a folder of single images.
    """
    path, rows = out or default_file(run, "sample"), run.tensors.samples
    if path.suffix == ".png":
        content = picture(run.tensors.sample(n, given, seed, **options), run, None, None)
        write_atomically(path, lambda file: file.write(content))
    elif path.suffix in TABLES:
        frames = run.samples(n, given, seed=seed, **options)
        tables = frames if run.spec.table else (framed(each, run.spec) for each in frames)
        write_tables(counted(tables, n, path.name), path)
    elif path.suffix == ".npy":
        write_arrays(counted(rows(n, given, seed, **options), n, path.name), n, path)
    elif not path.suffix and drawable(seen_spec(run)):
        write_pictures(counted(rows(n, given, seed, **options), n, path.name), n, seen_spec(run), path)
    else:
        raise UsageError(f"{path} must end in .png, .csv, .parquet or .npy, or be a new folder for images")
    return path


def table_of(run: Run, rows: Tensor, given: Mapping[str, Any] | None) -> "pd.DataFrame":
    """Return natural rows (n, D) as a frame like the run's data, with what they were given in its columns."""
    return framed(rows, run.spec, run.tensors.known(len(rows), given))


def write_numbers(values: Tensor, names: "list[str]", path: Path) -> Path:
    """Write numbers (n, d), or (n,), as a table with named columns, or as an array, and return where."""
    if path.suffix not in TABLES:
        return write_array(values, path)
    import pandas as pd

    write_tables([pd.DataFrame(values.cpu().numpy(), columns=names)], path)
    return path


def write_array(values: Tensor, path: Path) -> Path:
    """Write numbers as a .npy file, and return its path."""
    if path.suffix != ".npy":
        raise UsageError(f"{path} must end in .npy, for an array, .csv or .parquet")
    write_atomically(path, lambda file: np.save(file, values.cpu().numpy(), allow_pickle=False))
    return path
