"""Rows drawn given values of a table's columns: exactly, by filling gaps, or by rejection."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from tests.test_forms import frame

import latentia as lt
from latentia.cli import main
from latentia.errors import DataWarning, UsageError

pytestmark = [
    pytest.mark.usefixtures("own_folder"),
    pytest.mark.filterwarnings("ignore::latentia.errors.DataWarning"),
]
N = 4000
LEVEL = 1e-4  # false alarms of each test


def correlated(n: int = 2000) -> pd.DataFrame:
    """Return two correlated numbers, and a category that goes with the first."""
    rng = np.random.default_rng(0)
    a = rng.normal(10, 2, n)
    kind = np.where(rng.random(n) < 1 / (1 + np.exp(10 - a)), "high", "low")
    return pd.DataFrame({"a": a, "b": 100 + 5 * a + rng.normal(0, 3, n), "kind": kind})


def regression(x: pd.DataFrame, a: float) -> tuple[float, float]:
    """Return mean and standard deviation of b given a of the Gaussian with the moments of the rows."""
    mean, cov = x.mean().to_numpy(), np.cov(x.to_numpy().T, ddof=0)
    slope = cov[0, 1] / cov[0, 0]
    return mean[1] + slope * (a - mean[0]), float(np.sqrt(cov[1, 1] - slope * cov[0, 1]))


@pytest.mark.parametrize(
    "recipe", ["gaussian", "ppca", "factor-analysis", "gaussian-mixture", "gaussian-copula"]
)
def test_numbers_given_a_number_have_its_conditional_distribution(recipe):
    x = correlated()[["a", "b"]]
    options = {
        "ppca": {"latent_dim": 1},
        "factor-analysis": {"latent_dim": 1},
        "gaussian-mixture": {"components": 1},
    }
    run = lt.fit(recipe, x, progress=False, **options.get(recipe, {}))
    with pytest.warns(DataWarning, match=r"rows given a = 13\.0 are drawn exactly"):
        made = run.sample(N, {"a": 13.0}, seed=0)
    assert (made["a"] == 13.0).all()
    if recipe == "ppca":
        model = run.tensors.model
        factor = model.factor.detach().numpy()
        cov, mean = factor @ factor.T, model.mean.detach().numpy()
        scales, offsets = np.array(run.spec.scales or (1, 1)), np.array(run.spec.offsets or (0, 0))
        z = (13.0 - offsets[0]) / scales[0]
        centre = (mean[1] + cov[0, 1] / cov[0, 0] * (z - mean[0])) * scales[1] + offsets[1]
        spread = np.sqrt(cov[1, 1] - cov[0, 1] ** 2 / cov[0, 0]) * scales[1]
    else:
        centre, spread = regression(x, 13.0)
    slack = 0.5 if recipe == "gaussian-copula" else 0.02  # its margins are kernel estimates
    assert abs(made["b"].mean() - centre) < 4 * spread / N**0.5 + slack * spread
    assert abs(made["b"].std() / spread - 1) < 4 / (2 * N) ** 0.5 + slack


def test_a_mixture_on_mixed_rows_has_the_conditional_of_its_joint():
    run = lt.fit("gaussian-mixture", correlated(), components=3, progress=False)
    given = run.sample(N, {"kind": "high"}, seed=1)
    joint = run.sample(10 * N, seed=2)
    assert (given["kind"] == "high").all()
    high = joint[joint["kind"] == "high"]
    assert stats.ks_2samp(given["a"], high["a"]).pvalue > LEVEL
    assert stats.ks_2samp(given["b"], high["b"]).pvalue > LEVEL


@pytest.mark.parametrize("recipe", ["kernel-density", "gan", "sequential-trees", "gaussian-copula"])
def test_a_category_selects_the_rows_that_samples_with_it_are_like(recipe):
    run = lt.fit(recipe, correlated(), progress=False, **({"epochs": 1} if recipe == "gan" else {}))
    with pytest.warns(DataWarning, match="rejection: .* of |by the weights of 32 draws"):
        given = run.sample(1500, {"kind": "high"}, seed=1)
    assert (given["kind"] == "high").all()
    joint = run.sample(8000, seed=2)
    high = joint[joint["kind"] == "high"]
    assert stats.ks_2samp(given["a"], high["a"]).pvalue > LEVEL


def test_the_posterior_of_a_vae_says_what_it_is():
    run = lt.fit("vae", correlated(), latent_dim=2, epochs=1, progress=False)
    with pytest.warns(DataWarning, match="10 steps of a Markov chain"):
        made = run.sample(50, {"kind": "low", "a": 9.5}, seed=1)
    assert set(made["kind"]) == {"low"}
    assert (made["a"] == 9.5).all()


@pytest.mark.parametrize("recipe", ["gaussian-mixture", "sequential-trees"])
def test_gaps_are_drawn_beside_given_values(recipe):
    run = lt.fit(recipe, frame(), progress=False)
    made = run.sample(2000, {"species": "bee"}, seed=0)
    assert set(made["species"]) == {"bee"}
    share = made["size"].isna().mean()
    assert 0.03 < share < 0.2
    assert run.sample(50, {"size": 40.1}, seed=0)["size"].eq(40.1).all()


def test_values_are_read_by_their_columns():
    run = lt.fit("gaussian-mixture", frame(), components=2, progress=False)
    asked = {"species": "ant", "wild": "true", "legs": "4", "seen": "2023-07-01"}
    made = run.sample(20, asked, seed=0)
    assert set(made["species"]) == {"ant"}
    assert made["wild"].all()
    assert (made["legs"] == 4).all()
    assert (made["seen"] == pd.Timestamp("2023-07-01")).all()
    assert dict(made.dtypes) == dict(frame().dtypes)
    every = asked | {"size": 40.0}
    assert len(run.sample(3, every, seed=0).drop_duplicates(subset=["species", "size", "legs"])) == 1


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"specis": "ant"}, "unknown column or condition 'specis'; did you mean 'species'"),
        ({"species": "bea"}, "unknown value of 'species' 'bea'; did you mean 'bee'"),
        ({"legs": "many"}, "column 'legs' holds numbers; got 'many'"),
        ({"legs": 4.5}, "column 'legs' has no value 4.5: it goes from 2 to 8"),
        ({"legs": 40}, "it goes from 2 to 8"),
        ({"size": 40.123}, "column 'size' has no value 40.123"),
        ({"size": "nan"}, "is to have a finite number"),
        ({"seen": "soon"}, "column 'seen' holds dates; got 'soon'"),
        ({"seen": "1999-01-01"}, "column 'seen' has no value 1999-01-01"),
        ({"id": "N0001"}, r"no part of the rows that are modelled \(id\)"),
    ],
)
def test_what_no_column_has_is_refused(given, line):
    run = lt.fit("gaussian-mixture", frame(60), components=1, progress=False)
    with pytest.raises(UsageError, match=line):
        run.sample(3, given)


def test_rejection_stops_where_values_are_rare_or_continuous(monkeypatch):
    run = lt.fit("kernel-density", correlated(200), progress=False)
    with pytest.raises(UsageError, match="continuous, so that no sample has one given value"):
        run.sample(3, {"a": 10.0})
    rows = correlated(300)
    rows.loc[0, "kind"] = "rare"
    run = lt.fit("kernel-density", rows, progress=False)
    monkeypatch.setattr("latentia.runs.given_columns._TRIED", 4096)
    monkeypatch.setattr("latentia.runs.given_columns._RARE", 2)
    with pytest.raises(UsageError, match=r"too few samples of kernel-density have kind = rare .*of 4,096, 0"):
        run.sample(3, {"kind": "rare"})


def test_conditions_of_the_model_and_of_columns_go_together():
    rows = correlated(400).assign(sex=np.tile(["f", "m"], 200))
    run = lt.fit("vae", rows, labels="sex", conditional=True, latent_dim=2, epochs=1, progress=False)
    made = run.sample(40, {"sex": "f", "kind": "high"}, seed=0)
    assert set(made["sex"]) == {"f"}
    assert set(made["kind"]) == {"high"}
    with pytest.raises(UsageError, match="did you mean 'kind'"):
        run.sample(3, {"sex": "f", "knd": "high"})


def test_the_command_line_says_which_way_was_taken(capsys):
    frame().to_csv("rows.csv", index=False)
    lt.fit("gaussian-mixture", "rows.csv", components=2, progress=False, out="run")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        words = ["--given", "species=bee", "legs=4", "--out", "made.csv"]
        assert main(["sample", "run", "--n", "30", *words]) == 0
    assert "note: rows given species = bee, legs = 4 are drawn exactly" in capsys.readouterr().err
    made = pd.read_csv("made.csv")
    assert set(made["species"]) == {"bee"}
    assert main(["sample", "run", "--given", "species=bea"]) == 2
    assert "did you mean 'bee'" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", ["gaussian", "ppca", "factor-analysis"])
def test_gaussians_fill_gaps_by_regression(recipe):
    x = correlated()[["a", "b"]].to_numpy()
    options = {} if recipe == "gaussian" else {"latent_dim": 1}
    run = lt.fit(recipe, x, progress=False, **options)
    holes = np.tile([13.0, np.nan], (N, 1))
    filled = run.impute(holes, seed=0).double()
    assert (filled[:, 0] == 13).all()
    again = run.impute(holes, seed=0).double()
    assert torch.equal(filled, again)
    if recipe != "ppca":
        centre, spread = regression(pd.DataFrame(x), 13.0)
        assert abs(filled[:, 1].mean() - centre) < 4 * spread / N**0.5 + 0.02 * spread
        assert abs(filled[:, 1].std() / spread - 1) < 4 / (2 * N) ** 0.5 + 0.02


def test_no_note_without_conditions():
    run = lt.fit("gaussian", correlated()[["a", "b"]], progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.sample(3, seed=0)
