"""Distances between rows of tables look at every column, whatever its unit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom
from tests.planted_scores import Given, scores

from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.two_sample import two_sample_test

UNITS = np.array([1.0, 1000.0, 1.0])
SPEC = DataSpec((3,), Support("real"), columns=("a", "b", "c"))
METHODS = {"mmd": {}, "energy": {}, "sliced-wasserstein": {"projections": 30}}


def frame(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    z = np.random.default_rng(seed).normal(size=(n, 3))
    return pd.DataFrame((z + np.array([shift, 0, 0])) * UNITS, columns=["a", "b", "c"])


def rejections(method: str, n: int, repeats: int, shift: float = 0.0) -> int:
    tests = (
        two_sample_test(frame(n, 2 * s), frame(n, 2 * s + 1, shift), method, 39, s, **METHODS[method])
        for s in range(repeats)
    )
    return sum(each.reject for each in tests)


@pytest.mark.parametrize("method", METHODS)
def test_the_level_is_kept(method):
    low, high = binom.interval(0.999, 200, 0.05)  # false alarm 1e-3 for each method, at fixed seeds
    assert low <= rejections(method, 40, 200) <= high


@pytest.mark.parametrize("method", METHODS)
def test_a_shift_is_found_beside_a_column_a_thousand_times_as_wide(method):
    """Of 20 tests at least 18: with a power of 0.99 fewer are found once in a thousand draws; raw it is about 0.05."""
    assert rejections(method, 300, 20, shift=1.0) >= 18


def test_scores_of_samples_see_the_narrow_column():
    real, made = (torch.tensor(frame(300, s, s).to_numpy(copy=True)).float() for s in (0, 1))
    rows = Rows(real, SPEC)
    found = {
        how: scores(Evaluation.of(Given(made), rows, distances=how), "mmd-test")["mmd-test"]
        for how in ("standardised", "raw")
    }
    assert found["standardised"].value < 0.01
    assert found["raw"].value > 0.05
    assert found["standardised"].settings["distances"] == "standardised"
    energy = scores(Evaluation.of(Given(made), rows), "energy-distance")["energy-distance"]
    assert energy.unit == "standardised columns"
    unnamed = Rows(real, DataSpec((3,), Support("real")))
    array = scores(Evaluation.of(Given(made), unnamed), "energy-distance")["energy-distance"]
    assert array.unit == "data units"
    assert "distances" not in array.settings
