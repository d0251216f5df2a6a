"""Frames of hundreds of shapes are fitted, sampled, written and read again: no exception but ours, of one line."""

import re

import numpy as np
import pandas as pd
import pytest
from tests import frames

import latentia as lt
from latentia.errors import LatentiaError

pytestmark = pytest.mark.filterwarnings("ignore::latentia.errors.DataWarning")
SHORT = {"epochs": 1, "batch_size": 16, "latent_dim": 1}
RECIPES = {
    "sequential-trees": {},
    "gaussian-mixture": {"components": 2},
    "gaussian-copula": {},
    "vae": SHORT,
    "r3-gan": SHORT,
}
NO_MODEL = "has no column to model|beyond 2\\^53|values.*, first|NaN or infinity"


def round_trip(recipe: str, frame: pd.DataFrame, folder, *, as_csv: bool) -> str:
    """Return why a frame was refused, empty where it was fitted and its samples are like it."""
    path = folder / "given.csv"
    frame.to_csv(path, index=False)
    try:
        run = lt.fit(
            recipe, path if as_csv else frame, progress=False, seed=1, device="cpu", **RECIPES[recipe]
        )
        made = run.sample(150, seed=2)
        if not as_csv:
            assert frames.faults(frame, made, run.spec, rates=recipe != "r3-gan") == []
        made.to_csv(folder / "made.csv", index=False)
        lt.evaluate(run, folder / "made.csv" if as_csv else made)
    except LatentiaError as error:
        return str(error)
    return ""


def is_clear(refused: str) -> bool:
    """Whether a refusal is one line, and says what no model of columns takes; also of none."""
    return "\n" not in refused and (not refused or re.search(NO_MODEL, refused) is not None)


@pytest.mark.parametrize("seed", range(20))
def test_frames_of_many_shapes_come_back_in_their_form(seed, tmp_path):
    recipe = list(RECIPES)[seed % len(RECIPES)]
    refused = round_trip(recipe, frames.a_frame(seed), tmp_path, as_csv=seed % 2 == 1)
    assert is_clear(refused)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("first", range(1000, 1400, 20))
def test_frames_of_hundreds_of_shapes_come_back_in_their_form(first, recipe, tmp_path):
    refused = [
        round_trip(recipe, frames.a_frame(seed, odd=seed % 3 == 0), tmp_path, as_csv=seed % 2 == 1)
        for seed in range(first, first + 20)
    ]
    assert [each for each in refused if not is_clear(each)] == []


def test_only_columns_that_had_gaps_get_some():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    frame.loc[::4, "b"] = np.nan
    for recipe, options in RECIPES.items():
        run = lt.fit(recipe, frame, progress=False, seed=1, **options)
        assert str(run.spec.support) == "table(real, real or missing, real)"
        made = run.sample(2000, seed=1)
        assert not made[["a", "c"]].isna().to_numpy().any()
        assert 0.1 < made["b"].isna().mean() < (0.7 if recipe == "r3-gan" else 0.4)  # one epoch


def test_a_gaussian_of_a_table_of_numbers_with_gaps_is_exact():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.multivariate_normal([0, 1], [[1, 0.8], [0.8, 1]], 300), columns=["a", "b"])
    whole = lt.fit("gaussian", frame, progress=False)
    frame.loc[frame["a"] > 0.5, "b"] = np.nan
    run = lt.fit("gaussian", frame, progress=False)
    assert run.log_prob_kind() == "exact"
    rows = frame.dropna()
    present = run.log_prob(frame[frame["b"].isna()]), run.log_prob(rows)
    assert all(each.isfinite().all() for each in present)
    assert run.model.mean[1].item() == pytest.approx(whole.model.mean[1].item(), abs=0.15)


def test_encoded_rows_far_from_zero_are_in_the_units_that_models_read():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"year": 2000 + rng.normal(size=300), "kind": rng.choice(["a", "b"], 300)})
    run = lt.fit("gan", frame, progress=False, seed=1, epochs=1)
    assert run.spec.offsets[0] == 2000
    assert run.model.sample(500)[:, 0].mean().item() == pytest.approx(0, abs=2)
    run = lt.fit("gaussian", frame, progress=False, seed=1)
    made = run.sample(3000, seed=1)["year"]
    assert made.mean() == pytest.approx(
        frame["year"].mean(), abs=0.2
    )  # 6 standard errors of both: 0.37 and less
    assert made.std() == pytest.approx(1, abs=0.2)
