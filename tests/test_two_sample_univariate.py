"""Tests feature by feature, against SciPy. Errata E22 and E24."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from tests.two_samples import normal

from latentia.errors import DataError
from latentia.metrics.two_sample import CORRECTIONS, two_sample_test
from latentia.metrics.two_sample.corrections import benjamini_hochberg, holm
from latentia.metrics.two_sample.ranks import _samples_with, critical_distance, critical_rank_sum

SHIFT = torch.tensor([0.0, 0.8, 0.3])
SCIPY = {
    "welch-t": lambda x, y: stats.ttest_ind(x, y, equal_var=False),
    "student-t": stats.ttest_ind,
    "kolmogorov-smirnov": stats.ks_2samp,
    "mann-whitney": stats.mannwhitneyu,
}


def samples(n: int = 12, m: int = 31, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    x, y = normal(n, 0, scale=2.0, d=3), normal(m, 1, d=3) + SHIFT
    return ((3 * x).round().numpy(), (3 * y).round().numpy()) if ties else (x.numpy(), y.numpy())


@pytest.mark.parametrize("method", SCIPY)
@pytest.mark.parametrize("sizes", [(12, 31), (6, 9), (2, 3), (230, 300)], ids=str)
@pytest.mark.parametrize("ties", [False, True])
def test_statistics_and_p_values_are_those_of_scipy(method, sizes, ties):
    x, y = samples(*sizes, ties)
    result = two_sample_test(x, y, method)
    for feature in result.features:
        j, (n, m) = int(feature.name), sizes
        expected = SCIPY[method](x[:, j].astype(float), y[:, j].astype(float))
        statistic = expected.statistic
        if method == "mann-whitney":
            assert feature.effect_size == pytest.approx(2 * statistic / (n * m) - 1, rel=1e-9, abs=1e-12)
            statistic = max(statistic, n * m - statistic)
        assert feature.statistic == pytest.approx(statistic, rel=1e-9)
        large = method == "kolmogorov-smirnov" and max(sizes) > 200  # where SciPy is exact, and this not
        assert feature.p_value == pytest.approx(expected.pvalue, rel=0.1 if large else 1e-9)


def test_degrees_of_freedom_are_satterthwaites_and_the_threshold_is_two_sided():  # E24
    x, y = (each.astype(float) for each in samples())
    result = two_sample_test(x[:, 0], y[:, 0], "welch-t", level=0.1)
    df = stats.ttest_ind(x[:, 0], y[:, 0], equal_var=False).df
    assert result.degrees_of_freedom == pytest.approx(df, rel=1e-6)
    assert 11 < df < 20  # far from n + m − 2
    assert result.threshold == pytest.approx(stats.t.ppf(0.95, df), rel=1e-6)
    student = two_sample_test(x[:, 0], y[:, 0], "student-t", level=0.1)
    assert (student.degrees_of_freedom, student.threshold) == (41, pytest.approx(stats.t.ppf(0.95, 41)))


@pytest.mark.parametrize("method", SCIPY)
@pytest.mark.parametrize("sizes", [(5, 7), (12, 31), (210, 40)], ids=str)
@pytest.mark.parametrize("ties", [False, True])
def test_a_statistic_exceeds_the_threshold_just_where_p_is_at_most_the_level(method, sizes, ties):  # E22
    seen = set()
    for seed in range(40):
        x, y = (
            normal(sizes[0], seed, d=3).numpy(),
            normal(sizes[1], 100 + seed, d=3).numpy() + 1.5 * seed / 40,
        )
        if ties:
            x, y = x.round(), y.round()
        result = two_sample_test(x, y, method, level=0.1)
        assert (abs(result.statistic) > result.threshold) == result.reject
        seen.add(result.reject)
    assert seen == {True, False}


def test_cohens_d_is_the_difference_of_means_in_pooled_deviations():
    x, y = np.array([[1.0], [3.0], [5.0]]), np.array([[2.0], [6.0]])
    s = np.sqrt((2 * 4.0 + 1 * 8.0) / 3)
    for method in ("welch-t", "student-t"):
        assert two_sample_test(x, y, method).effect_size == pytest.approx(-1 / s, rel=1e-12)


@pytest.mark.parametrize("method", SCIPY)
def test_features_are_ranked_and_corrected(method):
    x, y = samples(40, 50)
    result = two_sample_test(x, y, method, correction="benjamini-hochberg")
    p = np.array([each.p_value for each in result.features])
    assert (np.diff(p) >= 0).all()
    assert result.features[0].name == "1"
    assert [each.adjusted_p_value for each in result.features] == pytest.approx(
        stats.false_discovery_control(p)
    )
    assert result.p_value == pytest.approx(3 * p[0])  # Holm's smallest, whatever corrects the features
    assert result.p_value == two_sample_test(x, y, method).features[0].adjusted_p_value


def test_holm_steps_down_and_bounds_by_one():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1.0, 1.0])
    assert benjamini_hochberg(p) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert holm(np.array([0.3])) == [0.3]


@pytest.mark.parametrize(("name", "error_rate"), [("holm", 0.05), ("benjamini-hochberg", 0.05)])
def test_corrections_bound_the_rate_of_any_false_rejection_under_equal_distributions(name, error_rate):
    p = np.random.default_rng(0).uniform(size=(2000, 8))
    rejected = sum((CORRECTIONS[name](row) <= error_rate).any() for row in p)
    assert rejected <= stats.binom.ppf(0.999, 2000, error_rate)  # false alarm 1e-3
    assert rejected >= stats.binom.ppf(0.001, 2000, 1 - (1 - error_rate / 8) ** 8)


def test_features_that_are_equal_everywhere_differ_in_nothing():
    x, y = (
        np.c_[normal(9, 0, d=1).numpy(), np.full(9, 0.1)],
        np.c_[normal(7, 1, d=1).numpy(), np.full(7, 0.1)],
    )
    for method in SCIPY:
        feature = {each.name: each for each in two_sample_test(x, y, method).features}["1"]
        assert (feature.p_value, feature.effect_size) == (1.0, 0.0)


@pytest.mark.parametrize("method", ["welch-t", "student-t"])
def test_t_of_different_constants_is_refused(method):
    x, y = (
        np.c_[normal(9, 0, d=1).numpy(), np.full(9, 0.1)],
        np.c_[normal(7, 1, d=1).numpy(), np.full(7, 0.2)],
    )
    with pytest.raises(DataError, match=r"feature 1 is 0\.1 everywhere in x and 0\.2 everywhere in y"):
        two_sample_test(x, y, method)
    assert two_sample_test(x, y, "mann-whitney").reject
    assert two_sample_test(x[:, 1:], normal(7, 1, d=1), method).degrees_of_freedom is not None


@pytest.mark.parametrize(("n", "m"), [(5, 8), (4, 4), (20, 35)])
def test_the_critical_distance_is_the_largest_that_is_not_rejected(n, m):
    rng, D = np.random.default_rng(0), critical_distance(n, m, 0.05)
    tests = [stats.ks_2samp(rng.normal(size=n), rng.normal(1, size=m), method="exact") for _ in range(300)]
    accepted = [test.statistic for test in tests if test.pvalue > 0.05]
    rejected = [test.statistic for test in tests if test.pvalue <= 0.05]
    assert max(accepted) == pytest.approx(D)
    assert min(rejected) > D + 1e-9


@pytest.mark.parametrize(("n", "m"), [(1, 4), (3, 5), (6, 2)])
def test_samples_with_any_rank_sum(n, m):
    for U in range(n * m + 1):
        x, y = _samples_with(U, n, m)
        assert (len(x), len(y), len({*x, *y})) == (n, m, n + m)
        assert (x[:, None] > y).sum() == U


def test_the_critical_rank_sum_is_the_largest_that_is_not_rejected():
    n, m, U = 5, 7, critical_rank_sum(np.arange(5.0), np.arange(7.0) + 0.5, 0.05)
    assert stats.mannwhitneyu(*_samples_with(int(U), n, m), method="exact").pvalue > 0.05
    assert stats.mannwhitneyu(*_samples_with(int(U) + 1, n, m), method="exact").pvalue <= 0.05
