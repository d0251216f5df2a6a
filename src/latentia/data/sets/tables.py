"""Named tables. Each comes with its files: place in the cache, publisher's address, checksums."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from latentia.data.ingest.csv import read_csv
from latentia.data.ingest.download import PublishedFile, fetch, side_by_side
from latentia.data.ingest.raw import Raw
from latentia.data.rows import Rows
from latentia.data.spec import Support
from latentia.data.splits import COPIES, check_split, seeded_part
from latentia.errors import DataError, UsageError
from latentia.options import OneOf
from latentia.registry import check_name, datasets, unknown

if TYPE_CHECKING:
    import pandas as pd

Copies = Annotated[str, OneOf(*COPIES)]

_FREMONT = "https://data.seattle.gov/api/views/65db-xm6k/rows.csv?accessType=DOWNLOAD"
# A live export, which grows: its bytes cannot be known beforehand.
_EXPORTS = {
    "2019": PublishedFile("fremont/FremontBridge.csv", _FREMONT),
    "2025": PublishedFile("fremont/2025/FremontBridge.csv", _FREMONT, direct=False),
}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@datasets.register("fremont")
def fremont(split: str = "train", seed: int = 0, *, export: str = "2019", copies: Copies = "auto") -> Rows:
    """Bicycles an hour over Seattle's Fremont Bridge, 24 counts a day and sidewalk, 7 classes (weekdays).

    Complete days only: days on which the clocks go forward lack an hour and are left out. From 21 April 2015
    on, the two exports disagree which sidewalk is east; each is taken at its word. Split 80, 10 and 10 % by
    seed. Seattle Department of Transportation.

    Args:
        split: train, validation, test or all.
        seed: of the split.
        export: 2019 (the file of many textbooks) or 2025 (today's columns); it may be a later one of that form.
        copies: of rows: keep, group in one part, drop, or auto.
    """
    check_split(split)  # before anything is fetched
    check_name("export", export, _EXPORTS)
    counts, weekdays = daily_counts(fetch(_EXPORTS[export]))
    hours = tuple(f"{hour:02}:00" for hour in range(24))
    raw = Raw(counts, weekdays, Support("real"), _WEEKDAYS, hours)
    return seeded_part(raw.rows("fremont"), split, seed, copies)


_WINE = side_by_side(
    "wine-quality",
    "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/",
    {
        "winequality-red.csv": "sha256:4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e",
        "winequality-white.csv": "sha256:76c3f809815c17c07212622f776311faeb31e87610d52c26d87d6e361b169836",
    },
)


@datasets.register("wine-quality")
def wine_quality(
    split: str = "train", seed: int = 0, *, label: str = "colour", copies: Copies = "auto"
) -> Rows:
    """Portuguese wines, 6,497 rows of 11 physical and chemical measurements; classes red and white.

    Split 80, 10 and 10 % by seed. Cortez and others (2009), UCI repository.

    Args:
        split: train, validation, test or all.
        seed: of the split.
        label: what the classes are: colour, or the tasters' quality mark.
        copies: of rows: keep, group in one part, drop, or auto.
    """
    check_split(split)  # before anything is fetched
    if label not in ("colour", "quality"):
        raise UsageError(unknown("label", label, ("colour", "quality")))
    colours = ("red", "white")
    tables = [read_csv(fetch(_WINE[f"winequality-{colour}.csv"])) for colour in colours]
    values = np.concatenate([table.drop(columns="quality").to_numpy() for table in tables])
    marks = np.concatenate([table["quality"].to_numpy() for table in tables])
    kinds = np.repeat(colours, [len(table) for table in tables])
    columns = tuple(str(column) for column in tables[0].columns if column != "quality")
    raw = Raw(values, kinds if label == "colour" else marks, Support("real"), columns=columns)
    return seeded_part(raw.rows("wine-quality"), split, seed, copies)


_GEYSER = PublishedFile(
    "geyser/geyser.csv",
    "https://raw.githubusercontent.com/mwaskom/seaborn-data/master/geyser.csv",
    ("sha256:ce8f6bd15967c9a3dee345aaf268f6b92623abb1e1d313e04d79b720aa6b8bd6",),
)


@datasets.register("old-faithful")
def old_faithful(split: str = "train", seed: int = 0, *, copies: Copies = "auto") -> Rows:
    """Eruptions of the Old Faithful geyser, 272 rows of duration and waiting time, classes long and short.

    In minutes. Split 80, 10 and 10 % by seed. Azzalini and Bowman (1990).

    Args:
        split: train, validation, test or all.
        seed: of the split.
        copies: of rows: keep, group in one part, drop, or auto.
    """
    check_split(split)  # before anything is fetched
    table = read_csv(fetch(_GEYSER))
    columns = ("duration", "waiting")
    raw = Raw(table[list(columns)].to_numpy(), table["kind"].to_numpy(), Support("real"), columns=columns)
    return seeded_part(raw.rows("old-faithful"), split, seed, copies)


def daily_counts(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read hourly counts of the Fremont Bridge as days: (2n, 24) counts and (2n,) weekdays, Monday 0.

    The east sidewalk's days come first, then the west's. Column names and their order differ between exports,
    and a total that some have is left out; rows run forwards or backwards. Days with an hour that is missing,
    empty or counted twice are left out.

    Raises:
        DataError: for a table without a date, an east and a west column.
    """
    import pandas as pd

    table = read_csv(path)
    sides = [[column for column in table.columns if side in str(column)] for side in ("East", "West")]
    if "Date" not in table or any(len(columns) != 1 for columns in sides):
        raise DataError(
            f"{path} has columns {', '.join(map(str, table.columns))}; expected Date, one East and one West"
        )
    time = pd.to_datetime(table["Date"], format="%m/%d/%Y %I:%M:%S %p")
    days = [_days(table[columns[0]].to_numpy(), time) for columns in sides]
    weekdays = [pd.DatetimeIndex(part.index).day_of_week.to_numpy() for part in days]
    return np.concatenate([part.to_numpy() for part in days]), np.concatenate(weekdays).astype(np.int64)


def _days(counts: np.ndarray, time: pd.Series) -> pd.DataFrame:
    """Return the complete days of hourly counts, one row a day, by date."""
    import pandas as pd

    table = pd.DataFrame({"day": time.dt.normalize(), "hour": time.dt.hour, "count": counts})
    once = table[~table.duplicated(["day", "hour"], keep=False)]
    days = once.pivot_table(index="day", columns="hour", values="count", aggfunc="first")
    return days.reindex(columns=range(24)).dropna()
