"""Verbs that use a run: pictures and arrays of what its model can do."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from latentia.cli.commands import verbs
from latentia.cli.rows import Source
from latentia.errors import UsageError
from latentia.options import AtLeast, Count, OneOf, Positive, Seed, Whole
from latentia.registry import interpolations
from latentia.signatures import Option


def sampling_options(words: Sequence[str]) -> dict[str, list[Option]]:
    """Return the sampling options of the run whose folder is among some words; none where there is no such folder."""
    from latentia.runs.entries import CONFIG

    folders = [Path(word) for word in words if (Path(word) / CONFIG).is_file()]
    if not folders:
        return {}
    from latentia.runs.load import load

    return {"sampling options": list(load(folders[0]).sampling_options.values())}


@verbs.register("sample", group="Use a run", more=sampling_options)
def sample(
    run: Path,
    *,
    n: Count = 64,
    given: tuple[str, ...] = (),
    seed: Seed | None = None,
    out: Path | None = None,
    **options: Any,
) -> None:
    """Draw samples: a grid of images, a scatter plot of points, a table like the data, or an array.

    Tables, arrays and folders of images are written in blocks: any number of rows takes little memory.

    A run may have sampling options of its own, such as rejection by the critic of an adversarial training:
    `latentia sample RUN --help` shows them.

    Args:
        run: the run folder
        n: how many
        given: what to condition on, such as class=3 or, of a number or angle, azimuth=0:90, the way from one to
            another; of a table also values of columns, such as age=40
        seed: of the draw; default: new samples each time
        out: FILE.png, FILE.csv, FILE.parquet, FILE.npy, or a new folder for single images; default: sample.png,
            sample.csv or sample.npy in the run folder

    Examples:
        latentia sample runs/vae-digits
        latentia sample runs/vae-digits --n 1000 --seed 0 --out samples.npy
        latentia sample runs/vae-penguins --n 100000 --given species=Adelie --out made.csv
        latentia sample runs/gan-ring --help
    """
    from latentia.cli.pictures import write_samples
    from latentia.runs.load import load

    print(write_samples(load(run), n, conditions(given), seed, out, options))


@verbs.register("encode", group="Use a run")
def encode(
    run: Path,
    *,
    source: Source,
    given: tuple[str, ...] = (),
    critic: bool = False,
    layer: str | None = None,
    out: Path | None = None,
) -> None:
    """Write the mean code of every row, as an array (n, d) or a table.

    Args:
        run: the run folder
        given: what to condition on, such as class=3, for conditional models; default: each row's own
        critic: encode by the critic of an adversarial run: what its last layer reads
        layer: the critic's layer to encode by instead, then implied, such as layers.2
        out: FILE.npy, FILE.csv or FILE.parquet; default: encode.npy in the run folder

    Examples:
        latentia encode runs/vae-digits --data digits --out codes.npy
        latentia encode runs/gan-digits --critic --out features.npy
    """
    import torch

    from latentia.cli.pictures import write_numbers
    from latentia.cli.rows import chosen
    from latentia.report.report_rows import with_own
    from latentia.runs.load import load

    loaded, asked = load(run), conditions(given)
    rows = source.rows(loaded)
    blocks = (chosen(loaded, rows, block.tolist()) for block in torch.arange(len(rows)).split(1000))
    encode_rows = partial(loaded.features, layer=layer) if critic or layer else loaded.encode
    codes = torch.cat([with_own(block, lambda x, c: encode_rows(x, asked or c)) for block in blocks])
    print(write_numbers(codes, [f"z{j}" for j in range(codes.shape[1])], out or run / "encode.npy"))


@verbs.register("reconstruct", group="Use a run")
def reconstruct(
    run: Path,
    *,
    source: Source,
    n: Count = 8,
    given: tuple[str, ...] = (),
    out: Path | None = None,
) -> None:
    """Encode rows and decode them again: a picture with the rows on top, a table, or an array.

    A table has the reconstructions; an array is (2, n, ...): the rows, and their reconstructions.

    Args:
        run: the run folder
        n: how many, from the first
        given: what to condition on, such as class=3, for conditional models; default: each row's own
        out: FILE.png, FILE.csv, FILE.parquet or FILE.npy; default: reconstruct.png, .csv or .npy in the run folder

    Examples:
        latentia reconstruct runs/vae-digits
        latentia reconstruct runs/vae-digits --data mine.npy --n 16
    """
    import torch

    from latentia.cli.pictures import table_of, write_rows
    from latentia.cli.rows import first
    from latentia.figures.plots import Frame, displacements
    from latentia.report.report_rows import seen, seen_spec, with_own
    from latentia.runs.load import load

    loaded, asked = load(run), conditions(given)
    picked = first(loaded, source.rows(loaded), n)
    x_hat = with_own(picked, lambda x, c: loaded.tensors.reconstruct(x, asked or c))
    x = seen(loaded, picked)
    plot = displacements(x, x_hat, Frame.around(x), seen_spec(loaded)) if x.shape[1:] == (2,) else None
    table = partial(table_of, loaded, x_hat, asked or picked.conditions)
    pair = torch.stack([x, x_hat])
    print(write_rows(pair, loaded, "reconstruct", out, table=table, columns=len(x), plot=plot))


@verbs.register("interpolate", group="Use a run")
def interpolate(
    run: Path,
    *,
    source: Source,
    rows: tuple[Whole, Whole] = (0, 1),
    steps: Annotated[int, AtLeast(2)] = 8,
    path: Annotated[str, OneOf(interpolations)] = "spherical",
    given: tuple[str, ...] = (),
    out: Path | None = None,
) -> None:
    """Walk from one row to another through their codes: a strip of images, a plot, a table, or an array.

    Args:
        run: the run folder
        rows: the numbers of the first and the last row
        steps: rows in the walk, both ends included
        path: of the codes
        given: what to condition on, such as class=3, for conditional models; default: the row's own
        out: FILE.png, FILE.csv, FILE.parquet or FILE.npy; default: interpolate.png, .csv or .npy in the run folder

    Examples:
        latentia interpolate runs/vae-digits --rows 3 14 --steps 12
    """
    from latentia.cli.pictures import table_of, write_rows
    from latentia.cli.rows import chosen, condition
    from latentia.runs.load import load

    loaded = load(run)
    picked = chosen(loaded, source.rows(loaded), rows)
    asked = condition(picked, conditions(given))
    walk = loaded.tensors.interpolate(picked.given[0], picked.given[1], steps=steps, path=path, given=asked)
    table = partial(table_of, loaded, walk, asked)
    print(write_rows(walk, loaded, "interpolate", out, table=table, columns=steps))


@verbs.register("traverse", group="Use a run")
def traverse(
    run: Path,
    *,
    source: Source,
    row: Whole = 0,
    steps: Annotated[int, AtLeast(2)] = 9,
    span: Positive = 3.0,
    given: tuple[str, ...] = (),
    out: Path | None = None,
) -> None:
    """Move each entry of a row's code in turn: a grid with a line for each entry, a plot, a table, or an array.

    Args:
        run: the run folder
        row: the number of the row to begin from
        steps: values that each entry takes
        span: they go from -span to span
        given: what to condition on, such as class=3, for conditional models; default: the row's own
        out: FILE.png, FILE.csv, FILE.parquet or FILE.npy; default: traverse.png, .csv or .npy in the run folder

    Examples:
        latentia traverse runs/vae-digits --row 5 --span 2
    """
    from latentia.cli.pictures import write_rows
    from latentia.cli.rows import chosen, condition
    from latentia.runs.forms import moved
    from latentia.runs.load import load

    loaded = load(run)
    picked = chosen(loaded, source.rows(loaded), [row])
    asked = condition(picked, conditions(given))
    grid = loaded.tensors.traverse(picked.given[0], steps=steps, span=span, given=asked)
    print(
        write_rows(grid, loaded, "traverse", out, table=lambda: moved(grid, loaded.spec, span), columns=steps)
    )


@verbs.register("translate", group="Use a run")
def translate(
    run: Path,
    *,
    source: Source,
    n: Count = 8,
    given: tuple[str, ...] = (),
    domain: str | None = None,
    out: Path | None = None,
) -> None:
    """Carry rows into another domain: a picture with the rows on top, a table, or an array.

    A table has the translations; an array is (2, n, ...): the rows, and their translations.

    Args:
        run: the run folder
        n: how many, from the first
        given: the domain to carry them into, such as domain=zebra, and what else the model is conditioned on
        domain: the old way to write --given domain=...
        out: FILE.png, FILE.csv, FILE.parquet or FILE.npy; default: translate.png, .csv or .npy in the run folder

    Examples:
        latentia translate runs/summer-winter --data summer/ --given domain=winter
    """
    import torch

    from latentia.cli.pictures import table_of, write_rows
    from latentia.cli.rows import first
    from latentia.report.report_rows import seen
    from latentia.runs.load import load

    if domain is not None:
        print(f"latentia: note: --domain {domain} is written --given domain={domain} now", file=sys.stderr)
        given = (*given, f"domain={domain}")
    loaded, asked = load(run), conditions(given)
    picked = first(loaded, source.rows(loaded), n)
    pair = torch.stack([seen(loaded, picked), loaded.tensors.translate(picked.given, asked).cpu()])
    table = partial(table_of, loaded, pair[1], asked)
    print(write_rows(pair, loaded, "translate", out, table=table, columns=pair.shape[1]))


def conditions(given: Sequence[str]) -> dict[str, str]:
    """Read what a model is conditioned on.

    Example:
        >>> conditions(["class=3"])
        {'class': '3'}
    """
    pairs = [text.partition("=") for text in given]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise UsageError(f"--given takes name=value, such as class=3; got {name + equals + value!r}")
    return {name: value for name, _, value in pairs}
