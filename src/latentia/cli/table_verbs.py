"""Verbs that give each row of a table something: a likelihood, or its missing values."""

from pathlib import Path
from typing import Annotated

from latentia.cli.commands import verbs
from latentia.cli.rows import Source
from latentia.cli.run_verbs import conditions
from latentia.options import Count, OneOf, Seed


@verbs.register("score", group="Use a run")
def score(
    run: Path,
    *,
    source: Source,
    given: tuple[str, ...] = (),
    samples: Count = 100,
    seed: Seed = 0,
    out: Path | None = None,
) -> None:
    """Write the log-likelihood of every row, in nats, for anomaly scores: rare rows have low values.

    The column is log_prob where the model's density is exact, and log_prob_bound where it is a lower bound.

    Args:
        run: the run folder
        given: what to condition on, such as class=3, for conditional models; default: each row's own
        samples: K of a lower bound, the importance-weighted one
        seed: of the bound's draws
        out: FILE.csv, FILE.parquet or FILE.npy; default: score.csv in the run folder

    Examples:
        latentia score runs/vae-penguins --data rows.csv --out scores.csv
    """
    import torch

    from latentia.cli.pictures import write_numbers
    from latentia.cli.rows import chosen
    from latentia.report.report_rows import with_own
    from latentia.runs.load import load
    from latentia.runs.progress import counted

    loaded, asked = load(run), conditions(given)
    rows, kind = source.rows(loaded), loaded.log_prob_kind(samples)
    path = out or run / "score.csv"
    numbers = counted(torch.arange(len(rows)).split(1000), len(rows), path.name)
    blocks = (chosen(loaded, rows, block.tolist()) for block in numbers)
    nats = [
        with_own(each, lambda x, c: loaded.log_prob(x, asked or c, samples=samples, seed=seed))
        for each in blocks
    ]
    name = "log_prob" if kind == "exact" else "log_prob_bound"
    print(write_numbers(torch.cat(nats), [name], path))
    print(f"{name} of {len(rows)} rows of {rows.name}, in nats: {kind}")


@verbs.register("impute", group="Use a run")
def impute(
    run: Path,
    *,
    data: Path,
    given: tuple[str, ...] = (),
    draws: Count = 1,
    seed: Seed = 0,
    header: Annotated[str, OneOf("auto", "yes", "no")] = "auto",
    index: Annotated[str, OneOf("auto", "yes", "no")] = "auto",
    separator: str | None = None,
    out: Path | None = None,
) -> None:
    """Fill the missing values of a table by draws given the other values of the same row; nothing else changes.

    Args:
        run: the run folder
        data: a .csv or .parquet file with the columns that the run was fitted to, or an array in .npy
        given: what to condition on, such as class=3, for conditional models
        draws: how often each value is drawn; several fill a column called draw, or the first dimension of an array
        seed: of the first draw; the next ones have the next seeds
        header: whether the first line of a table of text holds the columns' names
        index: whether its first column holds row names or row numbers, which are left out
        separator: what stands between its fields: a character, tab or space; default: found in the file
        out: FILE.csv, FILE.parquet or FILE.npy, as the data; default: impute.csv or .npy in the run folder

    Examples:
        latentia impute runs/gaussian-mixture-penguins --data holes.csv --out filled.csv
        latentia impute runs/vae-penguins --data holes.csv --draws 5 --seed 1 --out filled.parquet
    """
    from latentia.cli.filling import write_filled
    from latentia.data.ingest.layout import TextOptions
    from latentia.runs.load import load

    loaded, options = load(run), TextOptions(header, index, separator)
    print(write_filled(loaded, data, options, conditions(given), draws, seed, out))
