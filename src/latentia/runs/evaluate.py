"""Evaluate: score a run on held-out data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentia.data.copies import repeated
from latentia.data.encoding.margins import in_units_of
from latentia.data.ingest.parts import parts_of
from latentia.data.read import read_rows
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec
from latentia.data.streams import Stream
from latentia.errors import DataError, RunError, UsageError
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import REPEATS, Score, table
from latentia.metrics.scoring import score
from latentia.metrics.settings import EvaluationSettings
from latentia.runs.build import seen_by
from latentia.runs.conditioning import in_context_of
from latentia.runs.data import fingerprint, own_part, read_again
from latentia.runs.entries import CONFIG, SCORES
from latentia.runs.files import read_json, write_json
from latentia.runs.load import load
from latentia.runs.options import Training
from latentia.runs.parts import copies_in, is_named, part_name
from latentia.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    run: Run | str | Path,
    data: Any = None,
    metrics: str | Iterable[str] | None = None,
    *,
    labels: Any = None,
    resize: int | tuple[int, int] | None = None,
    header: str = "auto",
    index: str = "auto",
    separator: str | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Score a run on held-out data: a tidy table with a row for each score.

    A run with a folder keeps the scores in its scores.json, with those of other metrics and of other data.

    Args:
        run: what to score: a run, or the path of its folder.
        data: held-out data, in any form that ``fit`` takes; the test part of a named set. By default the test part
            of the named set that the run was fitted to, or the rows that ``fit`` has held out of your own.
        metrics: a name of ``lt.metrics``, or several; by default those that the model's capabilities allow.
        labels: classes of the data's rows, matched with the run's by name, or the name of a table's column with them.
        resize: (height, width) of the images of a folder.
        header: whether the first line of a table of text, such as CSV, holds the columns' names: auto, yes or no.
        index: whether its first column holds row names or row numbers, which are left out: auto, yes or no.
        separator: what stands between its fields: a character, ``tab`` or ``space``; None to find it.
        settings: ``seed``, ``batch_size`` and ``max_rows`` of every evaluation (`EvaluationSettings`), and settings
            of single metrics, whose names begin with the metric's, such as ``iwae_samples`` and ``ais_chains``;
            ``latentia evaluate --help`` lists all of them with their defaults.

    Returns:
        A DataFrame with metric, value, stderr, unit, kind, n, data, run, recipe, seed (of the training), measure,
        direction, reason, settings.

    Raises:
        UsageError: for a metric or a setting that does not exist, a setting's value that is not allowed, or if there
            is no held-out data.
        DataError: for data that is not like the run's.

    Example:
        >>> import numpy as np, latentia as lt
        >>> rows = np.random.default_rng(0).normal(size=(200, 2))
        >>> run = lt.fit("gaussian-mixture", rows[:100], components=1)
        >>> evaluate(run, rows[100:], metrics=["log-likelihood"])[["metric", "unit", "kind", "n"]].values.tolist()
        [['log-likelihood', 'nats', 'exact', 100]]
    """
    run = load(run) if isinstance(run, str | Path) else run
    text = {"header": header, "index": index, "separator": separator}
    rows = held_out_rows(run, data, labels=labels, resize=resize, **text)
    return table(scores(run, rows, metrics, EvaluationSettings.named(**settings)))


def scores(
    run: Run,
    data: Any = None,
    metrics: str | Iterable[str] | None = None,
    settings: EvaluationSettings | None = None,
) -> list[Score]:
    """Return what ``evaluate`` shows as records, and keep them in the run's folder if it has one."""
    rows = held_out_rows(run, data)
    folder = run.path if run.path is not None and (run.path / CONFIG).exists() else None
    before = [] if folder is None else read_scores(folder)
    about = {"data": rows.name, "fingerprint": fingerprint(rows), **_identity(run)}
    evaluation = Evaluation(
        run.model,
        _as_seen(run, rows),
        settings or EvaluationSettings(),
        conditional=run.recipe.conditional,
        train_rows=lambda: _as_seen(run, train_rows(run)),
    )
    names = [metrics] if isinstance(metrics, str) else metrics
    repeats = _repeats(run, rows)
    found = (replace(each, **about) for each in score(evaluation, names))
    result = [replace(each, settings={**each.settings, **repeats}) for each in found]
    if folder is not None:
        write_scores(_with_new(before, result), folder)
    return result


def _repeats(run: Run, rows: Rows) -> dict[str, float]:
    """Return which fraction of the held-out rows of the run's own table repeats a training row, where some do."""
    if rows.spec.is_image or rows.name != own_part(run.data):
        return {}
    try:
        fraction = repeated(rows, train_rows(run))
    except UsageError:  # the training rows are not there any more
        return {}
    return {REPEATS: fraction} if fraction else {}


def _identity(run: Run) -> dict[str, Any]:
    """Return which run a score is of: its folder's name, its recipe and the seed of its training."""
    folder = "" if run.path is None else run.path.resolve().name
    return {"run": folder, "recipe": run.name or "", "seed": run.training.seed}


def held_out_rows(run: Run, data: Any = None, **reading: Any) -> Rows:
    """Return rows to score a run on, checked against what it was fitted to.

    Raises:
        UsageError: where no data is given, and nothing was held out or it is no longer there.
        DataError: for rows of another shape or other values.
    """
    if data is None:
        data = run.data["name"] if run.data["named"] else _rows_held_out(run)
    if is_named(data):
        reading |= {"split": "test", "seed": run.data["split_seed"], "name": part_name("test", data)}
        same = run.training if data == run.data["name"] else Training()
        reading |= {"copies": copies_in(same, run.data.get("split_rule"))}
    elif "test" in parts_of(data):
        reading |= {"split": "test"}
    if run.spec.conditions and not isinstance(data, Rows):
        reading |= {"context": [condition.name for condition in run.spec.conditions]}
    try:
        rows = read_rows(data, support=str(run.spec.support), like=run.spec, **reading)
    except DataError as error:
        if ", outside" not in str(error):
            raise
        other = read_rows(data, **reading)  # errors of the rows themselves come first
        raise DataError(f"{_unlike(run, other)}: {str(error).partition(', outside')[0]}") from None
    if isinstance(rows, Stream):
        raise UsageError("evaluate needs rows that can be chosen by number; a DataLoader's cannot")
    if rows.spec.event_shape != run.spec.event_shape:
        raise DataError(_unlike(run, read_rows(data, **reading)))
    _check_categories(run.spec, rows)
    return in_units_of(run.spec, rows)


def _as_seen(run: Run, rows: Rows) -> Rows:
    """Return rows as the run's model sees them: in its numbers of classes, and transformed."""
    if run.recipe.conditional:
        rows = in_context_of(run.model_spec, rows)
    return seen_by(run.recipe, rows)


def _check_categories(spec: DataSpec, rows: Rows) -> None:
    """Raise `DataError` for other columns than a run's, and numbers of categories that stand for other names."""
    if spec.columns and rows.spec.columns and spec.columns != rows.spec.columns:
        ours, theirs = ", ".join(spec.columns), ", ".join(rows.spec.columns)
        raise DataError(
            f"the columns of {rows.name} are {theirs}, and the run's are {ours}: give them as a frame"
        )
    pairs = zip(spec.columns, spec.categories, rows.spec.categories)  # noqa: B905  (either may know no names)
    for column, ours, theirs in pairs:
        if ours != theirs:
            raise DataError(
                f"column {column!r} of {rows.name} has the categories {', '.join(theirs) or 'none'}, and the run's are "
                f"{', '.join(ours) or 'none'}: give it these, in this order, with astype(pd.CategoricalDtype([...]))"
            )


def _unlike(run: Run, rows: Rows | Stream) -> str:
    """Return the line that says what a run is for, and what rows are that were given to it."""
    ours, theirs = run.spec, rows.spec
    return (
        f"the run is for {ours.support} rows of shape {ours.event_shape}; "
        f"{rows.name} is {theirs.support} of shape {theirs.event_shape}"
    )


def _rows_held_out(run: Run) -> Rows:
    """Return the rows that ``fit`` has held out of the user's own data."""
    official = parts_of(run.data.get("path"))
    if not run.training.validation and run.held_out is None and not official:
        raise UsageError(
            f"the run was fitted to data of your own, {run.data['name']}, of which nothing was held out: "
            "give rows with data="
        )
    again = None if run.held_out is not None else read_again(run.data, run.training)
    rows = run.held_out if again is None else again[1]
    if rows is None:
        raise UsageError(
            f"the run's folder does not hold the rows that were held out of {run.data['name']}, and they cannot "
            "be read there any more: give them with data="
        )
    return rows


def train_rows(run: Run) -> Rows:
    """Return the rows that a run was fitted to, those held out from it left out.

    Raises:
        UsageError: where they can no longer be read.
    """
    again = None if run.train_rows is not None else read_again(run.data, run.training)
    rows = run.train_rows if again is None else again[0]
    if rows is None:
        raise UsageError(
            f"this metric needs the rows that the run was fitted to, {run.data['name']}, and they cannot be read any "
            "more: a folder does not hold them; score the run that fit has returned, or fit to a named set or a file"
        )
    return rows


def write_scores(result: Iterable[Score], path: Path) -> None:
    """Write scores.json: a list of records under one key, without the folder's name, which may change."""
    records = [asdict(each) for each in result]
    for record in records:
        del record["run"]
    write_json(path / SCORES, {"scores": records})


def read_scores(path: Path) -> list[Score]:
    """Read scores.json; an empty list where there is none.

    Raises:
        RunError: for a file that is damaged, or from a newer version.
    """
    if not (path / SCORES).exists():
        return []
    named = {"run": path.resolve().name}
    try:
        return [Score(**record | named) for record in read_json(path / SCORES)["scores"]]
    except (TypeError, KeyError, ValueError) as error:
        raise RunError(
            f"{path / SCORES} holds no scores that this version knows ({error}); remove it"
        ) from error


def own_scores(run: Run) -> list[Score]:
    """Return a run's stored scores on its own held-out rows; where there are none, those on other rows."""
    stored = [] if run.path is None else read_scores(run.path)
    return [each for each in stored if each.data == own_part(run.data)] or stored


def _with_new(before: Iterable[Score], new: Iterable[Score]) -> list[Score]:
    """Return scores with new ones in the place of those of the same metric on the same rows."""
    replaced = {(each.metric, each.data, each.fingerprint) for each in new}
    kept = [each for each in before if (each.metric, each.data, each.fingerprint) not in replaced]
    return sorted([*kept, *new], key=lambda each: (each.data, each.metric))
