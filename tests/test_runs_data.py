"""The data of a run: what was held out, whose rows they are, and which class is which."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from tests.running import VAE, X, contents, vae

import latentia as lt
from latentia.data.read import read_rows
from latentia.errors import DataError, RunError, UsageError
from latentia.metrics.score import printed
from latentia.runs.evaluate import held_out_rows, read_scores

SMALL = {"hidden": 6, "latent_dim": 2, "epochs": 1, "progress": False}


@pytest.fixture
def rows_npy(tmp_path):
    np.save(tmp_path / "rows.npy", X)
    return tmp_path / "rows.npy"


# --- held-out rows ----------------------------------------------------------------------------------------------


def test_the_share_held_out_of_a_file_is_found_again(rows_npy, out):
    run = lt.fit("vae", rows_npy, validation=0.2, split_seed=3, out=out, **VAE, epochs=1)
    again = held_out_rows(lt.load(out))
    assert again.x.equal(run.held_out.x)
    assert lt.evaluate(lt.load(out)).equals(lt.evaluate(run))
    lt.write_report(lt.load(out))
    assert "12 held out" in (out / "report.html").read_text()


def test_it_is_found_with_the_labels_the_support_and_the_size_that_were_given(tmp_path, out):
    table = pd.DataFrame({"x": np.arange(40) % 3, "kind": ["ab"[i % 2] for i in range(40)]})
    table.to_csv(tmp_path / "t.csv", index=False)
    options = {"labels": "kind", "support": "discrete(5)", "conditional": True, "validation": 0.25}
    run = lt.fit("vae", str(tmp_path / "t.csv"), out=out, **options, **SMALL)
    again = held_out_rows(lt.load(out))
    assert again.x.equal(run.held_out.x)
    assert again.labels.equal(run.held_out.labels)
    assert again.spec == run.spec


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.unlink(),
        lambda path: np.save(path, X + 1),
        lambda path: np.save(path, X[:50]),
        lambda path: np.save(path, X * np.nan),
    ],
    ids=["gone", "others", "fewer", "NaN"],
)
def test_rows_that_are_gone_or_others_by_now_are_asked_for(change, rows_npy, out):
    lt.fit("vae", rows_npy, validation=0.2, out=out, **VAE, epochs=1)
    change(rows_npy)
    told = "does not hold the rows"
    with pytest.raises(UsageError, match=rf"{told}.*give them with data=$"):
        lt.evaluate(lt.load(out))
    lt.write_report(lt.load(out))
    assert told in (out / "report.html").read_text()


def test_arrays_are_asked_for_and_nothing_held_out_is_said_only_where_it_is_true(out):
    vae(epochs=1, validation=0.2, out=out)
    with pytest.raises(UsageError, match="does not hold the rows"):
        lt.evaluate(lt.load(out))
    with pytest.raises(UsageError, match="of which nothing was held out"):
        lt.evaluate(vae(epochs=1))


def test_a_named_set_is_scored_on_the_support_it_was_fitted_on():
    run = lt.fit("vae", "digits", support="real", **SMALL)
    assert held_out_rows(run).spec.support == run.spec.support
    assert lt.evaluate(run, metrics=["elbo"])["value"].notna().all()


def test_one_metric_is_a_name_and_a_run_may_be_a_path(out):
    run = vae(epochs=1, out=out)
    expected = lt.evaluate(run, X, metrics=["elbo"])
    for given in (run, out, str(out)):
        assert lt.evaluate(given, X, metrics="elbo").equals(expected)


# --- scores that were there before --------------------------------------------------------------------------


def stored(out):
    return {(score.data, score.metric): score for score in read_scores(out)}


def test_scores_of_other_metrics_and_other_rows_stay(rows_npy, out):
    run = lt.fit("vae", rows_npy, validation=0.2, out=out, **VAE, epochs=1)
    table = lt.evaluate(run)
    own = "the held-out part of rows.npy"
    before = stored(out)
    assert {*before} == {(own, metric) for metric in table["metric"]}
    lt.evaluate(run, metrics="elbo", seed=4)
    assert {**stored(out), (own, "elbo"): before[own, "elbo"]} == before
    assert stored(out)[own, "elbo"].value != before[own, "elbo"].value
    lt.evaluate(run, X + 1, metrics="elbo")
    lt.evaluate(run, X - 1, metrics=["elbo", "iwae"])
    assert {key: score for key, score in stored(out).items() if key[0] == own} == before | {
        (own, "elbo"): stored(out)[own, "elbo"]
    }
    assert [(score.metric, score.n) for score in read_scores(out) if score.data == "data"] == [
        ("elbo", 60), ("elbo", 60), ("iwae", 60),
    ]  # fmt: skip
    lt.evaluate(run, X - 1, metrics="iwae")
    assert len(read_scores(out)) == len(before) + 3


def test_the_report_shows_the_scores_on_the_runs_own_rows(rows_npy, out):
    run = lt.fit("vae", rows_npy, validation=0.2, out=out, **VAE, epochs=1)
    lt.evaluate(run, metrics=["elbo"])
    lt.evaluate(run, X + 1, metrics=["elbo", "iwae"])
    page = lt.write_report(run).read_text()
    assert "On the held-out part of rows.npy." in page
    assert printed(stored(out)["the held-out part of rows.npy", "elbo"].value) in page
    assert printed(stored(out)["data", "iwae"].value) not in page
    other = vae(epochs=1, out=out, overwrite=True)
    lt.evaluate(other, X + 1, metrics="iwae")
    assert printed(stored(out)["data", "iwae"].value) in lt.write_report(other).read_text()


def test_scores_that_cannot_be_read_are_reported_before_anything_is_computed(out, monkeypatch):
    run = vae(epochs=1, out=out)
    (out / "scores.json").write_text('{"scores": [{"metrics": "elbo"}]}')
    monkeypatch.setattr("latentia.runs.evaluate.score", lambda *_: pytest.fail("computed"))
    with pytest.raises(RunError, match=r"scores\.json holds no scores that this version knows"):
        lt.evaluate(run, X, metrics="elbo")


def test_rows_that_are_not_like_the_runs_are_said_to_be_what_they_are(digits):
    run = lt.fit("vae", digits, support="discrete(17)", **SMALL)
    told = (
        "the run is for discrete(17) rows of shape (1, 8, 8); the test part of moons is real of shape (2,): "
        "the test part of moons holds "
    )
    with pytest.raises(DataError, match=rf"^{re.escape(told)}[\d.-]+ in row 0$"):
        lt.evaluate(run, "moons")
    with pytest.raises(
        DataError, match=r"discrete\(17\) rows of shape \(1, 8, 8\); data is discrete\(21\) of .*20 in"
    ):
        lt.evaluate(run, np.minimum(digits + 4 * (digits == 16), 20))
    with pytest.raises(DataError, match="data is binary of shape"):
        lt.evaluate(run, np.zeros((5, 4, 4), dtype=bool))
    with pytest.raises(DataError, match=r"^data holds NaN or infinity"):
        lt.evaluate(run, np.full((5, 8, 8), np.nan))


# --- classes ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def conditional():
    """Return a run whose classes are far apart, and rows of it with their names."""
    names = np.array(["cat", "dog", "owl"])[np.arange(120) % 3]
    x = np.random.default_rng(0).normal(size=(120, 2)) + 9 * (np.arange(120) % 3)[:, None]
    options = {**SMALL, "epochs": 40}
    return lt.fit("vae", x, labels=names, conditional=True, lr=0.01, **options), x, names


def test_labels_are_matched_by_name(conditional):
    run, x, names = conditional
    told = {
        kept: lt.evaluate(run, x[mask], labels=names[mask], metrics="elbo")["value"][0]
        for kept, mask in {"owl": names == "owl", "dog": names == "dog"}.items()
    }
    wrong = lt.evaluate(run, x[names == "owl"], labels=["cat"] * 40, metrics="elbo")["value"][0]
    assert min(told.values()) > wrong + 5


def test_a_class_that_the_run_does_not_know_and_no_labels_are_reported(conditional):
    run, x, _ = conditional
    with pytest.raises(DataError, match=r"has the class 'cow'.*cat, dog, owl"):
        lt.evaluate(run, x, labels=["cow"] * 120)
    with pytest.raises(DataError, match=r"conditional on .* need these labels"):
        lt.evaluate(run, x)


def test_a_class_may_be_given_by_number_where_no_class_has_that_name(conditional):
    run = conditional[0]
    for number in (2, "2", np.int64(2)):
        assert run.sample(3, {"class": number}, seed=0).equal(run.sample(3, {"class": "owl"}, seed=0))
    with pytest.raises(UsageError, match="unknown class 3; there are: cat, dog, owl"):
        run.sample(3, {"class": 3})
    named = lt.DataSpec((1,), lt.Support("real")).with_classes(("1", "0"))
    assert named.class_number(1) == 0


# --- resume -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [X + 1, X[::-1].copy(), np.where(X[59, 2] == X, 0, X)])
def test_other_rows_of_the_same_shape_are_not_resumed(others, out):
    vae(epochs=1, out=out)
    before = contents(out)
    with pytest.raises(RunError, match="cannot be resumed: its data"):
        lt.fit("vae", others, epochs=2, out=out, resume=True, **VAE)
    assert contents(out) == before


def test_other_labels_are_not_resumed(out):
    options = {**VAE, "out": out, "epochs": 1}
    lt.fit("vae", X, labels=np.arange(60) % 2, **options)
    with pytest.raises(RunError, match="cannot be resumed: its data"):
        lt.fit("vae", X, labels=np.arange(60) // 30, resume=True, **options)


def test_the_same_file_may_be_called_differently(rows_npy, out, monkeypatch):
    monkeypatch.chdir(rows_npy.parent)
    shutil.copy(rows_npy, "copy.npy")
    lt.fit("vae", "rows.npy", out=out, epochs=1, **VAE)
    before = contents(out)
    for name in ("./rows.npy", rows_npy, "copy.npy", X, X.astype(np.float64)):
        lt.fit("vae", name, out=out, epochs=1, resume=True, **VAE)
    assert contents(out) == before


def test_what_identifies_rows_is_cheap_and_streams_have_none(out):
    loader = torch.utils.data.DataLoader(torch.as_tensor(X), batch_size=20)
    run = lt.fit("vae", loader, epochs=1, hidden=6, latent_dim=2, progress=False)
    assert run.data["fingerprint"] is None
    assert isinstance(lt.fit("vae", read_rows(X), epochs=1, **VAE).data["fingerprint"], int)


@pytest.mark.parametrize("longer", [{"epochs": 3}, {"steps": 9}])
def test_a_schedule_with_an_end_is_not_resumed_to_another_end(longer, out):
    vae(epochs=2, schedule="cosine", out=out)
    before = contents(out)
    with pytest.raises(RunError, match=r"cannot be resumed: .*cosine"):
        vae(schedule="cosine", out=out, resume=True, **longer)
    assert contents(out) == before
    vae(epochs=2, schedule="cosine", out=out, resume=True)
    assert contents(out) == before


def test_a_recipe_with_a_schedule_of_its_own_is_not_either(out):
    recipe = lt.Recipe(
        lt.recipes["vae"](lt.DataSpec((3,), lt.Support("real")), hidden=6, latent_dim=2).objective,
        lt.Optim(schedule="cosine"),
        batch_size=20,
    )
    lt.fit(recipe, X, epochs=1, out=out, progress=False)
    with pytest.raises(RunError, match=r"cannot be resumed: .*cosine"):
        lt.fit(recipe, X, epochs=2, out=out, resume=True, progress=False)


def test_read_only_arrays_are_taken(recwarn):
    run = vae(epochs=1)
    frozen = X.copy()
    frozen.flags.writeable = False
    assert run.encode(frozen).shape == (60, 2)
    assert run.decode(np.broadcast_to(np.zeros(2, np.float32), (4, 2))).shape == (4, 3)
    assert not [warning for warning in recwarn if "writable" in str(warning.message)]


def test_run_folders_are_found_from_elsewhere(rows_npy, out, monkeypatch, tmp_path):
    monkeypatch.chdir(rows_npy.parent)
    lt.fit("vae", "rows.npy", validation=0.2, out=out, **VAE, epochs=1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(held_out_rows(lt.load(out))) == 12
