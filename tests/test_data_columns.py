"""Kinds of columns: what is inferred, and that values come back in the form that they had."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from latentia.data.columns.infer import infer_columns
from latentia.data.columns.kind import Draws, support_of
from latentia.data.columns.rows import frame_of, natural, support_of_rows
from latentia.data.ingest.units import moments
from latentia.data.read import read_rows
from latentia.data.spec import DataSpec

N = 200
RNG = np.random.default_rng(0)
DAYS = pd.date_range("2020-01-01", periods=N)


def with_gaps(values) -> pd.Series:
    return pd.Series(np.where(np.arange(N) % 9 == 4, None, values))


COLUMNS = {
    "integer": pd.Series(RNG.integers(17, 90, N)),
    "step": pd.Series(RNG.integers(0, 40, N) * 5),
    "nullable": with_gaps(RNG.integers(0, 50, N)).astype("Int64"),
    "beside gaps": with_gaps(RNG.integers(2, 50, N)).astype(float),
    "real": pd.Series(RNG.normal(size=N)),
    "rounded": pd.Series(np.round(RNG.normal(5, 1, N), 2)),
    "single": pd.Series(np.round(RNG.normal(size=N), 1).astype("f4")),
    "truth": pd.Series(RNG.random(N) < 0.5),
    "truth with gaps": with_gaps(RNG.random(N) < 0.5).astype("boolean"),
    "words": pd.Series(RNG.choice(["yes", "no"], N)),
    "NA": with_gaps(RNG.choice(["NA", "x"], N)),
    "zeros": pd.Series(RNG.choice(["007", "012", "7"], N)),
    "unused": pd.Series(pd.Categorical(RNG.choice(["b", "a"], N), categories=["b", "u", "a"])),
    "ordered": pd.Series(
        pd.Categorical(RNG.choice(["lo", "hi"], N), categories=["lo", "mid", "hi"], ordered=True)
    ),
    "date": pd.Series(DAYS),
    "hours": pd.Series(pd.date_range("2020-01-01", periods=N, freq="h", tz="Europe/Berlin")),
    "written": pd.Series(DAYS.strftime("%d.%m.%Y")),
    "short": pd.Series([f"{each.month}/{each.day}/{each.year}" for each in DAYS]),
    "compact": pd.Series(DAYS.strftime("%Y%m%d").astype(int)),
    "days": pd.Series(DAYS.date),
    "arrow days": pd.Series(DAYS).astype("date32[pyarrow]"),
    "arrow hours": pd.Series(DAYS.tz_localize("UTC")).astype("timestamp[us, UTC][pyarrow]"),
    "one value": pd.Series(np.where(np.arange(N) % 3 == 0, None, "x")),
}
KINDS = {
    "integer": "integer",
    "step": "integer",
    "nullable": "integer",
    "beside gaps": "integer",
    "truth": "boolean",
}
KINDS |= {"truth with gaps": "boolean", "words": "categorical", "NA": "categorical", "zeros": "categorical"}
KINDS |= {"unused": "categorical", "ordered": "ordinal", "one value": "constant"}
KINDS |= dict.fromkeys(["real", "rounded", "single"], "real")
KINDS |= dict.fromkeys(
    ["date", "hours", "written", "short", "compact", "days", "arrow days", "arrow hours"], "datetime"
)


def spec_of(frame: pd.DataFrame, declared=None) -> DataSpec:
    columns = infer_columns(frame, declared)
    size = sum(support_of(column) is not None for column in columns)
    spec = DataSpec((size,), support_of_rows(columns), table=columns)
    return DataSpec.from_json(json.loads(json.dumps(spec.to_json())))


@pytest.mark.parametrize("name", COLUMNS)
def test_values_come_back_as_they_were(name):
    frame = pd.DataFrame({name: COLUMNS[name], "other": RNG.normal(size=N)})
    spec = spec_of(frame)
    assert spec.table[0].kind == KINDS[name]
    again = frame_of(natural(frame, spec.table), spec)
    pd.testing.assert_series_equal(again[name], frame[name])


@pytest.mark.parametrize("name", sorted(set(COLUMNS) - {"real", "one value"}))
def test_other_numbers_become_values_that_were_there(name):
    """Bounds, steps, categories and formats hold whatever a model gives."""
    frame = pd.DataFrame({name: COLUMNS[name], "other": RNG.normal(size=N)})
    spec = spec_of(frame)
    x = natural(frame, spec.table)
    made = frame_of(x + RNG.normal(0, 3 * np.nanstd(x, axis=0), x.shape), spec)[name]
    assert made.dtype == frame[name].dtype
    present, known = made.dropna(), frame[name].dropna()
    if KINDS[name] in ("boolean", "categorical", "ordinal", "datetime"):
        assert set(present) <= set(known)
    else:
        assert known.min() <= present.min() <= present.max() <= known.max()
        step = {"step": 5, "rounded": 0.01, "single": 0.1}.get(name, 1)
        assert np.allclose(present.astype(float) / step, np.round(present.astype(float) / step), atol=1e-5)


@pytest.mark.parametrize(
    "ids",
    [
        list(range(1, N + 1)),
        [f"N{j}A{j % 7}" for j in range(N)],
        [f"user{j:04d}" for j in range(N)],
        [f"{j * 7919:x}".zfill(8) for j in range(N)],
        [f"{j:08d}-1234-4abc-8def-0123456789ab" for j in range(N)],
        [2**60 + 977 * j for j in range(N)],
    ],
    ids=["counted", "mixed", "padded", "hex", "uuid", "beyond 2^53"],
)
def test_ids_are_made_anew_each_once(ids):
    frame = pd.DataFrame({"id": ids, "other": RNG.normal(size=N)})
    spec = spec_of(frame)
    assert (spec.table[0].kind, spec.size) == ("id", 1)
    blocks = [frame_of(np.zeros((70, 1)), spec, draws=Draws(first=first))["id"] for first in (0, 70, 140)]
    made = pd.concat(blocks)
    assert made.dtype == frame["id"].dtype
    assert made.is_unique
    if isinstance(ids[0], str):
        assert {len(each) for each in made} <= {*map(len, ids), len("N200A1")}


def test_rare_words_share_a_category_and_come_back_by_their_frequencies():
    words = [f"w{j:05d}" for j in range(3000) for _ in range(1 + (j < 150))]
    frame = pd.DataFrame({"word": words, "other": RNG.normal(size=len(words))})
    spec = spec_of(frame, {"word": "categorical"})
    assert spec.table[0].facts["shared"] == 3000 - 99
    made = frame_of(np.tile([99.0, 0.0], (4000, 1)), spec)["word"]
    assert set(made) <= set(words)
    common = {f"w{j:05d}" for j in range(150)}
    share = 2 * 51 / (len(words) - 2 * 99)  # 51 of the shared words are there twice
    assert abs(made.isin(common).mean() - share) < 5 * np.sqrt(share / 4000)


def test_columns_are_given_back_under_the_names_that_they_had():
    values = RNG.normal(size=(N, 3))
    for labels in (["a", "a", "c"], [0, 1, 2], pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])):
        frame = pd.DataFrame(values, columns=labels)
        spec = spec_of(frame)
        pd.testing.assert_frame_equal(frame_of(natural(frame, spec.table), spec), frame)


def test_moments_of_columns_far_from_zero_are_exact():
    x = RNG.normal([1.7e12, 0], size=(500, 2))
    x[3, 1] = np.nan
    mean, spread, _ = moments(torch.from_numpy(x))
    offset = np.array([1.7e12, 0])
    there = x - offset
    assert mean == pytest.approx(offset + np.nanmean(there, axis=0), abs=1e-3)
    assert spread == pytest.approx(np.nanstd(there, axis=0), rel=1e-6)


@pytest.mark.filterwarnings("ignore:.*is small beside the mean")
def test_numbers_far_from_zero_are_read_less_an_offset_that_loses_nothing():
    x = RNG.normal(size=(300, 3)) * [1, 1, 1e-9] + [1.7e9, 0, 0]
    rows = read_rows(x)
    assert rows.spec.offsets[0] == pytest.approx(1.7e9, abs=1)
    assert rows.spec.offsets[1:] == (0, 0)
    assert rows.spec.scales[:2] == (1, 1)
    assert rows.spec.scales[2] == 2.0**-30
    coded = rows.take(torch.arange(300)).x
    assert np.allclose(rows.spec.natural(coded).numpy(), x, rtol=0, atol=3e-7)
    assert read_rows(x[:, [1]]).spec.offsets == ()
