"""Densities on columns with repeated values: scores and the doctor say so."""

import json

import numpy as np
import pandas as pd
import pytest

import latentia as lt


def spiky(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    gain = np.where(rng.random(n) < 0.9, 0.0, rng.lognormal(5, 1, n))
    return pd.DataFrame({"gain": gain, "age": rng.integers(20, 60, n), "size": rng.normal(0, 1, n)})


@pytest.fixture(scope="module")
def run():
    return lt.fit("gaussian", spiky(), progress=False)


def test_a_likelihood_says_which_columns_repeat_values(run):
    score = lt.evaluate(run, spiky(), metrics=["log-likelihood"]).iloc[0]
    said = json.loads(score["settings"])["repeated_values"]
    zeros = (spiky()["gain"] == 0).mean()
    assert said == {
        "gain": f"{zeros:.0%} of the rows have one value".replace("%", " %"),
        "age": "40 values in 400 rows",
    }


def test_a_likelihood_of_an_array_says_nothing():
    x = spiky().to_numpy()
    score = lt.evaluate(lt.fit("gaussian", x, progress=False), x, metrics=["log-likelihood"]).iloc[0]
    assert "repeated_values" not in score["settings"]


def test_the_doctor_names_the_spike(run):
    found = lt.doctor(run).set_index("finding")
    assert found.loc["density-on-spikes", "evidence"].startswith("gain: 88 % are 0")
    assert "grows without bound" in found.loc["density-on-spikes", "evidence"]


def test_models_without_a_density_have_none():
    run = lt.fit("sequential-trees", spiky(), progress=False)
    assert "density-on-spikes" not in set(lt.doctor(run)["finding"])
