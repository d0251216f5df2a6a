"""Verbs that judge a run."""

from __future__ import annotations

from pathlib import Path

from latentia.cli.commands import verbs
from latentia.cli.rows import Source
from latentia.cli.tables import print_scores


@verbs.register("evaluate", group="Judge a run")
def evaluate(
    run: Path,
    *,
    source: Source,
    metrics: tuple[str, ...] = (),
    seed: int = 0,
    iwae_samples: int = 100,
    max_rows: int = 2000,
    ais_rows: int = 100,
    ais_chains: int = 8,
    ais_temperatures: int = 500,
) -> None:
    """Score a run on held-out rows; print the scores, and what the training cost, and keep the scores in scores.json.

    Earlier scores there stay, except those of the same metric on the same rows.

    Args:
        run: the run folder
        metrics: names that `latentia metrics` lists; those that the model allows without
        seed: of every draw
        iwae_samples: K of the importance-weighted bound
        max_rows: rows and samples that metrics of samples look at
        ais_rows: rows that annealed importance sampling (ais, bidirectional-gap, gaps) looks at
        ais_chains: its chains for each row
        ais_temperatures: steps that its chains take from the prior to the posterior

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
    settings = {
        "iwae_samples": iwae_samples,
        "max_rows": max_rows,
        "ais_rows": ais_rows,
        "ais_chains": ais_chains,
        "ais_temperatures": ais_temperatures,
    }
    print_scores(scores(loaded, rows, metrics or None, seed=seed, **settings))
    if loaded.costs is not None:
        print(f"\ncosts: {loaded.costs}")


@verbs.register("report", group="Judge a run")
def report(
    run: Path,
    *,
    source: Source,
) -> None:
    """Write a run's report.html anew: curves, samples beside real rows, reconstructions, scores.

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
