"""The kind of columns of dates and times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from latentia.data.columns.column import Column
from latentia.data.columns.kind import Draws, Numbers
from latentia.data.columns.numbers import bounds, inside, on_step
from latentia.data.columns.types import family_of, typed
from latentia.data.support import Support
from latentia.errors import DataError
from latentia.registry import column_kinds

if TYPE_CHECKING:
    import pandas as pd

_UNITS = ("D", "h", "m", "s", "ms", "us")
COMPACT = "%Y%m%d"
_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%-m/%-d/%Y",
    "%-d/%-m/%Y",
    "%-m/%-d/%y",
    "%-d/%-m/%y",
    "%-d.%-m.%Y",
)  # a minus: without leading zeros; times may have milliseconds (%3f), and an offset or Z that all have
_ZONE = re.compile(r":\d\d(?:\.\d+)?\s?(Z|[+-]\d\d:?\d\d)$")
_SOME = 100  # values that a format is tried on first
_DISTINCT = 10  # valid dates among whole numbers of eight digits, from which they are taken for dates


@column_kinds.register("datetime")
class Datetime:
    """Dates and times: read as whole steps since the first, written back in their format and type."""

    def learn(self, series: pd.Series, detail: str) -> dict[str, Any]:
        """Return the format of written dates, the unit and step, the first date, and the largest number of steps."""
        found = format_of(series, detail)
        facts: dict[str, Any] = {"format": found} if found else {}
        times = _times(series, facts)
        times = times[~np.isnat(times)]
        unit = _unit(times)
        first = times.min().astype(f"M8[{unit}]")
        x = ((times - first) / np.timedelta64(1, unit)).astype(np.float64)
        steps = np.diff(np.unique(x)).astype(np.int64)
        step = int(np.gcd.reduce(steps)) if len(steps) else 1
        zone = {"zone": _zone(series)} if _zone(series) else {}
        return facts | {"unit": unit, "first": str(first), "step": step, **bounds(x), **zone}

    def support(self, column: Column) -> Support | None:
        """Return real support: steps are rounded when they are written back."""
        return Support("real", missing=column.missing)

    def to_numbers(self, series: pd.Series, column: Column) -> Numbers:
        """Return whole steps since the first date."""
        facts = column.facts
        times = _times(series, facts, column.name)
        first = np.datetime64(facts["first"])
        steps = (times - first) / np.timedelta64(1, facts["unit"])
        return np.where(np.isnat(times), np.nan, steps)

    def to_series(self, numbers: Numbers, column: Column, draws: Draws) -> pd.Series:  # noqa: ARG002
        """Return the dates of the nearest steps, between the first and the last."""
        facts, gaps = column.facts, np.isnan(numbers)
        steps = on_step(inside(np.where(gaps, 0, numbers), facts), facts).astype(np.int64)
        times = np.datetime64(facts["first"], facts["unit"]) + steps.astype(f"m8[{facts['unit']}]")
        times = times.astype("M8[us]") if facts["unit"] != "ns" else times
        times[gaps] = np.datetime64("NaT")
        return _given_back(times, column)


def format_of(series: pd.Series, declared: str = "") -> str:
    """Return the format that all written dates have, empty for those that are of a type of dates.

    Raises:
        DataError: where none fits, or two do.
    """
    family, name = family_of(series), str(series.name)
    if family == "date":
        return ""
    if declared:
        _parsed(_texts(series), declared, name)
        return declared
    fits = written_formats(series) if family == "words" else [COMPACT] * is_compact(series, 1)
    if len(fits) != 1:
        found = f"fits {' and '.join(fits)}" if fits else "has no format that is known"
        raise DataError(
            f"column {name!r}, with {series.dropna().iloc[0]!r}, {found}: declare it, as in {name}=datetime:%d/%m/%Y"
        )
    return fits[0]


def written_formats(series: pd.Series) -> list[str]:
    """Return the formats that fit all of a column's words."""
    present = _texts(series).dropna()
    some = present.iloc[:_SOME].unique()
    if not len(some) or not str(some[0])[-1:].isalnum() or not any(map(str.isdigit, str(some[0]))):
        return []
    likely = [each for each in _candidates(str(some[0])) if _fits(some, each)]
    words = present.unique() if likely else some
    fits = [each for each in likely if _fits(words, each)]
    return fits if len({each.replace("%-", "%") for each in fits}) > 1 else fits[:1]


def _candidates(word: str) -> Iterator[str]:
    """Yield the formats that a written date may have: with microseconds or milliseconds, and with the word's zone."""
    zone = _ZONE.search(word)
    ending = word[zone.start(1) - word[zone.start(1) - 1].isspace() :] if zone else ""
    for each in _FORMATS:
        if zone is None or "%M" in each:
            yield each + ending
            yield from [each.replace("%f", "%3f") + ending] * ("%f" in each)


def _parsing(form: str) -> str:
    """Return a format as pandas reads it, which knows no leading zeros left out and no milliseconds."""
    return form.replace("%-", "%").replace("%3f", "%f")


def is_compact(series: pd.Series, distinct: int = _DISTINCT) -> bool:
    """Whether whole numbers are unmistakably dates as 20230623: all valid, of 1900 to 2099, and not few."""
    words = _texts(series).dropna().unique()
    if len(words) < distinct or not all(
        len(word) == 8 and word[:2] in ("19", "20") for word in words[:_SOME]
    ):
        return False
    return (
        _fits(words[:_SOME], COMPACT) and _fits(words, COMPACT) and all(w[:2] in ("19", "20") for w in words)
    )


def _fits(words: Any, form: str) -> bool:
    import pandas as pd

    try:
        times = pd.to_datetime(pd.Series(words), format=_parsing(form))
    except (ValueError, TypeError, OverflowError):
        return False
    return bool((_as_texts(times.to_numpy(), form) == np.asarray(words, dtype=object)).all())


def _texts(series: pd.Series) -> pd.Series:
    """Return whole numbers, or words, as words."""
    if family_of(series) in ("integer", "float"):
        return series.astype("Int64").astype("str").where(series.notna())
    return series


def _times(series: pd.Series, facts: Any, name: str = "") -> np.ndarray:
    """Return the local times of a column as NumPy has them."""
    import pandas as pd

    if "format" in facts:
        return _parsed(_texts(series), facts["format"], name or str(series.name)).to_numpy()
    times = series if str(series.dtype).startswith("datetime64") else pd.to_datetime(_plain_objects(series))
    times = times if times.dt.tz is None else times.dt.tz_localize(None)
    return times.to_numpy()


def _plain_objects(series: pd.Series) -> pd.Series:
    import pandas as pd

    return series.astype(object) if isinstance(series.dtype, pd.ArrowDtype) else series


def _parsed(words: pd.Series, form: str, name: str) -> pd.Series:
    """Return the times that distinct words say, each parsed once."""
    import pandas as pd

    codes, found = pd.factorize(words)
    try:
        times = pd.to_datetime(pd.Series(np.asarray(found, dtype=object)), format=_parsing(form)).to_numpy()
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split(". ")[0].split())
        raise DataError(f"column {name!r} holds what is no date of the format {form}: {reason}") from error
    return pd.Series(np.append(times, np.datetime64("NaT"))[codes])


def _zone(series: pd.Series) -> str:
    """Return the time zone of a column's type, empty where it has none, as Arrow's dates."""
    import pandas as pd

    dtype = series.dtype
    zone = getattr(dtype.pyarrow_dtype if isinstance(dtype, pd.ArrowDtype) else dtype, "tz", None)
    return "" if zone is None else str(zone)


def _unit(times: np.ndarray) -> str:
    """Return the largest unit that divides all times."""
    for unit in _UNITS:
        if (times.astype(f"M8[{unit}]").astype(times.dtype) == times).all():
            return unit
    return "ns"


def _given_back(times: np.ndarray, column: Column) -> pd.Series:
    import pandas as pd

    facts, dtype = column.facts, column.dtype
    if "format" in facts:
        codes, found = pd.factorize(times)
        words = np.array([*_as_texts(np.asarray(found), facts["format"]), None], dtype=object)[codes]
        number = "int" in dtype.lower() or "float" in dtype.lower()
        return typed(pd.Series(words).astype("Int64") if number else pd.Series(words, dtype=object), column)
    series = pd.Series(times)
    if dtype == "object":
        dates = series.dt.date if facts["unit"] == "D" else series
        return dates.astype(object).where(series.notna(), None)
    if "zone" in facts:
        always = np.ones(len(series), dtype=bool)
        series = series.dt.tz_localize(facts["zone"], ambiguous=always, nonexistent="shift_forward")
    return typed(series, column)


def _as_texts(times: np.ndarray, form: str) -> np.ndarray:
    import pandas as pd

    marked = form.replace("%-", "\0%").replace("%3f", "%f\1")
    words = pd.DatetimeIndex(times).strftime(marked)
    shortened = words if marked == form else [re.sub("\0 ?0?|[0-9]{3}\1", "", word) for word in words]
    return np.asarray(shortened, dtype=object)
