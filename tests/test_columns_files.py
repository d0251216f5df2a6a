"""Tables in files: what is inferred and described, and that rows are written back as they were read."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import latentia as lt
from latentia.cli import main
from latentia.data.columns.infer import infer_columns
from latentia.data.columns.rows import frame_of
from latentia.data.read import read_rows
from latentia.errors import DataError, UsageError
from latentia.runs.data import fingerprint
from latentia.runs.folder import CONFIG

pytestmark = pytest.mark.filterwarnings("ignore::latentia.errors.DataWarning")
N = 240
RNG = np.random.default_rng(3)
DAYS = pd.date_range("2021-03-01 08:00", periods=N, freq="36h")
GAP = np.arange(N) % 8 == 5


def gapped(values) -> pd.Series:
    return pd.Series(values).where(~GAP)


FRAME = pd.DataFrame(
    {
        "id": [f"P{j:04d}" for j in range(N)],
        "size": np.round(RNG.normal(5, 1, N), 2),
        "age": RNG.integers(17, 90, N),
        "visits": gapped(RNG.integers(0, 12, N) * 5).astype("Int64"),
        "member": RNG.random(N) < 0.4,
        "town": gapped(RNG.choice(["Ulm", "Bonn", "Bad Tölz"], N)),
        "zip": RNG.choice(["007", "012", "110"], N),
        "day": DAYS.strftime("%d.%m.%Y"),
        "at": DAYS.strftime("%Y-%m-%dT%H:%M:%S+02:00"),
        "source": "clinic",
    }
)
TYPED = FRAME.assign(
    size=FRAME["size"].astype("float32"),
    grade=pd.Categorical(RNG.choice(["lo", "hi"], N), ["lo", "mid", "hi"], ordered=True),
    when=DAYS.tz_localize("Europe/Berlin"),
    town=FRAME["town"].astype("category"),
)
FILES = {"csv": FRAME, "parquet": TYPED}


def written(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


def frame_in(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    words = {"zip": str}  # which pandas would take for numbers
    return pd.read_csv(path, dtype=words, keep_default_na=False, na_values=[""])


@pytest.mark.parametrize("form", FILES)
def test_rows_of_a_file_are_written_back_as_they_were(form, tmp_path):
    path = written(FILES[form], tmp_path / f"rows.{form}")
    rows = read_rows(path)
    again = frame_in(written(frame_of(rows.x, rows.spec), tmp_path / f"again.{form}"))
    pd.testing.assert_frame_equal(again.drop(columns="id"), frame_in(path).drop(columns="id"))
    assert again["id"].is_unique
    assert again["id"].str.fullmatch(r"P\d{4}").all()


@pytest.mark.parametrize("form", FILES)
def test_samples_of_a_file_are_like_its_rows(form, tmp_path):
    """Types, categories, bounds, steps and formats hold; gaps come at their rate (5 standard errors)."""
    path = written(FILES[form], tmp_path / f"rows.{form}")
    run = lt.fit("gaussian-mixture", path, components=2, seed=0, progress=False)
    given, made = frame_in(path), frame_in(written(run.sample(400, seed=1), tmp_path / f"made.{form}"))
    pd.testing.assert_series_equal(made.dtypes, given.dtypes)
    for name in ("town", "zip", "source", "member"):
        assert set(made[name].dropna()) <= set(given[name].dropna())
    for name in ("size", "age", "visits"):
        assert given[name].min() <= made[name].min() <= made[name].max() <= given[name].max()
    assert (made["visits"].dropna() % 5 == 0).all()
    assert made["id"].is_unique
    assert not set(made["id"]) & set(given["id"])
    pd.to_datetime(made["day"], format="%d.%m.%Y")
    assert (
        made["at"].str.fullmatch(r"2021-\d\d-\d\dT\d\d:00:00\+02:00|2022-\d\d-\d\dT\d\d:00:00\+02:00").all()
    )
    rate = GAP.mean()
    for name in ("visits", "town"):
        assert abs(made[name].isna().mean() - rate) < 5 * np.sqrt(rate * (1 - rate) * (1 / 400 + 1 / 216))


@pytest.mark.parametrize(
    ("form", "zone"),
    [
        ("%Y-%m-%d %H:%M:%S.%3f", ""),
        ("%Y-%m-%d %H:%M:%S.%f", ""),
        ("%Y-%m-%dT%H:%M:%S.%3f", "Z"),
        ("%Y-%m-%d %H:%M:%S", " +0530"),
        ("%Y-%m-%dT%H:%M:%S", "-05:00"),
    ],
)
def test_milliseconds_and_zones_of_written_times_are_kept(form, zone):
    times = pd.date_range("2024-01-30", periods=N, freq="1234567ms")
    words = pd.Series(times.strftime(form.replace("%3f", "%f")))
    words = (words.str[:-3] if "%3f" in form else words) + zone
    rows = read_rows(pd.DataFrame({"at": words, "x": RNG.normal(size=N)}))
    assert (rows.spec.table[0].kind, rows.spec.table[0].facts["format"]) == ("datetime", form + zone)
    pd.testing.assert_series_equal(frame_of(rows.x, rows.spec)["at"], words.rename("at"))
    unit = 1000 if "f" in form else 1
    assert rows.x[1, 0] == pytest.approx(1234.567 * unit, abs=1)


IDS = {
    "float64": pd.Series(np.where(GAP, np.nan, 1000.0 + np.arange(N))),
    "Int64": pd.Series([None if gap else 2**60 + j for j, gap in enumerate(GAP)], dtype="Int64"),
    "str": pd.Series([None if gap else f"C{j:04d}" for j, gap in enumerate(GAP)]),
}


@pytest.mark.parametrize("dtype", IDS)
def test_an_id_that_some_rows_lack_is_made_anew_where_one_is(dtype):
    frame = pd.DataFrame({"x": RNG.normal(size=N), "customer_id": IDS[dtype]})
    rows = read_rows(frame)
    column = rows.spec.table[1]
    assert (column.kind, str(rows.spec.support.columns[1])) == ("id", "binary")
    made = frame_of(rows.x, rows.spec)["customer_id"]
    assert made.dtype == frame["customer_id"].dtype
    assert (made.isna() == frame["customer_id"].isna()).all()
    assert made.dropna().is_unique
    with pytest.raises(DataError, match="lacks the column 'customer_id'"):
        read_rows(frame[["x"]], like=rows.spec)


def test_numbers_with_gaps_that_are_not_called_an_id_are_numbers():
    frame = pd.DataFrame({"first": IDS["float64"], "x": RNG.normal(size=N)})
    assert infer_columns(frame)[0].kind == "integer"


def test_describe_prints_what_columns_are(tmp_path, capsys):
    frame = pd.concat([FRAME, FRAME.iloc[:24]]).assign(
        gain=lambda each: np.where(each["age"] < 80, 0, each["age"])
    )
    path = written(frame, tmp_path / "rows.csv")
    main(["describe", str(path), "--columns", "zip=drop", "id=id"])
    lines = {line.split()[0]: " ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line}
    gaps = f"{100 * frame['town'].isna().mean():.3g} %"
    zeros = f"{100 * (frame['gain'] == 0).mean():.3g} %"
    assert f"categorical str {gaps} 3 Bad Tölz, Bonn, Ulm" in lines["town"]
    assert f"{zeros} are 0" in lines["gain"]
    assert "in steps of 5" in lines["visits"]
    assert "2 decimals" in lines["size"]
    assert "%d.%m.%Y" in lines["day"]
    assert "made anew; declared" in lines["id"]
    assert "left out; declared" in lines["zip"]
    assert "always clinic" in lines["source"]
    assert lines["264"] == "264 rows, of which 24 (9.09 %) are copies of others"


def test_lt_describe_returns_the_same_as_a_frame():
    found = lt.describe(FRAME, columns={"age": "count"}).set_index("column")
    assert list(found.index) == list(FRAME)
    kinds = [
        "id",
        "real",
        "count",
        "integer",
        "boolean",
        "categorical",
        "categorical",
        "datetime",
        "datetime",
    ]
    assert list(found["kind"]) == [*kinds, "constant"]
    assert found.loc["age", ["type", "low", "high"]].tolist() == [
        "int64",
        "0",
        str(FRAME["age"].max()),
    ]
    assert found.loc["visits", "gaps"] == f"{100 * GAP.mean():.3g} %"
    assert found.loc["town", "distinct"] == "3"


WRONG = {
    "age=cuont": "unknown kind of column 'cuont'; did you mean 'count'",
    "aeg=count": "unknown column 'aeg'; did you mean 'age'",
    "town=count": "column 'town'",
    "size=count": "column 'size'",
    "town=boolean": "column 'town' has 3 different values, and a boolean has two",
    "town=ordinal": "the order of the words in column 'town' is not known",
    "town=datetime": "column 'town'",
    "age": "columns are declared as name=kind",
}


@pytest.mark.parametrize("verb", ["describe", "fit"])
@pytest.mark.parametrize("declared", WRONG)
def test_a_wrong_declaration_is_one_line(verb, declared, tmp_path, capsys):
    path = written(FRAME, tmp_path / "rows.csv")
    words = (
        ["describe", str(path)]
        if verb == "describe"
        else ["fit", "gaussian", "--data", str(path), "--out", str(tmp_path / "run")]
    )
    assert main([*words, "--columns", declared])
    said = [line for line in capsys.readouterr().err.splitlines() if "DataWarning" not in line]
    assert WRONG[declared] in said[-1]
    assert not any("Traceback" in line for line in said)


def as_of_old(folder: Path, run: lt.Run, spec: lt.DataSpec) -> None:
    """Make a run's folder one that was begun before columns had kinds, with nothing done yet."""
    config = json.loads((folder / CONFIG).read_text())
    for key in ("split_rule", "columns"):
        config["data"].pop(key, None)
    config["data"]["spec"] = spec.to_json()
    config["data"]["fingerprint"] = fingerprint(replace(run.train_rows, spec=spec))
    del config["training"]["number_encoding"]
    for path in folder.iterdir():
        path.unlink() if path.is_file() else None
    (folder / CONFIG).write_text(json.dumps(config))


def test_a_run_older_than_kinds_of_columns_is_scored_and_goes_on_by_the_old_rule(tmp_path):
    """Its id is a number, and numbers far from 0 are read as they are."""
    frame = pd.DataFrame({"id": np.arange(N), "when": 300 + RNG.normal(size=N), "n": RNG.integers(0, 9, N)})
    path = written(frame, tmp_path / "rows.csv")
    options = {"hidden": 8, "latent_dim": 2, "validation": 0.2, "progress": False}
    old = lt.DataSpec((3,), lt.Support("real"), columns=("id", "when", "n"))
    for name in ("stopped", "straight"):
        run = lt.fit("vae", path, columns={"id": "real"}, steps=2, out=tmp_path / name, **options)
        assert run.spec.offsets
        as_of_old(tmp_path / name, run, old)
    run = lt.fit("vae", path, steps=4, out=tmp_path / "stopped", resume=True, **options)
    assert run.spec == old
    run = lt.fit("vae", path, steps=8, out=tmp_path / "stopped", resume=True, **options)
    straight = lt.fit("vae", path, steps=8, out=tmp_path / "straight", resume=True, **options)
    assert run.spec == straight.spec == old
    assert torch.equal(run.tensors.sample(5, seed=0), straight.tensors.sample(5, seed=0))
    loaded = lt.load(tmp_path / "stopped")
    scores = [lt.evaluate(each, metrics=["elbo"])["value"].tolist() for each in (run, loaded)]
    assert scores[0] == scores[1]


SHARED = Path(os.environ.get("LATENTIA_DATA", "none"))
REAL = {"penguins.csv": {}, "penguins-raw.csv": {}, "adult.data": {"header": "no"}, "housing.csv": {}}


@pytest.mark.parametrize("name", REAL)
def test_published_tables_come_back_as_they_are_in_their_files(name, tmp_path):
    found = sorted(SHARED.rglob(name)) if SHARED.is_dir() else []
    if not found:
        pytest.skip(f"needs {name} under LATENTIA_DATA")
    rows = read_rows(found[0], **REAL[name])
    made = frame_of(rows.x, rows.spec)
    again = read_rows(written(made, tmp_path / "again.csv"), like=rows.spec)
    np.testing.assert_array_equal(np.asarray(again), np.asarray(rows))


def test_no_option_of_columns_is_for_arrays():
    with pytest.raises(UsageError, match="names columns, but data is no DataFrame"):
        read_rows(np.zeros((3, 2)), columns={"a": "real"})
