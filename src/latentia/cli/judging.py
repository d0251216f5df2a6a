"""Verbs that judge a run."""

from __future__ import annotations

from pathlib import Path

from latentia.cli.tables import print_scores
from latentia.cli.verb import verbs


@verbs.register("evaluate", group="Judge a run")
def evaluate(
    run: Path,
    *,
    data: str | None = None,
    metrics: tuple[str, ...] = (),
    seed: int = 0,
    iwae_samples: int = 100,
    labels: str | None = None,
    resize: tuple[int, int] | None = None,
) -> None:
    """Score a run on held-out rows; print the scores and write scores.json.

    Args:
        run: the run folder
        data: held-out rows, a name or a file; the test part of the named set it was fitted to without
        metrics: names that `latentia metrics` lists; those that the model allows without
        seed: of every draw
        iwae_samples: K of the importance-weighted bound
        labels: the column of a table that holds classes
        resize: height and width to give the images of a folder

    Examples:
        latentia evaluate runs/vae-digits
        latentia evaluate runs/vae-digits --metrics elbo iwae --iwae-samples 500
        latentia evaluate runs/mine --data others.csv
    """
    from latentia.cli.rows import held_out
    from latentia.runs.evaluate import scores
    from latentia.runs.folder import load

    loaded = load(run)
    rows = held_out(loaded, data, labels=labels, resize=resize)
    print_scores(scores(loaded, rows, metrics or None, seed=seed, iwae_samples=iwae_samples))


@verbs.register("report", group="Judge a run")
def report(
    run: Path,
    *,
    data: str | None = None,
    labels: str | None = None,
    resize: tuple[int, int] | None = None,
) -> None:
    """Write a run's report.html anew: curves, samples beside real rows, reconstructions, scores.

    Args:
        run: the run folder
        data: real rows to show, a name or a file; the test part of the named set it was fitted to without
        labels: the column of a table that holds classes
        resize: height and width to give the images of a folder

    Examples:
        latentia report runs/vae-digits
    """
    from latentia.cli.rows import held_out
    from latentia.report.page import write_report
    from latentia.runs.folder import load

    loaded = load(run)
    rows = None if data is None else held_out(loaded, data, labels=labels, resize=resize)
    print(write_report(loaded, rows))
