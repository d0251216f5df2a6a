"""Named tables with columns of different kinds: numbers, words, dates and gaps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch

from latentia.data.ingest.csv import read_csv
from latentia.data.ingest.download import PublishedFile, fetch, side_by_side
from latentia.data.ingest.tables import TableReading, read_table
from latentia.data.rows import Rows
from latentia.data.splits import COPIES, check_split, official_part, seeded_part
from latentia.options import OneOf
from latentia.registry import datasets

if TYPE_CHECKING:
    import pandas as pd

Copies = Annotated[str, OneOf(*COPIES)]


@datasets.register("penguins")
def penguins(split: str = "train", seed: int = 0, *, copies: Copies = "auto") -> Rows:
    """Penguins of three species, 344 rows of 3 columns of words, 4 measurements and the year; comes with the package.

    Some measurements are missing. Split 80, 10 and 10 % by seed. Collected by K. Gorman and the Palmer Station LTER,
    as in palmerpenguins (Horst, Hill and Gorman 2020), which dedicates the data to the public domain (CC0 1.0).

    Args:
        split: train, validation, test or all.
        seed: of the split.
        copies: of rows: keep, group in one part, drop, or auto.
    """
    return _seeded(Path(__file__).with_name("penguins.csv"), "penguins", split, seed, copies)


_CALIFORNIA = PublishedFile(
    "california/housing.csv",
    "https://raw.githubusercontent.com/ageron/data/main/housing/housing.csv",
    ("sha256:2364609dc48bec7df3ba9dbb7041478e704ecddcee70ef1827ec3fc49d22c0cc",),
)


@datasets.register("california")
def california(split: str = "train", seed: int = 0, *, copies: Copies = "auto") -> Rows:
    """Districts of California in 1990, 20,640 rows of 9 numbers and the proximity of the ocean, 207 of them with a gap.

    Split 80, 10 and 10 % by seed. Pace and Barry (1997), StatLib; gaps and ocean_proximity by A. Géron.

    Args:
        split: train, validation, test or all.
        seed: of the split.
        copies: of rows: keep, group in one part, drop, or auto.
    """
    check_split(split)  # before anything is fetched
    return _seeded(fetch(_CALIFORNIA), "california", split, seed, copies)


_SEATTLE = PublishedFile(
    "seattle-weather/seattle-weather.csv",
    "https://raw.githubusercontent.com/altair-viz/vega_datasets/master/vega_datasets/_data/seattle-weather.csv",
    ("sha256:62f0609f787158128aa2bd102967173a4953122dd4f872bf1d502cae1037df0b",),
)


@datasets.register("seattle-weather")
def seattle_weather(split: str = "train", seed: int = 0, *, copies: Copies = "auto") -> Rows:
    """Days of weather in Seattle, 1,461 rows of the date, 4 measurements and one of 5 words.

    Split 80, 10 and 10 % by seed. NOAA, as in vega_datasets.

    Args:
        split: train, validation, test or all.
        seed: of the split.
        copies: of rows: keep, group in one part, drop, or auto.
    """
    check_split(split)  # before anything is fetched
    return _seeded(fetch(_SEATTLE), "seattle-weather", split, seed, copies)


_ADULT = side_by_side(
    "adult",
    "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/",
    {
        "adult.data": "sha256:5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        "adult.test": "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    },
)
_ADULT_COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip


@datasets.register("adult")
def adult(split: str = "train", seed: int = 0) -> Rows:
    """People of a census of 1994, 32,561 + 16,281 rows of 6 numbers and 9 columns of words, some of them missing.

    Official test part; 3,256 training rows, chosen by seed, are the validation part. What columns there are is found
    from both files. Kohavi and Becker (1996), UCI repository, CC BY 4.0.
    """
    check_split(split)  # before anything is fetched
    import pandas as pd

    parts = [_census(fetch(_ADULT[name]), lines) for name, lines in (("adult.data", 0), ("adult.test", 1))]
    rows = read_table(pd.concat(parts, ignore_index=True), "adult", TableReading())
    train, test = torch.arange(len(rows)).split([len(part) for part in parts])
    return official_part(
        lambda part: rows.select(test if part == "test" else train), split, seed, validation=3_256
    )


def _census(path: Path, lines: int) -> pd.DataFrame:
    """Read one of UCI's files, of which the first lines may be no rows; classes of the test file end in a full stop."""
    import pandas as pd

    frame = pd.read_csv(
        path, header=None, names=list(_ADULT_COLUMNS), skiprows=lines, skipinitialspace=True, na_values="?"
    )
    return frame.assign(income=frame["income"].str.removesuffix("."))


def _seeded(path: Path, name: str, split: str, seed: int, copies: str) -> Rows:
    return seeded_part(read_table(read_csv(path), name, TableReading()), split, seed, copies)
