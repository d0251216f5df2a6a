"""Published tables, as their files are, through fit, evaluate, sample and impute; where the files are there."""

import os
from pathlib import Path

import pandas as pd
import pytest

import latentia as lt

FOLDER = Path(os.environ.get("LATENTIA_DATA", "nowhere"))
SHORT = {"epochs": 2}
RECIPES = {
    "sequential-trees": {},
    "gaussian-mixture": {},
    "gaussian-copula": {},
    "vae": SHORT,
    "r3-gan": SHORT,
}
FILES = ["penguins/penguins.csv", "penguins/penguins-raw.csv", "california/housing.csv", "adult/adult.data"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER / FILES[-1]).exists(), reason="needs the files under LATENTIA_DATA"),
    pytest.mark.filterwarnings("ignore::latentia.errors.DataWarning"),
]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("file", FILES)
def test_a_published_table_goes_in_as_it_is_and_comes_out_in_its_form(file, recipe, tmp_path):
    run = lt.fit(recipe, FOLDER / file, progress=False, device="cpu", **RECIPES[recipe])
    test = FOLDER / file.replace(".data", ".test")
    assert lt.evaluate(run, test)["value"].notna().any()
    made = run.sample(500, seed=0)
    made.to_csv(tmp_path / "made.csv", index=False)
    assert lt.evaluate(run, tmp_path / "made.csv")["value"].notna().any()
    if recipe != "r3-gan":
        filled = run.impute(made.head(100), seed=0)
        modelled = [column.label for column in run.spec.table if column.kind not in ("text", "constant")]
        assert filled[modelled].notna().to_numpy().all()
        pd.testing.assert_index_equal(filled.columns, made.columns)
