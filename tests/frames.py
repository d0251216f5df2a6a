"""Frames of many shapes, drawn by a seed, and what holds of frames that are made like them."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from latentia.data.columns.column import Column
from latentia.data.columns.rows import frame_of, matched, natural
from latentia.data.spec import DataSpec

Draw = Callable[[np.random.Generator, int], object]


def _gaps(rng: np.random.Generator, values, share: float = 0.2):
    """Return values as objects of which some are missing, the first two excepted."""
    holes = rng.random(len(values)) < share
    holes[:2] = False
    return np.where(holes, None, np.asarray(values, dtype=object))


def _days(rng: np.random.Generator, n: int, freq: str = "D", zone=None) -> pd.DatetimeIndex:
    days = pd.date_range("2019-03-01", periods=400, freq=freq, tz=zone)
    return days[rng.integers(0, 400, n)]


def _written(form: str) -> Draw:
    return lambda rng, n: _days(rng, n).strftime(form)


def _nullable(values: Draw, dtype: str) -> Draw:
    return lambda rng, n: pd.array(_gaps(rng, values(rng, n)), dtype=dtype)


def _typed(values: Draw, dtype: str) -> Draw:
    return lambda rng, n: pd.Series(np.asarray(values(rng, n))).astype(dtype)


def _spiky(rng: np.random.Generator, n: int):
    return np.where(rng.random(n) < 0.9, 0.0, rng.lognormal(8, 1, n).round())


def _normal(rng: np.random.Generator, n: int):
    return rng.normal(size=n)


def _whole(rng: np.random.Generator, n: int):
    return rng.integers(-9, 90, n)


def _truth(rng: np.random.Generator, n: int):
    return rng.random(n) < 0.4


def _words(rng: np.random.Generator, n: int):
    return rng.choice(["red", "green", "blue, dark", 'say "x"'], n, p=[0.5, 0.3, 0.1, 0.1])


def _category(names, order: bool = False) -> Draw:
    def draw(rng: np.random.Generator, n: int):
        values = _gaps(rng, rng.choice(np.asarray(names[:-1], dtype=object), n))
        return pd.Categorical(values, categories=names, ordered=order)

    return draw


DRAWS: dict[str, Draw] = {
    "normal": _normal,
    "normal with gaps": lambda rng, n: _gaps(rng, _normal(rng, n)).astype(float),
    "mostly gaps": lambda rng, n: _gaps(rng, _normal(rng, n), 0.95).astype(float),
    "rounded": lambda rng, n: _normal(rng, n).round(2),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
    "offset": lambda rng, n: 1.7e9 + _normal(rng, n),
    "tiny": lambda rng, n: 1e-12 * _normal(rng, n),
    "huge": lambda rng, n: 1e15 * _normal(rng, n),
    "wide": lambda rng, n: 10 ** rng.uniform(-8, 8, n),
    "spiky": _spiky,
    "single": lambda rng, n: _normal(rng, n).astype("f4"),
    "half": lambda rng, n: _normal(rng, n).astype("f2"),
    "two numbers": lambda rng, n: rng.choice([2.5, 7.25], n),
    "whole": _whole,
    "whole floats with gaps": lambda rng, n: _gaps(rng, _whole(rng, n)).astype(float),
    "steps": lambda rng, n: 50 * rng.integers(2, 30, n),
    "small": lambda rng, n: rng.integers(0, 120, n).astype("u1"),
    "digits": lambda rng, n: rng.integers(0, 3, n).astype("i1"),
    "zero and one": lambda rng, n: rng.integers(0, 2, n),
    "Int64": _nullable(_whole, "Int64"),
    "UInt16": _nullable(lambda rng, n: rng.integers(0, 900, n), "UInt16"),
    "Float64": _nullable(_normal, "Float64"),
    "Float32": _nullable(_normal, "Float32"),
    "truth": _truth,
    "boolean": _nullable(_truth, "boolean"),
    "truth objects": lambda rng, n: _gaps(rng, _truth(rng, n)),
    "words": _words,
    "words with gaps": lambda rng, n: _gaps(rng, _words(rng, n)),
    "NA": lambda rng, n: _gaps(rng, rng.choice(["NA", "x", "None"], n)),
    "empty words": lambda rng, n: rng.choice(["", "a", " a"], n),
    "zeros": lambda rng, n: rng.choice(["007", "7", "70"], n),
    "foreign": lambda rng, n: rng.choice(["Größe", "北京", "🙂", "a\tb", "-"], n),
    "many words": lambda rng, n: rng.choice([f"w{j}x" for j in range(n // 2 + 1)], n),
    "string": _nullable(_words, "string"),
    "category": _category(["a", "b", "NA", "unused"]),
    "numbered category": _category([3, 1, 7, 9]),
    "fractions": _category([0.5, 1.0, 2.5, 3.5]),
    "dated category": lambda rng, n: pd.Categorical(_days(rng, n).month_name()),
    "ordered": _category(["low", "mid", "high", "top"], order=True),
    "date": lambda rng, n: _days(rng, n),
    "date with gaps": lambda rng, n: pd.to_datetime(pd.Series(_gaps(rng, _days(rng, n)))),
    "hour": lambda rng, n: _days(rng, n, "h", "Europe/Berlin"),
    "utc": lambda rng, n: _days(rng, n, "7min", "UTC"),
    "fine": lambda rng, n: _days(rng, n) + pd.to_timedelta(rng.integers(0, 10**12, n), unit="ns"),
    "seconds": lambda rng, n: _days(rng, n, "s").as_unit("s"),
    "written date": _written("%d.%m.%Y"),
    "iso date": _written("%Y-%m-%d"),
    "compact date": lambda rng, n: _days(rng, n).strftime("%Y%m%d").astype(int),
    "written time": lambda rng, n: _days(rng, n, "97s").strftime("%Y-%m-%dT%H:%M:%S"),
    "day objects": lambda rng, n: _gaps(rng, _days(rng, n).date),
    "id": lambda rng, n: np.arange(1, n + 1),
    "coded": lambda rng, n: [f"N{j:04d}" for j in rng.permutation(n)],
    "beyond 2^53": lambda rng, n: 2**60 + 977 * rng.permutation(n),
    "big category": lambda rng, n: pd.Categorical(2**60 + rng.integers(0, 3, n)),
    "constant": lambda rng, n: np.full(n, 2.5),
    "one word": lambda rng, n: ["x"] * n,
    "one word or none": lambda rng, n: _gaps(rng, ["x"] * n),
    "nothing": lambda rng, n: np.full(n, np.nan),
    "no objects": lambda rng, n: np.full(n, None),
    "copy": lambda rng, n: np.arange(n) // 2 * 1.5,
    "prose": lambda rng, n: [" ".join(rng.choice(["to", "be", "or", "not", "so"], 9)) for _ in range(n)],
}
ARROW: dict[str, Draw] = {
    "arrow whole": _nullable(_whole, "int64[pyarrow]"),
    "arrow real": _nullable(_normal, "double[pyarrow]"),
    "arrow words": _nullable(_words, "string[pyarrow]"),
    "arrow truth": _nullable(_truth, "bool[pyarrow]"),
    "arrow date": lambda rng, n: pd.Series(_days(rng, n)).astype("timestamp[ns][pyarrow]"),
    "arrow zone": lambda rng, n: pd.Series(_days(rng, n, "h", "UTC")).astype("timestamp[us, UTC][pyarrow]"),
    "arrow day": lambda rng, n: pd.Series(_days(rng, n)).astype("date32[pyarrow]"),
}
ODD: dict[str, Draw] = {
    "mixed": lambda rng, n: rng.permutation(np.array([1, "a", 2.5] * n, dtype=object)[:n]),
    "lists": lambda rng, n: pd.Series([[1, 2]] * n),
    "infinite": lambda rng, n: np.where(np.arange(n) == 3, np.inf, _normal(rng, n)),
    "complex": lambda rng, n: _normal(rng, n) + 1j,
    "spans": lambda rng, n: pd.to_timedelta(_whole(rng, n), unit="h"),
    "periods": lambda rng, n: _days(rng, n).tz_localize(None).to_period("M"),
    "bytes": lambda rng, n: pd.Series([b"a", b"b"] * n, dtype=object)[:n],
    "whole beyond 2^53": lambda rng, n: 2**62 + rng.integers(0, 3, n),
    "big python": lambda rng, n: pd.Series([2**70 + int(j % 3) for j in rng.permutation(n)], dtype=object),
    "times": lambda rng, n: pd.Series(_days(rng, n, "7min").time, dtype=object),
}


def a_frame(seed: int, odd: bool = False) -> pd.DataFrame:
    """Return a frame of a seed: from 20 rows and 1 column on, of all kinds, its columns named in many ways."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([20, 21, 40, 90]))
    width = int(rng.choice([1, 2, 3, 5, 8, 14, 60], p=[0.1, 0.15, 0.2, 0.25, 0.2, 0.08, 0.02]))
    draws = {**DRAWS, **ARROW, **(ODD if odd else {})}
    names = [str(name) for name in rng.choice(list(draws), width, replace=width > 40)]
    series = [pd.Series(draws[name](rng, n)).reset_index(drop=True) for name in names]
    frame = pd.concat(series, axis=1)
    frame.columns = _labels(rng, names)
    return frame


def _labels(rng: np.random.Generator, names: list[str]) -> pd.Index:
    numbered = [f"{name} {j}" for j, name in enumerate(names)]
    if rng.random() < 0.1:
        return pd.RangeIndex(len(names))
    if rng.random() < 0.05:
        return pd.MultiIndex.from_tuples([(name, j) for j, name in enumerate(names)])
    return pd.Index(numbered)


def faults(given: pd.DataFrame, made: pd.DataFrame, spec: DataSpec, *, rates: bool = True) -> list[str]:
    """Return what a made frame has that no frame like the given one can have, in words.

    Args:
        given: what was fitted.
        made: samples.
        spec: of the run.
        rates: whether gaps are to be at their rate, which a generator has to learn.
    """
    names = [column.label for column in spec.table]
    if list(made.columns) != names:
        return [f"columns {list(made.columns)} for {names}"]
    pairs = (
        (column, given.iloc[:, j], made.iloc[:, j])
        for j, column in enumerate(spec.table)
        if column.kind != "text"
    )
    found = [
        f"{column.name}: {fault}" for column, old, new in pairs for fault in _faults(column, old, new, rates)
    ]
    return found or _changes(made, spec)


def _changes(made: pd.DataFrame, spec: DataSpec) -> list[str]:
    """Return the columns that are other ones once they have been read and written back."""
    again = frame_of(natural(matched(made, spec), spec.table), spec)
    kept = [j for j, column in enumerate(spec.table) if column.kind not in ("id", "text")]
    shared = [j for j in kept if not spec.table[j].facts.get("others")]
    return [f"{spec.table[j].name} changes" for j in shared if not again.iloc[:, j].equals(made.iloc[:, j])]


def _faults(column: Column, old: pd.Series, new: pd.Series, rates: bool) -> Iterator[str]:
    facts, values, known = column.facts, new.dropna(), old.dropna()
    if new.dtype != old.dtype:
        yield f"type {new.dtype} for {old.dtype}"
    if column.kind == "id" and not new.is_unique:
        yield "an id twice"
    if column.kind in ("categorical", "boolean", "ordinal", "constant") and not set(values) <= set(known):
        yield f"unseen {set(values) - set(known)}"
    if column.kind in ("real", "integer", "datetime") and "format" not in facts and len(values):
        beyond = values.min() < known.min() or values.max() > known.max()
        if beyond:
            yield f"{values.min()} to {values.max()} for {known.min()} to {known.max()}"
    if column.kind == "integer" and len(values):
        steps = (values.astype(float) - facts["low"]) / facts["step"]
        if not (steps == steps.round()).all():
            yield f"off the step {facts['step']}"
    if "decimals" in facts and not np.allclose(
        values.astype(float), values.astype(float).round(facts["decimals"]), rtol=1e-6
    ):
        yield f"more than {facts['decimals']} decimals"
    if rates or not old.isna().any():
        yield from _gap_faults(old, new)


def _gap_faults(old: pd.Series, new: pd.Series) -> Iterator[str]:
    """Six standard errors of both rates, and two rows: a false alarm in 1e8 columns."""
    rate, made = old.isna().mean(), new.isna().mean()
    error = np.sqrt(rate * (1 - rate) * (1 / len(old) + 1 / len(new)))
    if abs(rate - made) > 6 * error + 2 * rate / len(old) or (rate == 0 and made > 0):
        yield f"gaps at the rate {made:.3f} for {rate:.3f}"
