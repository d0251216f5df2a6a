"""What the verbs of a run write: tables in blocks, arrays, folders of pictures, scores and filled rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tests.test_forms import frame

import latentia as lt
from latentia.cli import main
from latentia.data.spec import DataSpec, Support
from latentia.errors import RunError
from latentia.runs import progress
from latentia.runs.written import write_arrays, write_pictures, write_tables

pytestmark = [
    pytest.mark.usefixtures("own_folder"),
    pytest.mark.filterwarnings("ignore:.*is read as an id:latentia.errors.DataWarning"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a table, and runs fitted to it."""
    place = tmp_path_factory.mktemp("written")
    frame().to_csv(place / "rows.csv", index=False)
    lt.fit("gaussian-mixture", place / "rows.csv", components=2, progress=False, out=place / "mixture")
    lt.fit("vae", place / "rows.csv", latent_dim=2, epochs=1, progress=False, out=place / "vae")
    return place


def typed(*words: object) -> int:
    return main(list(map(str, words)))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_samples_are_written_in_blocks_that_are_one_table(ending, folders, monkeypatch):
    monkeypatch.setattr("latentia.runs.verbs._ROWS", 10)
    assert typed("sample", folders / "mixture", "--n", 25, "--seed", 0, "--out", f"made.{ending}") == 0
    made = pd.read_csv("made.csv") if ending == "csv" else pd.read_parquet("made.parquet")
    assert len(made) == 25
    assert made["id"].is_unique
    assert [*made] == [*frame()]
    whole = lt.load(folders / "mixture").sample(25, seed=0)
    assert whole["id"].is_unique
    assert made["size"].round(9).tolist() == pytest.approx(whole["size"].round(9).tolist(), nan_ok=True)
    assert made["species"].dropna().tolist() == whole["species"].dropna().tolist()
    assert [path.name for path in Path().iterdir()] == [f"made.{ending}"]


def test_parquet_keeps_the_types_of_columns(folders):
    given = frame()
    run = lt.fit("gaussian-mixture", given, components=1, progress=False)
    write_tables(run.samples(30, seed=0), Path("made.parquet"))
    assert dict(pd.read_parquet("made.parquet").dtypes) == dict(given.dtypes)


def test_a_column_of_gaps_in_the_first_block_may_hold_words_in_the_next():
    blocks = [pd.DataFrame({"a": [None, None]}), pd.DataFrame({"a": ["x", None]})]
    write_tables(blocks, Path("made.parquet"))
    assert pd.read_parquet("made.parquet")["a"].isna().tolist() == [True, True, False, True]


def test_arrays_are_written_in_blocks(folders):
    blocks = torch.arange(14.0).view(7, 2).split(3)
    write_arrays(blocks, 7, Path("made.npy"))
    assert np.array_equal(np.load("made.npy"), np.arange(14.0).reshape(7, 2))
    assert typed("sample", folders / "mixture", "--n", 5, "--seed", 0, "--out", "rows.npy") == 0
    rows = lt.load(folders / "mixture").tensors.sample(5, seed=0)
    assert np.array_equal(np.load("rows.npy"), rows.numpy(), equal_nan=True)


def test_images_are_written_as_single_pictures():
    images = torch.arange(12).view(3, 1, 2, 2).float()
    write_pictures([images[:2], images[2:]], 3, DataSpec((1, 2, 2), Support("discrete", 12)), Path("made"))
    assert sorted(path.name for path in Path("made").iterdir()) == ["0.png", "1.png", "2.png"]
    pixels = np.asarray(Image.open("made/2.png").convert("L"))
    assert np.array_equal(pixels, np.round(np.arange(8, 12).reshape(2, 2) * 255 / 11))
    with pytest.raises(RunError, match="exists already"):
        write_pictures([images], 3, DataSpec((1, 2, 2), Support("discrete", 12)), Path("made"))


def test_what_fails_on_the_way_leaves_what_was_there():
    Path("made.csv").write_text("before")

    def blocks():
        yield pd.DataFrame({"a": [1]})
        raise OSError("disk full")

    with pytest.raises(RunError, match="what was there before is kept"):
        write_tables(blocks(), Path("made.csv"))
    assert [path.read_text() for path in Path().iterdir()] == ["before"]


def test_work_of_more_than_two_seconds_is_shown(capsys, monkeypatch):
    clock = iter([0.0, *np.arange(1.0, 99.0)])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = []

    class Bar:
        def __enter__(self):
            return shown.append

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(progress, "_row_bar", lambda title, total: Bar())
    assert sum(map(len, progress.counted([[0] * 5] * 4, 20, "x"))) == 20
    assert shown == [15, 20]


def test_score_writes_one_number_a_row_with_its_kind(folders, capsys):
    assert typed("score", folders / "mixture", "--data", folders / "rows.csv", "--out", "scores.csv") == 0
    assert "exact" in capsys.readouterr().out
    scores, run = pd.read_csv("scores.csv"), lt.load(folders / "mixture")
    assert scores["log_prob"].to_numpy() == pytest.approx(
        run.log_prob(pd.read_csv(folders / "rows.csv")).numpy()
    )
    assert (
        typed("score", folders / "vae", "--data", folders / "rows.csv", "--samples", 3, "--out", "b.csv") == 0
    )
    assert "lower bound (IWAE, K=3)" in capsys.readouterr().out
    assert [*pd.read_csv("b.csv")] == ["log_prob_bound"]


def test_impute_fills_files_and_changes_nothing_else(folders, capsys):
    given = pd.read_csv(folders / "rows.csv")
    assert typed("impute", folders / "mixture", "--data", folders / "rows.csv", "--out", "filled.csv") == 0
    filled = pd.read_csv("filled.csv")
    assert filled["size"].notna().all()
    there = given["size"].notna()
    pd.testing.assert_frame_equal(filled[there], given[there])
    words = ["--draws", 2, "--seed", 0, "--out", "draws.csv"]
    assert typed("impute", folders / "mixture", "--data", folders / "rows.csv", *words) == 0
    draws = pd.read_csv("draws.csv")
    assert draws["draw"].tolist() == [1] * 300 + [2] * 300
    first = draws[draws["draw"] == 1].drop(columns="draw")
    pd.testing.assert_frame_equal(first, filled)
    assert not np.array_equal(draws["size"][:300], draws["size"][300:])


def test_who_can_fill_is_named_and_can(folders, capsys):
    lt.fit("kernel-density", np.random.default_rng(0).normal(size=(50, 2)), progress=False, out="kernels")
    np.save("holes.npy", np.array([[1.0, np.nan]]))
    assert typed("impute", "kernels", "--data", "holes.npy") == 2
    line = capsys.readouterr().err
    names = line.rpartition(": ")[2].strip().split(", ")
    assert {"gaussian-mixture", "vae"} <= {*names}
    for name in ("gaussian-mixture", "sequential-trees"):
        assert name in names
        run = lt.fit(name, np.random.default_rng(0).normal(size=(50, 2)), epochs=1, progress=False)
        assert run.impute(np.array([[1.0, np.nan]])).isfinite().all()


@pytest.mark.parametrize("verb", ["reconstruct", "interpolate", "traverse"])
def test_codes_are_written_as_tables(verb, folders):
    assert typed(verb, folders / "vae", "--data", folders / "rows.csv", "--out", "made.csv") == 0
    made = pd.read_csv("made.csv")
    assert [*made] == ["entry", "value"] * (verb == "traverse") + [*frame()]
    assert set(made["species"]) <= {"ant", "bee", "cat"}
    assert pd.to_datetime(made["seen"], format="%Y-%m-%d").notna().all()


def test_codes_of_rows_are_a_table(folders):
    assert typed("encode", folders / "vae", "--data", folders / "rows.csv", "--out", "codes.csv") == 0
    assert pd.read_csv("codes.csv").shape == (300, 2)


def test_a_table_goes_into_its_run_folder_which_may_be_replaced(folders, tmp_path):
    run = lt.fit("gaussian-mixture", frame(), components=1, progress=False, out=tmp_path / "run")
    assert run.path is not None
    assert typed("sample", run.path, "--n", 5) == 0
    assert len(pd.read_csv(run.path / "sample.csv")) == 5
    lt.fit("gaussian-mixture", frame(), components=1, progress=False, out=tmp_path / "run", overwrite=True)
