"""Every recipe takes a table with words, dates, booleans and gaps, or refuses it in one true line."""

import numpy as np
import pandas as pd
import pytest

import latentia as lt
from latentia.cli import main
from latentia.data.encoding.table import TableEncoding
from latentia.errors import DataError, UsageError

# that the id is made anew is said each time
pytestmark = pytest.mark.filterwarnings("ignore::latentia.errors.DataWarning")

REFUSE = {  # what each says
    "bernoulli-mixture": "models columns that are binary",
    "categorical-mixture": "models columns that are binary, categorical, discrete",
    "dc-gan": r"convolutional networks are for images .*latentia recipes --for DATA, lists",
    "deconvolution-generator": r"is for images; these rows are of shape \(6,\): lt.recipes_for",
}
LABELLED = [name for name in lt.recipes if lt.recipes.known_facts(name).get("labelled")]
TAKE = [name for name in lt.recipes if name not in REFUSE]
FEW = {"vamp-vae": {"prior_components": 20}}


def table(n: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": [f"A{i:04d}" for i in range(n)],
            "day": pd.to_datetime("2023-01-01") + pd.to_timedelta(rng.integers(0, 400, n), "D"),
            "word": rng.choice(["red", "green", "blue"], n, p=[0.6, 0.3, 0.1]),
            "flag": rng.random(n) < 0.2,
            "gain": np.where(rng.random(n) < 0.9, 0.0, rng.gamma(2, 1000, n).round()),
            "x": rng.normal(size=n),
            "y": rng.normal(5, 2, size=n),
            "kind": rng.choice(["a", "b"], n),
        }
    )
    frame.loc[rng.random(n) < 0.25, "y"] = np.nan
    frame.loc[rng.random(n) < 0.1, "word"] = None
    return frame


def fit(name: str, **options) -> lt.Run:
    data = table() if name in LABELLED else table().drop(columns="kind")
    labels = {"labels": "kind"} if name in LABELLED else {}
    return lt.fit(name, data, steps=2, seed=0, progress=False, **labels, **FEW.get(name, {}), **options)


def given(run: lt.Run, n: int) -> dict[str, list[str]] | None:
    return {"class": ["a"] * n} if run.recipe.conditional else None


@pytest.mark.parametrize("name", TAKE)
def test_it_fits_and_its_samples_have_the_table_s_form_also_when_it_is_loaded(name, tmp_path):
    run, data = fit(name, out=tmp_path / "run"), table()
    again = lt.load(tmp_path / "run")
    if not isinstance(run.model, lt.Generative):
        with pytest.raises(UsageError, match="does not sample; it can"):
            run.sample(3)
        return
    made = run.sample(20, given(run, 1) and {"class": "a"}, seed=0)
    there = [column for column in made.columns if column != "kind"]
    assert there == [column for column in data.columns if column != "kind"]
    assert set(made["word"].dropna()) <= {"red", "green", "blue"}
    assert made["day"].dtype == data["day"].dtype
    assert made["id"].is_unique
    pd.testing.assert_frame_equal(made, again.sample(20, given(run, 1) and {"class": "a"}, seed=0))


@pytest.mark.parametrize("name", TAKE)
def test_what_it_offers_works_on_rows_of_the_table(name):
    run, rows = fit(name), table().head(6)
    known = given(run, 6)
    if isinstance(run.model, lt.Density | lt.Bounded):
        assert run.log_prob(rows, known).isfinite().all()
    if isinstance(run.model, lt.Encodes):
        assert run.encode(rows, known).isfinite().all()
    if isinstance(run.model, lt.Encodes) and isinstance(run.model, lt.Decodes):
        assert len(run.reconstruct(rows, known)) == 6


@pytest.mark.parametrize("name", ["autoencoder", "pca"])
@pytest.mark.parametrize("density", ["gaussian", "kernel-density", "gaussian-mixture", "flow"])
def test_densities_of_codes_of_encoded_rows_sample(name, density):
    run = fit(name, latent_density=density)
    assert isinstance(run.recipe.transform, TableEncoding)
    assert len(run.sample(5, seed=0)) == 5


@pytest.mark.parametrize("name", ["r3-gan", "pca", "flow"])
def test_it_is_watched_as_a_model_of_the_table(name):
    options = {} if name != "pca" else {"monitor": "reconstruction-error"}
    history = fit(name, validation=0.2, **options).history
    column = next(each for each in history.columns if each.startswith("validation_"))
    assert np.isfinite(history[column].iloc[-1])


@pytest.mark.parametrize("name", REFUSE)
def test_others_refuse_it_in_one_line(name):
    with pytest.raises((UsageError, DataError), match=REFUSE[name]) as caught:
        fit(name)
    assert "\n" not in str(caught.value)


def test_recipes_for_a_table_are_those_that_can_be_fitted_to_it(tmp_path, capsys):
    """vamp-vae is for as many rows as it has pseudo-inputs; here it is none of them."""
    listed = lt.recipes_for(table(), labels="kind")
    assert set(listed) == {*TAKE} - {"vamp-vae"}
    unlabelled = lt.recipes_for(table().drop(columns="kind"))
    assert set(unlabelled) == {*TAKE} - {"vamp-vae", *LABELLED}
    table().to_csv(tmp_path / "table.csv", index=False)
    assert main(["recipes", "--for", str(tmp_path / "table.csv"), "--labels", "kind"]) == 0
    taken, _, others = capsys.readouterr().out.partition("not with this data")
    assert {line.split()[0] for line in taken.splitlines() if line[:1].strip()} >= set(listed)
    assert "dc-gan" in others


def test_recipes_for_images():
    listed = lt.recipes_for("digits")
    assert {"dc-gan", "vae", "deconvolution-generator"} <= set(listed)
    assert "gaussian-copula" not in listed
