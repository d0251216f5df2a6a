"""Verbs that judge a run."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latentia.cli.commands import verbs
from latentia.cli.rows import Source
from latentia.cli.tables import print_scores
from latentia.metrics.settings import CommonSettings, EvaluationSettings, settings_of_metric
from latentia.registry import metrics
from latentia.signatures import Option


def metrics_own(words: Sequence[str]) -> dict[str, list[Option]]:  # noqa: ARG001  (all verbs' functions take them)
    """Return the settings that metrics declare, under a title for each metric."""
    return {f"{metric} options": own for metric in metrics if (own := settings_of_metric(metric))}


@verbs.register("evaluate", group="Judge a run", more=metrics_own)
def evaluate(
    run: Path,
    *,
    source: Source,
    metrics: tuple[str, ...] = (),
    common: CommonSettings,
    **settings: Any,
) -> None:
    """Score a run on held-out rows; print the scores and the costs of the training.

    The scores are kept in scores.json. Earlier ones there stay, except those of the same metric on the same rows.

    Args:
        run: the run folder
        metrics: names that `latentia metrics` lists; default: those that the model allows

    Examples:
        latentia evaluate runs/vae-digits
        latentia evaluate runs/vae-digits --metrics elbo iwae --iwae-samples 500
        latentia evaluate runs/vae-digits --metrics ais surgery gaps --ais-rows 50
        latentia evaluate runs/gan-ring --metrics modes memorisation --max-rows 2500
        latentia evaluate runs/mine --data others.csv
    """
    from latentia.runs.evaluate import scores
    from latentia.runs.load import load

    loaded = load(run)
    rows = source.rows(loaded)
    every = EvaluationSettings.named(**asdict(common), **settings)
    print_scores(scores(loaded, rows, metrics or None, every))
    if loaded.costs is not None:
        print(f"\ncosts: {loaded.costs}")


@verbs.register("report", group="Judge a run")
def report(
    run: Path,
    *,
    source: Source,
) -> None:
    """Write a run's report.html anew: curves, samples next to real rows, reconstructions, scores.

    Args:
        run: the run folder

    Examples:
        latentia report runs/vae-digits
    """
    from latentia.report.page import write_report
    from latentia.runs.load import load

    loaded = load(run)
    rows = None if source.data is None else source.rows(loaded)
    print(write_report(loaded, rows))
