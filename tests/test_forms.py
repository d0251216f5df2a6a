"""What a run gives back has the form of what went in."""

import numpy as np
import pandas as pd
import pytest
import torch

import latentia as lt
from latentia.errors import DataError, DataWarning, UsageError

pytestmark = pytest.mark.filterwarnings("ignore:.*is read as an id:latentia.errors.DataWarning")


def frame(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    size = rng.normal(40, 5, n).round(1)
    size[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "id": [f"N{i:04d}" for i in range(n)],
            "species": pd.Categorical(rng.choice(["ant", "bee", "cat"], n, p=[0.5, 0.3, 0.2])),
            "size": size,
            "legs": rng.integers(2, 9, n),
            "wild": rng.random(n) < 0.3,
            "seen": pd.Timestamp("2023-06-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
            "site": "Ulm",
        }
    )


@pytest.fixture(scope="module")
def fitted():
    return lt.fit("gaussian-mixture", frame(), components=2, progress=False)


def test_samples_of_a_frame_are_a_frame_with_its_columns_and_types(fitted):
    given, made = frame(), fitted.sample(100, seed=0)
    assert list(made.columns) == list(given.columns)
    assert dict(made.dtypes) == dict(given.dtypes)
    assert set(made["species"].dropna()) <= {"ant", "bee", "cat"}
    assert made["id"].is_unique
    assert made["id"].str.fullmatch(r"N\d{4}").all()
    assert not set(made["id"]) & set(given["id"])
    assert made["legs"].between(2, 8).all()
    assert (made["site"] == "Ulm").all()
    assert np.allclose(made["size"].dropna(), made["size"].dropna().round(1))
    pd.testing.assert_frame_equal(made, fitted.sample(100, seed=0))


def test_filled_rows_change_where_a_value_is_missing_and_nowhere_else(fitted):
    holes = frame().set_index(np.arange(300) + 7)
    filled = fitted.impute(holes, seed=1)
    assert list(filled.index) == list(holes.index)
    assert filled["size"].notna().all()
    there = holes["size"].notna()
    pd.testing.assert_frame_equal(filled[there], holes[there])
    assert not filled.equals(fitted.impute(holes, seed=2))


def test_likelihoods_are_matched_by_name_and_say_their_kind(fitted):
    rows = frame().head(50)
    nats = fitted.log_prob(rows)
    assert nats.shape == (50,)
    assert nats.dtype == torch.float64
    assert fitted.log_prob_kind() == "exact"
    with pytest.warns(DataWarning, match="another order"):
        turned = fitted.log_prob(rows[rows.columns[::-1]])
    assert torch.equal(nats, turned)
    with pytest.raises(DataError, match="'size'"):
        fitted.log_prob(rows.rename(columns={"size": "length"}))


def test_codes_and_walks_of_frames():
    rows = frame().drop(columns=["seen"])
    run = lt.fit("vae", rows, latent_dim=2, epochs=1, progress=False)
    assert run.encode(rows.head(5)).shape == (5, 2)
    back = run.reconstruct(rows.head(5))
    assert list(back.index) == list(rows.head(5).index)
    walk = run.interpolate(rows.iloc[[0]], rows.iloc[[1]], steps=4)
    assert walk.shape == (4, rows.shape[1])
    moved = run.traverse(rows.iloc[[0]], steps=3)
    assert moved.index.names == ["entry", "value"]
    assert len(moved) == 6


def test_who_cannot_fill_says_so():
    run = lt.fit("kernel-density", np.random.default_rng(0).normal(size=(50, 2)), progress=False)
    with pytest.raises(UsageError, match="does not fill missing entries; it can sample"):
        run.impute(np.zeros((1, 2)))


def test_a_million_rows_are_drawn_in_blocks(monkeypatch):
    run = lt.fit("gaussian", np.random.default_rng(0).normal(size=(50, 2)), progress=False)
    monkeypatch.setattr("latentia.runs.verbs._ROWS", 10)
    blocks = list(run.tensors.samples(25, seed=0))
    assert [len(block) for block in blocks] == [10, 10, 5]
    assert torch.equal(torch.cat(blocks), run.tensors.sample(25, seed=0))


def test_a_training_on_a_frame_resumes_to_the_same_bytes(tmp_path):
    path = tmp_path / "rows.csv"
    frame().to_csv(path, index=False)
    options = {"latent_dim": 2, "batch_size": 50, "progress": False, "seed": 3}
    whole = lt.fit("vae", path, out=tmp_path / "whole", epochs=4, **options)
    lt.fit("vae", path, out=tmp_path / "parts", epochs=2, **options)
    parts = lt.fit("vae", path, out=tmp_path / "parts", epochs=4, resume=True, **options)
    ours, theirs = (each.recipe.objective.state_dict() for each in (whole, parts))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    again = lt.load(tmp_path / "parts")
    pd.testing.assert_frame_equal(again.sample(20, seed=1), whole.sample(20, seed=1))


@pytest.mark.parametrize("recipe", ["flow", "gan", "autoencoder"])
def test_encoded_tables_load_and_resume(recipe, tmp_path):
    options = {"batch_size": 50, "progress": False, "seed": 3}
    whole = lt.fit(recipe, frame(), out=tmp_path / "whole", epochs=3, **options)
    lt.fit(recipe, frame(), out=tmp_path / "parts", epochs=1, **options)
    parts = lt.fit(recipe, frame(), out=tmp_path / "parts", epochs=3, resume=True, **options)
    ours, theirs = (each.recipe.objective.state_dict() for each in (whole, parts))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert type(lt.load(tmp_path / "parts").model).__name__ == "EncodedTable"


@pytest.mark.parametrize(("recipe", "metric"), [("flow", "elbo"), ("gan", "energy-distance")])
def test_a_training_on_an_encoded_table_is_watched_by_scores_of_the_table(recipe, metric):
    run = lt.fit(recipe, frame(), validation=0.3, epochs=2, progress=False, seed=1)
    assert list(run.history.filter(like="validation_").columns) == [f"validation_{metric}"]
    last = run.history[f"validation_{metric}"].iloc[-1]
    assert np.isfinite(last)
    scored = lt.evaluate(run, metrics=[metric]).iloc[0]
    assert scored["value"] == pytest.approx(last, abs=4 * scored["stderr"] + 1e-6)


def test_labels_that_were_given_come_back_by_name():
    rows = frame().drop(columns=["seen"])
    run = lt.fit("vae", rows, labels="species", conditional=True, latent_dim=2, epochs=1, progress=False)
    given = ["ant", "cat", "bee"]
    for name in ("class", "species"):
        made = run.sample(3, {name: given}, seed=0)
        assert made["species"].tolist() == given
        assert made["species"].dtype == rows["species"].dtype


@pytest.fixture(scope="module")
def coded():
    return lt.fit("vae", frame(), latent_dim=2, epochs=1, progress=False)


def test_one_row_of_a_frame_is_a_series_or_a_frame_of_one(coded):
    rows = frame().dropna().reset_index(drop=True)
    walk = coded.interpolate(rows.iloc[0], rows.iloc[1], steps=4)
    pd.testing.assert_frame_equal(walk, coded.interpolate(rows.iloc[[0]], rows.iloc[[1]], steps=4))
    moved = coded.traverse(rows.iloc[0], steps=3)
    pd.testing.assert_frame_equal(moved, coded.traverse(rows.iloc[[0]], steps=3))
    assert dict(walk.dtypes) == dict(moved.dtypes) == dict(rows.dtypes)
    with pytest.raises(UsageError, match="one row"):
        coded.interpolate(rows.head(2), rows.iloc[0])


def test_every_verb_matches_columns_that_stand_in_another_order(coded):
    rows = frame().head(20).set_index(np.arange(20) * 3)
    turned = rows[rows.columns[::-1]].assign(new=1)
    verbs = {
        "encode": lambda x: coded.encode(x),
        "log_prob": lambda x: coded.log_prob(x, samples=2),
        "reconstruct": lambda x: coded.reconstruct(x).drop(columns="id"),
        "impute": lambda x: coded.impute(x, seed=0)[list(rows)],
        "interpolate": lambda x: coded.interpolate(x.iloc[[0]], x.iloc[[1]]),
        "traverse": lambda x: coded.traverse(x.iloc[[0]]),
    }
    for name, verb in verbs.items():
        expected = verb(rows)
        with pytest.warns(DataWarning, match="another order|not fitted"):
            found = verb(turned)
        if isinstance(expected, torch.Tensor):
            assert torch.equal(found, expected), name
        else:
            pd.testing.assert_frame_equal(found, expected)
        with pytest.raises(DataError, match="'size'"):
            verb(rows.rename(columns={"size": "length"}))


def test_the_index_and_what_is_not_missing_are_kept(coded):
    rows = frame().head(30).set_index(np.arange(30) * 3)
    assert list(coded.reconstruct(rows).index) == list(rows.index)
    filled = coded.impute(rows, seed=0)
    assert list(filled.index) == list(rows.index)
    assert dict(filled.dtypes) == dict(rows.dtypes)
    there = rows.notna()
    assert filled.astype(object).where(there).equals(rows.astype(object).where(there))
    assert filled["size"].notna().all()
