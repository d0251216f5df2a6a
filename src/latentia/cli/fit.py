"""The verb that fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from latentia.cli.commands import default_folder, verbs
from latentia.cli.tables import print_columns, print_scores
from latentia.errors import UsageError
from latentia.options import Count, OneOf
from latentia.registry import datasets

if TYPE_CHECKING:
    from latentia.data.rows import Rows
    from latentia.runs.run import Run


@verbs.register("fit", group="Fit a model", recipe=True)
def fit(
    recipe: str,
    *,
    data: str,
    out: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    support: str | None = None,
    labels: str | None = None,
    context: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
    resize: tuple[Count, Count] | None = None,
    header: Annotated[str, OneOf("auto", "yes", "no")] = "auto",
    index: Annotated[str, OneOf("auto", "yes", "no")] = "auto",
    separator: str | None = None,
    **options: Any,
) -> int:
    """Fit a recipe to data, score it on held-out rows, and write all of it into a run folder.

    Args:
        recipe: a name that `latentia recipes` lists
        data: a name that `latentia datasets` lists; a .npy, .npz, .csv or .parquet file; a folder of images
        out: the run folder to write; default: runs/RECIPE-DATA
        resume: go on from the folder's last checkpoint, exactly, to the length it was begun with or one that is given
        overwrite: replace a run folder that is there already, and holds nothing else
        support: the values an entry may take: binary, discrete(K), unit, real, ...; default: inferred
        labels: the column of a table that holds classes
        context: columns of a table that a conditional model is given; they leave the rows
        columns: what columns of a table are, as age=count year=categorical note=drop id=id; default: inferred, as
            `latentia describe` shows
        resize: height and width to give the images of a folder
        header: whether the first line of a table of text holds the columns' names
        index: whether its first column holds row names or row numbers, which are left out
        separator: what stands between its fields: a character, tab or space; default: found in the file

    Examples:
        latentia fit RECIPE --data digits
        latentia fit RECIPE --data rows.csv --out runs/mine
        latentia fit RECIPE --data digits --resume
    """
    from latentia.runs.evaluate import held_out_rows
    from latentia.runs.fit import fit as fit_run

    if resume and overwrite:
        raise UsageError("--resume goes on with a run, --overwrite replaces it: give one of them")
    path = out or default_folder(recipe, data)
    before = _stamp(path)
    reading = {"support": support, "labels": labels, "context": context, "columns": columns, "resize": resize}
    reading |= {"header": header, "index": index, "separator": separator}
    run = fit_run(
        recipe,
        data,
        out=path,
        resume=resume,
        overwrite=overwrite,
        on_start=_show_columns,
        **reading,
        **options,
    )
    if run.interrupted:
        how = "with --resume in the place of --overwrite" if overwrite else "with --resume"
        raise KeyboardInterrupt(f"{path} is saved: the same command {how} goes on")
    rows = held_out_rows(run) if data in datasets or run.held_out is not None else None
    if before is not None and _stamp(path) == before and _is_judged(run, path, rows):
        print(f"{path} is finished already; nothing was changed")
        return 0
    _judge(run, rows)
    print(path)
    return 0


def _show_columns(run: Run) -> None:
    """Print what the columns of a run's table are taken for."""
    from latentia.data.columns.describe import HEADINGS, described

    if run.spec.table:
        print_columns(HEADINGS, described(run.spec.table), note=True)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a run's model is written again, or None where there is none."""
    file = path / "model.safetensors"
    return (file.stat().st_ino, file.stat().st_mtime_ns) if file.exists() else None


def _is_judged(run: Run, path: Path, rows: Rows | None) -> bool:
    """Whether report, scores, if there are rows to score, and samples, if the model has some, are there."""
    from latentia.core.model import Generative
    from latentia.runs.entries import REPORT, SAMPLES, SCORES

    samples = [SAMPLES] if isinstance(run.model, Generative) else []
    scores = [] if rows is None else [SCORES]
    return all((path / name).exists() for name in (REPORT, *samples, *scores))


def _judge(run: Run, rows: Rows | None) -> None:
    """Score a run, show the scores, and write its report."""
    from latentia.report.page import write_report
    from latentia.runs.evaluate import scores

    if rows is None:
        print(
            "not scored: no rows were held out; hold some out with --validation 0.1, or evaluate the run on others"
        )
    else:
        print_scores(scores(run, rows))
    write_report(run, rows)
