"""Tests of each feature by order alone: Kolmogorov-Smirnov and Mann-Whitney."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import numpy as np

from latentia.metrics.two_sample.problem import TwoSampleProblem
from latentia.metrics.two_sample.result import TestOutcome
from latentia.metrics.two_sample.univariate import Findings

_EXACT = 200  # points of the larger sample, up to which exact distributions are used
_FEW = 8  # points of the smaller sample, up to which U is not approximated as normal, as in SciPy


def kolmogorov_smirnov(problem: TwoSampleProblem) -> TestOutcome:
    """Test each feature by D = max |F_n − G_m|, the largest difference of the distribution functions.

    The distribution of D is exact up to 200 points and asymptotic beyond. It is that of continuous data: with ties
    the test is conservative, rejecting equal distributions more rarely than its level allows.

    Reference: Hodges (1958), The Significance Probability of the Smirnov Two-sample Test.
    """
    from scipy.stats import ks_2samp

    x, y = problem.x.cpu().numpy(), problem.y.cpu().numpy()
    n, m = len(x), len(y)
    method = "exact" if max(n, m) <= _EXACT else "asymp"
    tests: list[Any] = [ks_2samp(x[:, j], y[:, j], method=method) for j in range(x.shape[1])]
    # D is a multiple of 1/nm; without its rounding error it compares exactly with the critical value.
    D = np.array([round(test.statistic * n * m) / (n * m) for test in tests])
    return Findings(
        statistic=D,
        p_value=np.array([test.pvalue for test in tests]),
        effect_size=D,
        effect="largest difference of the distribution functions",
        critical=lambda _, level: critical_distance(n, m, level),
    ).outcome(problem)


def mann_whitney(problem: TwoSampleProblem) -> TestOutcome:
    """Test each feature by U = #{x_i > y_j} + ½ #{x_i = y_j}, two-sided; U or nm − U, whichever is larger.

    Without ties and with at most 8 points in the smaller sample the distribution of U is exact; otherwise it is normal,
    corrected for ties and continuity. The effect size is the rank-biserial correlation 2U/nm − 1.

    Reference: Mann & Whitney (1947), On a Test of Whether one of Two Random Variables is Stochastically
    Larger than the Other; Cureton (1956), Rank-biserial Correlation.
    """
    columns = [
        (problem.x[:, j].cpu().numpy(), problem.y[:, j].cpu().numpy()) for j in range(problem.x.shape[1])
    ]
    nm = len(problem.x) * len(problem.y)
    tests = [_rank_test(x, y) for x, y in columns]
    U = np.array([statistic for statistic, _ in tests])
    return Findings(
        statistic=np.maximum(U, nm - U),
        p_value=np.array([p for _, p in tests]),
        effect_size=2 * U / nm - 1,
        effect="rank-biserial correlation",
        critical=lambda j, level: critical_rank_sum(*columns[j], level),
    ).outcome(problem)


def critical_distance(n: int, m: int, level: float) -> float:
    """Return what the Kolmogorov-Smirnov distance of samples of sizes n and m has to exceed to be rejected.

    Example:
        >>> critical_distance(10, 10, level=0.05)  # 0.7 has p = 0.012, 0.6 has p = 0.052
        0.6
    """
    from scipy.stats import ks_2samp, kstwo

    if max(n, m) > _EXACT:
        return float(kstwo.isf(level, round(n * m / (n + m))))

    def p_value(multiple: int) -> float:
        # The distance of samples of zeros and ones, a zeros of n and b of m, is |am − bn|/nm, and SciPy's exact
        # p-value depends on the distance alone.
        a, b = divmod(place[multiple], m + 1)
        x, y = np.repeat([0, 1], [a, n - a]), np.repeat([0, 1], [b, m - b])
        test: Any = ks_2samp(x, y, method="exact")
        return float(test.pvalue)

    multiples = np.abs(np.arange(n + 1)[:, None] * m - np.arange(m + 1) * n).ravel().tolist()
    place = {multiple: number for number, multiple in enumerate(multiples)}
    return _largest_accepted(sorted(place), p_value, level) / (n * m)


def critical_rank_sum(x: np.ndarray, y: np.ndarray, level: float) -> float:
    """Return what Mann-Whitney's larger U of samples with these sizes and ties has to exceed to be rejected.

    Example:
        >>> critical_rank_sum(np.arange(5.0), np.arange(5.0) + 0.5, level=0.05)  # 23 has p = 0.032
        22
    """
    from scipy.stats import norm

    n, m = len(x), len(y)
    if _is_exact(x, y):
        larger = range((n * m + 1) // 2, n * m + 1)
        return _largest_accepted(larger, lambda U: _rank_test(*_samples_with(U, n, m))[1], level)
    counts = np.unique(np.concatenate([x, y]), return_counts=True)[1].astype(float)
    N, ties = n + m, float((counts**3 - counts).sum())
    sd = sqrt(n * m / 12 * max(N + 1 - ties / (N * (N - 1)), 0.0))
    return n * m / 2 + 0.5 + sd * float(norm.isf(level / 2))


def _rank_test(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return U and its two-sided p-value; values that are all equal are evidence of nothing."""
    from scipy.stats import mannwhitneyu

    if (x == x[0]).all() and (y == x[0]).all():
        return len(x) * len(y) / 2, 1.0
    test: Any = mannwhitneyu(x, y, method="exact" if _is_exact(x, y) else "asymptotic")
    return float(test.statistic), float(test.pvalue)


def _is_exact(x: np.ndarray, y: np.ndarray) -> bool:
    small = min(len(x), len(y)) <= _FEW and max(len(x), len(y)) <= _EXACT
    return small and len(np.unique(np.concatenate([x, y]))) == len(x) + len(y)


def _samples_with(U: int, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return samples of sizes n and m without ties, in which x_i > y_j for U pairs."""
    above, between = divmod(U, m)  # points of x above all of y, and one above so many
    beaten = [m] * above + [between] * (above < n)
    x = [points - 0.5 + 0.01 * i / n for i, points in enumerate(beaten)]
    below = [-1.0 - i for i in range(n - len(x))]
    return np.array(x + below), np.arange(m, dtype=float)


def _largest_accepted(values: Sequence[int], p_value: Callable[[int], float], level: float) -> int:
    """Return the largest value of a statistic whose p-value, which falls as it grows, exceeds the level."""
    return values[bisect_left(values, True, key=lambda value: p_value(value) <= level) - 1]
