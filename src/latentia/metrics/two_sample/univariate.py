"""Tests of each feature's mean by Welch's and Student's t, and the result of tests of single features.

The distributions differ if those of any feature do, so the p-value of all is the smallest of Holm's adjusted p-values,
min(1, D · min p), whichever correction the features' own adjusted p-values are made by.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latentia.errors import DataError
from latentia.metrics.two_sample.corrections import CORRECTIONS, holm
from latentia.metrics.two_sample.problem import TwoSampleProblem
from latentia.metrics.two_sample.result import Feature, TestOutcome


@dataclass(frozen=True)
class Findings:
    """What a test finds in each of D features: (D,) each, the p-values two-sided.

    Attributes:
        statistic: of the test.
        p_value: uncorrected.
        effect_size: in the units that ``effect`` names.
        effect: as in `TestResult`.
        critical: feature, level → what the statistic has to exceed.
        degrees_of_freedom: where the statistic's distribution has any.
    """

    statistic: np.ndarray
    p_value: np.ndarray
    effect_size: np.ndarray
    effect: str
    critical: Callable[[int, float], float]
    degrees_of_freedom: np.ndarray | None = None

    def outcome(self, problem: TwoSampleProblem) -> TestOutcome:
        """Return the feature that differs most, as evidence that the distributions differ."""
        adjusted = CORRECTIONS[problem.correction](self.p_value)
        order = np.lexsort((-np.abs(self.effect_size), self.p_value)).tolist()
        first, D = order[0], len(order)
        df = self.degrees_of_freedom
        return TestOutcome(
            statistic=float(self.statistic[first]),
            threshold=self.critical(first, problem.level / D),
            p_value=float(holm(self.p_value)[first]),
            effect_size=float(self.effect_size[first]),
            effect=self.effect,
            degrees_of_freedom=None if df is None else float(df[first]),
            features=tuple(self._feature(j, problem.names[j], float(adjusted[j])) for j in order),
            settings={"correction": problem.correction, "features": D, "feature": problem.names[first]},
        )

    def _feature(self, j: int, name: str, adjusted: float) -> Feature:
        statistic, effect, p = float(self.statistic[j]), float(self.effect_size[j]), float(self.p_value[j])
        return Feature(name, statistic, effect, p, adjusted)


def welch_t(problem: TwoSampleProblem) -> TestOutcome:
    """Test each feature's mean by Welch's t, whose variances need not be equal.

    t = (x̄ − ȳ)/√(s_x²/n + s_y²/m), two-sided, with Satterthwaite's degrees of freedom (`satterthwaite`). The
    effect size is Cohen's d = (x̄ − ȳ)/s, s the pooled standard deviation.

    Reference: Welch (1947), The Generalization of 'Student's' Problem; Satterthwaite (1946), eq. 17.
    """
    n, m = len(problem.x), len(problem.y)

    def error(vx: np.ndarray, vy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return vx / n + vy / m, satterthwaite(vx / n, vy / m, n, m)

    return _t_test(problem, error)


def student_t(problem: TwoSampleProblem) -> TestOutcome:
    """Test each feature's mean by Student's t, variances pooled.

    t = (x̄ − ȳ)/(s √(1/n + 1/m)), two-sided, with n + m − 2 degrees of freedom. The level holds for equal
    variances; where they may differ, use Welch's. The effect size is Cohen's d = (x̄ − ȳ)/s.

    Reference: Student (1908), The Probable Error of a Mean, for one sample; Fisher (1925), Applications of
    'Student's' Distribution, for two.
    """
    n, m = len(problem.x), len(problem.y)

    def error(vx: np.ndarray, vy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return pooled(vx, vy, n, m) * (1 / n + 1 / m), np.full(len(vx), n + m - 2.0)

    return _t_test(problem, error)


def satterthwaite(a: np.ndarray, b: np.ndarray, n: int, m: int) -> np.ndarray:
    """Return the degrees of freedom ν of a + b, a = s_x²/n and b = s_y²/m.

    1/ν = r²/(n − 1) + (1 − r)²/(m − 1) with r = a/(a + b); where a and b are 0, r is ½.

    Args:
        a: (D,) the squared standard error of the mean of x, ≥ 0.
        b: (D,) that of y.
        n: points of x.
        m: points of y.

    Reference: Satterthwaite (1946), An Approximate Distribution of Estimates of Variance Components, eq. 17.

    Example:
        >>> satterthwaite(np.array([1.0, 1.0]), np.array([1.0, 0.0]), 5, 5).tolist()
        [8.0, 4.0]
    """
    total = a + b
    r = np.where(total > 0, a / np.where(total > 0, total, 1.0), 0.5)
    return 1 / (r**2 / (n - 1) + (1 - r) ** 2 / (m - 1))


def pooled(vx: np.ndarray, vy: np.ndarray, n: int, m: int) -> np.ndarray:
    """Return the pooled variance ((n − 1) s_x² + (m − 1) s_y²)/(n + m − 2)."""
    return ((n - 1) * vx + (m - 1) * vy) / (n + m - 2)


def _t_test(
    problem: TwoSampleProblem, error: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> TestOutcome:
    """Test by t, given the squared standard error of x̄ − ȳ and its degrees of freedom from the variances."""
    from scipy.stats import t as t_distribution

    x, y = problem.x.cpu().numpy(), problem.y.cpu().numpy()
    vx, vy = _variance(x), _variance(y)
    squared, nu = error(vx, vy)
    _refuse_constants(squared == 0, x[0], y[0], problem.names)
    difference = np.where(squared > 0, x.mean(0) - y.mean(0), 0.0)  # of equal constants, not its rounding
    t = difference / np.sqrt(np.where(squared > 0, squared, 1.0))
    s = np.sqrt(np.where(squared > 0, pooled(vx, vy, len(x), len(y)), 1.0))
    return Findings(
        statistic=t,
        p_value=2 * t_distribution.sf(np.abs(t), nu),
        effect_size=difference / s,
        effect="Cohen's d",
        critical=lambda j, level: float(t_distribution.isf(level / 2, nu[j])),
        degrees_of_freedom=nu,
    ).outcome(problem)


def _variance(x: np.ndarray) -> np.ndarray:
    """Return each column's variance, exactly 0 where it is constant."""
    return np.where((x == x[0]).all(0), 0.0, x.var(0, ddof=1))


def _refuse_constants(constant: np.ndarray, x: np.ndarray, y: np.ndarray, names: tuple[str, ...]) -> None:
    """Raise where a feature is constant in both samples, at different values: t has no scale there."""
    for j in np.flatnonzero(constant & (x != y)):
        raise DataError(
            f"feature {names[j]} is {x[j]:g} everywhere in x and {y[j]:g} everywhere in y: without a variance "
            "there is no t; use method='kolmogorov-smirnov' or 'mann-whitney', or drop it"
        )
