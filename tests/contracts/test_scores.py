"""Every standard error and every threshold is what it says it is, over all members of the registries."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from tests.planted_scores import PLANTED, Planted
from tests.two_samples import FAST, normal
from torch import nn

import latentia as lt
from latentia.data.rows import Rows
from latentia.metrics.declared import declared
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.metrics.two_sample import METHODS, TestResult, two_sample_test
from latentia.runs.monitor import Monitor

# --- standard errors --------------------------------------------------------------------------------------------

WITHIN = 0.25  # of the deviation, which 200 draws know to 5 %: false alarm 6e-7 for a Gaussian score, at fixed seeds
Z = 4.5  # standard errors of the mean of the draws: false alarm 7e-6 for each truth, at fixed seeds


def test_every_metric_has_a_planted_problem_or_a_reason():
    known = {name: declared(name).no_stderr for name in lt.metrics}
    without = {name for name, reasons in known.items() if name in reasons}
    unknown = sorted(known.keys() - PLANTED.keys() - without)
    assert not unknown, (
        f"add {', '.join(unknown)} to PLANTED in tests/planted_scores.py, or declare no_stderr"
    )
    assert not PLANTED.keys() & without
    assert PLANTED.keys() <= known.keys(), "tests/planted_scores.py has metrics that are gone"
    assert all(reason for reasons in known.values() for reason in reasons.values())


@pytest.mark.parametrize("name", PLANTED)
def test_a_standard_error_is_the_deviation_over_fresh_draws(name):
    planted, without = PLANTED[name], declared(name).no_stderr
    found = [planted.draw(seed) for seed in range(planted.draws)]
    known = [score for score, first in found[0].items() if first.value is not None]
    faults = [fault for score in known for fault in _faults(score, planted, without, found)]
    assert not faults, f"over fresh {planted.of}: {'; '.join(faults)}"
    assert {*planted.truth, *without} <= {*known}


def _faults(
    score: str, planted: Planted, without: Mapping[str, str], found: list[Mapping[str, Any]]
) -> list[str]:
    """Return what is wrong with a score's standard error, and with its mean where that is known."""
    if score in without:
        return [f"{score} has a standard error after all"] * any(each[score].stderr for each in found)
    values = np.array([each[score].value for each in found], dtype=float)
    told = math.sqrt(np.mean([each[score].stderr ** 2 for each in found]))
    sd, mean = values.std(ddof=1), values.mean()
    faults: list[str] = []
    if not abs(told / sd - 1) <= WITHIN:
        faults.append(f"{score} gives a standard error of {told:.3g}, its deviation is {sd:.3g}")
    if score in planted.truth and not abs(mean - planted.truth[score]) <= Z * sd / math.sqrt(len(values)):
        faults.append(f"{score} is {mean:.5g} in the mean, and {planted.truth[score]:.5g} in truth")
    return faults


# --- thresholds -------------------------------------------------------------------------------------------------

PAIRS = {
    "small": lambda seed: (normal(7, seed, d=1), normal(9, 100 + seed, 0.8, d=1)),
    "unequal": lambda seed: (normal(15, seed), normal(30, 100 + seed, 0.4)),
    "ties": lambda seed: (normal(20, seed).round(), normal(25, 100 + seed, 0.4).round()),
}
LEARNED = {"classifier", "deep-kernel"}  # slower than the others
EXACTLY = 1e-6  # how near to the p-value a level is, relative to it


def test_every_method_has_quick_options():
    assert FAST.keys() == METHODS.keys(), "add the method to FAST in tests/two_samples.py"


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("method", METHODS)
def test_a_statistic_is_beyond_the_threshold_exactly_when_p_is_at_most_the_level(method, pair):
    for seed in range(8 if method in LEARNED else 20):
        _thresholds_agree(PAIRS[pair](seed), method, seed)


@pytest.mark.parametrize("method", ["welch-t", "student-t", "mann-whitney", "kolmogorov-smirnov"])
def test_thresholds_of_large_samples_agree_with_p_too(method):
    """Beyond 200 points Kolmogorov-Smirnov and Mann-Whitney take their laws for the limits."""
    for seed in range(10):
        large = normal(220, seed, d=1), normal(260, 100 + seed, 0.1, d=1)
        _thresholds_agree(large, method, seed)


def _thresholds_agree(pair: tuple[torch.Tensor, torch.Tensor], method: str, seed: int) -> None:
    """Compare at a usual level, and at levels just above and just below the p-value, where any slack shows."""
    p = two_sample_test(*pair, method, seed=seed, **FAST[method]).p_value
    for level in (0.05, p * (1 + EXACTLY), p * (1 - EXACTLY)):
        if level < 1:
            result = two_sample_test(*pair, method, seed=seed, level=level, **FAST[method])
            assert result.p_value == p
            assert result.reject == (p <= level) == beyond(result), f"p={p}, level={level}, {result}"


def beyond(result: TestResult) -> bool:
    two_sided = result.method in ("welch-t", "student-t")
    return (abs(result.statistic) if two_sided else result.statistic) > result.threshold


# --- effect sizes -----------------------------------------------------------------------------------------------


class Undecided:
    """Says ½ of points at 0, and 0 of points below: no fit changes that."""

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        ones = 0.5 * (X[:, 0] == 0)
        return np.stack([1 - ones, ones], 1)

    def get_params(self, deep=True):
        return {}

    def __sklearn_clone__(self):
        return self


@pytest.mark.parametrize("refit", [False, True])
def test_a_classifier_that_cannot_decide_is_half_right(refit):
    """Points of one sample are all at ½, half right; those of the other are right: an accuracy of ¾ either way."""
    half, below = torch.zeros(12, 1), -torch.ones(12, 1)
    options = {"classifier": Undecided(), "folds": 3, "refit": refit, "permutations": 9}
    assert two_sample_test(half, below, "classifier", **options).effect_size == pytest.approx(0.25)
    swapped = two_sample_test(below, half, "classifier", **options)
    # Now those at 0 are y: half of them are said to be x, and the points below, of x, are all said to be y.
    assert swapped.effect_size == pytest.approx((0 + 0.5) / 2 - 0.5)


# --- what is watched --------------------------------------------------------------------------------------------


def stops_at(values: list[float], patience: int, sign: int) -> int:
    """Return the epoch, from 1, after which as many epochs as patience have passed without a better value."""
    for epoch in range(1, len(values) + 1):
        seen = [sign * value for value in values[:epoch]]
        if epoch - 1 - seen.index(max(seen)) >= patience:
            return epoch
    return len(values)


@pytest.mark.parametrize("direction", ["higher", "lower"])
@pytest.mark.parametrize("patience", [1, 2, 3, 5])
def test_patience_counts_from_the_last_improvement(direction, patience):
    """Against a loop over all values so far, on sequences with improvements after every length of waiting."""
    rng = np.random.default_rng(patience)
    for _ in range(50):
        values = [float(value) for value in rng.integers(0, 12, size=25)]
        expected = stops_at(values, patience, 1 if direction == "higher" else -1)
        assert watched(values, patience, direction) == expected, values


def watched(values: list[float], patience: int, direction: str) -> int:
    """Return the epoch after which a monitor stops that sees these values."""
    scores = [[Score("elbo", value, direction=direction)] for value in values]
    model, rows = nn.Linear(1, 1), Rows(torch.zeros(2, 1), lt.DataSpec((1,), lt.Support("real")))
    monitor = Monitor("elbo", Evaluation(model, rows), patience)
    with patch.object(import_module(Monitor.__module__), "score", side_effect=scores):
        for epoch in range(1, len(values) + 1):
            monitor.watch(model, model)
            if monitor.out_of_patience:
                return epoch
    return len(values)
