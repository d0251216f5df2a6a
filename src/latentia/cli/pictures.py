"""What the verbs write: rows as a picture where they have one, or as an array."""

from pathlib import Path

import numpy as np
from torch import Tensor

from latentia.errors import UsageError
from latentia.figures.drawing import MODEL, Plot, png, single
from latentia.figures.images import drawable, image_grid, png_of
from latentia.figures.plots import Frame, scatter
from latentia.report.report_rows import seen_spec
from latentia.runs.files import write_atomically
from latentia.runs.run import Run


def write_rows(
    rows: Tensor,
    run: Run,
    verb: str,
    out: Path | None,
    *,
    columns: int | None = None,
    plot: Plot | None = None,
) -> Path:
    """Write rows as a grid of images, a plot of points, or an array, and return where.

    Args:
        rows: (..., *event) as the run's model makes them; pictures show them in order.
        run: what they come from; without ``out``, they go into its folder.
        verb: what made them, which names the file there.
        out: a .png or .npy file.
        columns: of the grid.
        plot: how to draw points; by default a scatter plot.

    Raises:
        UsageError: for another ending, or a picture of rows that have none.
        RunError: for a file that cannot be written.
    """
    spec = seen_spec(run)
    points = spec.event_shape == (2,)
    path = out or (run.path or Path()) / f"{verb}.{'png' if points or drawable(spec) else 'npy'}"
    if path.suffix == ".npy":
        return write_array(rows, path)
    if path.suffix != ".png":
        raise UsageError(f"{path} must end in .png, for a picture, or .npy, for an array")
    flat = rows.reshape(-1, *spec.event_shape).cpu()
    if drawable(spec):
        content = png_of(image_grid(flat, spec, columns))
    elif points:
        content = png(single(plot or scatter(flat, Frame.around(flat), spec, MODEL), square=True))
    else:
        raise UsageError(f"rows of shape {spec.event_shape} have no picture: give --out FILE.npy")
    write_atomically(path, lambda file: file.write(content))
    return path


def write_array(values: Tensor, path: Path) -> Path:
    """Write numbers as a .npy file, and return its path."""
    if path.suffix != ".npy":
        raise UsageError(f"{path} must end in .npy: this is an array")
    write_atomically(path, lambda file: np.save(file, values.cpu().numpy(), allow_pickle=False))
    return path
