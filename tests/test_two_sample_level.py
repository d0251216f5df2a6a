"""Every two-sample test keeps its level, and finds more the more points it has.

Rows D6 and D10 of docs/known-mistakes.md.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest
from tests.two_samples import FAST, blobs, normal

from latentia.metrics.two_sample import METHODS, two_sample_test
from latentia.metrics.two_sample.deep_kernel import learn_kernel

REPEATS = 400
LOW, HIGH = binom.interval(0.999, REPEATS, 0.05)  # false alarm 1e-3 for each test; the seeds are fixed
CONSERVATIVE = {"kolmogorov-smirnov"}  # the statistic takes few values at these sizes: 0.05 is not among them


def rejections(method: str, pair, **options) -> int:
    options = FAST[method] | options
    return sum(two_sample_test(*pair(seed), method, seed=seed, **options).reject for seed in range(REPEATS))


def test_every_method_is_tested():
    assert FAST.keys() == METHODS.keys()


@pytest.mark.parametrize("method", METHODS)
def test_level_is_kept_for_unequal_sizes(method):
    count = rejections(method, lambda seed: (normal(15, seed), normal(30, 10_000 + seed)))
    assert (0 if method in CONSERVATIVE else LOW) <= count <= HIGH


@pytest.mark.parametrize("method", METHODS)
def test_level_is_kept_for_discrete_values(method):
    count = rejections(method, lambda seed: (normal(15, seed).round(), normal(30, 10_000 + seed).round()))
    assert count <= HIGH  # ties count against rejecting, so that the rate may be lower


def test_level_of_welch_is_kept_for_unequal_variances_where_students_is_not():  # E24
    def pair(seed):
        return normal(5, seed, scale=3.0, d=1), normal(40, 10_000 + seed, d=1)

    assert LOW <= rejections("welch-t", pair) <= HIGH
    assert rejections("student-t", pair) > 2 * HIGH


@pytest.mark.parametrize("classifier", ["logistic", "network"])
def test_p_values_of_the_classifier_are_uniform_for_nine_points_to_one(classifier):  # D10
    repeats = 100 if classifier == "logistic" else 25
    rng = np.random.default_rng(
        0
    )  # to break the ties of p: Kolmogorov's distribution is that of continuous data
    p = [
        two_sample_test(
            normal(90, seed), normal(10, 10_000 + seed), "classifier", 99, seed, classifier=classifier
        ).p_value
        - rng.uniform(0, 0.01)
        for seed in range(repeats)
    ]
    assert kstest(p, "uniform").pvalue > 1e-3  # false alarm 1e-3


@pytest.mark.parametrize(
    "method", ["mmd", "energy", "sliced-wasserstein", "mann-whitney", "welch-t", "student-t"]
)
def test_p_values_are_uniform_for_equal_distributions(method):
    rng = np.random.default_rng(0)
    samples = [(normal(12, seed, d=1), normal(25, 10_000 + seed, d=1)) for seed in range(200)]
    p = [two_sample_test(x, y, method, **FAST[method]).p_value for x, y in samples]
    spread = 0.01 if "permutations" in FAST[method] else 0.0
    assert kstest(np.array(p) - rng.uniform(0, spread, len(p)), "uniform").pvalue > 1e-3  # false alarm 1e-3


def power(pair, repeats: int, method: str, **options) -> float:
    return (
        sum(two_sample_test(*pair(seed), method, seed=seed, **options).reject for seed in range(repeats))
        / repeats
    )


@pytest.mark.parametrize("method", METHODS)
def test_power_grows_with_the_shift_and_with_n(method):
    def pair(seed, n, shift):
        return normal(n, seed), normal(2 * n, 10_000 + seed, shift)

    few, many = (power(partial(pair, n=n, shift=0.7), 40, method, **FAST[method]) for n in (10, 60))
    assert few < many - 0.2
    assert many > 0.8
    assert power(partial(pair, n=40, shift=2.0), 20, method, **FAST[method]) == 1.0


def blobs_power(n: int, repeats: int, method: str, **options) -> float:
    return power(partial(blobs, n), repeats, method, permutations=99, **options)


def test_power_of_a_narrow_kernel_grows_with_n_on_blobs():
    assert blobs_power(5, 20, "mmd", bandwidth=0.15) <= 0.3
    assert blobs_power(60, 10, "mmd", bandwidth=0.15) >= 0.9


@pytest.mark.slow
def test_power_of_boosted_trees_grows_with_n_on_blobs():
    assert blobs_power(5, 10, "classifier") <= 0.3
    assert blobs_power(60, 10, "classifier") >= 0.8


@pytest.mark.slow
def test_a_deep_kernel_learned_on_blobs_tells_new_blobs_apart():  # power at least 0.90, level at most 0.08
    found, false = 0, 0
    for training in range(3):
        x, y = (torch.from_numpy(each) for each in blobs(40, training))
        generator = torch.Generator().manual_seed(training)
        kernel = learn_kernel(x, y, steps=400, learning_rate=2e-3, hidden=(50,) * 4, generator=generator)
        for seed in range(1000, 1050):
            found += two_sample_test(*blobs(40, seed), "mmd", 100, seed, kernel=kernel).reject
            false += two_sample_test(*blobs(40, seed, equal=True), "mmd", 100, seed, kernel=kernel).reject
    assert found / 150 >= 0.90
    assert false <= binom.ppf(0.999, 150, 0.05)  # false alarm 1e-3
