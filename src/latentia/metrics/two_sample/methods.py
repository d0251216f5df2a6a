"""The tests by name, and the one call for all of them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from latentia.errors import UsageError
from latentia.functional.checks import member
from latentia.metrics.two_sample.classifier import classifier_test
from latentia.metrics.two_sample.corrections import CORRECTIONS
from latentia.metrics.two_sample.deep_kernel import deep_kernel
from latentia.metrics.two_sample.frames import DISTANCES
from latentia.metrics.two_sample.kernels import energy, mmd
from latentia.metrics.two_sample.problem import Extractor, Sample, TwoSampleProblem, is_frame, read_samples
from latentia.metrics.two_sample.ranks import kolmogorov_smirnov, mann_whitney
from latentia.metrics.two_sample.result import TestOutcome, TestResult
from latentia.metrics.two_sample.sliced import sliced_wasserstein
from latentia.metrics.two_sample.univariate import student_t, welch_t
from latentia.registry import Registry, check_name, two_sample_tests

METHODS: Registry[Callable[..., TestOutcome]] = two_sample_tests
two_sample_tests.add(
    {
        "mmd": mmd,
        "energy": energy,
        "sliced-wasserstein": sliced_wasserstein,
        "classifier": classifier_test,
        "deep-kernel": deep_kernel,
        "welch-t": welch_t,
        "student-t": student_t,
        "kolmogorov-smirnov": kolmogorov_smirnov,
        "mann-whitney": mann_whitney,
    }
)
"""Each takes a `TwoSampleProblem` and options of its own, by name."""


def two_sample_test(
    x: Sample,
    y: Sample,
    method: str = "mmd",
    permutations: int = 500,
    seed: int = 0,
    level: float = 0.05,
    *,
    correction: str = "holm",
    distances: str | None = None,
    extractor: Extractor | None = None,
    **options: Any,
) -> TestResult:
    """Test whether two samples come from one distribution.

    By permutation, of all features together: "mmd" (kernel), "energy" (distances), "sliced-wasserstein",
    "classifier" and "deep-kernel" (both learned on a part of the points and tested on the rest), with
    p = (1 + #{permuted statistic ≥ observed}) / (1 + permutations). Feature by feature: "welch-t" and "student-t"
    (means), "kolmogorov-smirnov" (distribution functions) and "mann-whitney" (ranks), with the smallest of
    Holm's adjusted p-values. Everything is computed in float64.

    Args:
        x: (n, *event) array, tensor or list of points, each flattened; or a DataFrame, also with words and gaps.
        y: (m, *event) points; m need not be n. Of two DataFrames the columns are matched by name.
        method: a name of `METHODS`.
        permutations: random splits to compare with, at least 1; ignored feature by feature.
        seed: of every draw.
        level: reject where p ≤ level.
        correction: of the features' own p-values, "holm" or "benjamini-hochberg".
        distances: how the columns of two DataFrames are measured: "standardised", each divided by its standard
            deviation in both (default), "ranks" instead of the numbers, or "raw". Two categories are 1 apart, and a
            missing value is one more category, or 1 away from the column's mean. Arrays are taken as they are.
        extractor: makes of each sample the (n, …) features that are tested instead, such as a network's.
        options: of the method, as ``bandwidth`` of "mmd", ``projections`` of "sliced-wasserstein", ``classifier``,
            ``folds`` and ``refit`` of "classifier", ``steps`` of "deep-kernel".

    Raises:
        UnknownNameError: for another method or correction.
        UsageError: for shapes that do not fit, an option the method does not have, or values out of range.
        DataError: for fewer than 2 points, points that are not finite, or points that are all equal.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test; Phipson & Smyth (2010), Permutation P-values
    Should Never Be Zero, section 4. Those of a method are with its function.

    Example:
        >>> import torch
        >>> x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
        >>> result = two_sample_test(x[:20], x[20:] + 2.0, permutations=99)
        >>> result.p_value, result.decision
        (0.01, 'reject')
        >>> two_sample_test(x[:25], x[25:], "welch-t").decision
        'fail to reject'
    """
    if permutations < 1 or not 0 < level < 1:
        raise UsageError(f"a test needs permutations >= 1 and 0 < level < 1; got {permutations} and {level}")
    answer = member(METHODS, method, "method")
    member(CORRECTIONS, correction, "correction")
    _check_options(method, answer, options)
    measured = _distances(distances, compares_frames=is_frame(x) and is_frame(y) and extractor is None)
    a, b, names = read_samples(x, y, extractor, measured)
    found = answer(TwoSampleProblem(a, b, names, permutations, seed, level, correction), **options)
    about = {"distances": measured} if measured else {}
    found = replace(found, settings={**found.settings, **about})
    return TestResult(
        **vars(found), reject=found.p_value <= level, level=level, n=len(a), m=len(b), method=method
    )


def _distances(asked: str | None, *, compares_frames: bool) -> str:
    """Return how columns are measured; an empty word where there are none."""
    if asked is not None:
        check_name("distances", asked, DISTANCES)
        if not compares_frames:
            raise UsageError(f"distances={asked!r} is for two DataFrames; arrays are taken as they are")
    return (asked or "standardised") if compares_frames else ""


def _check_options(method: str, answer: Callable[..., TestOutcome], options: Mapping[str, Any]) -> None:
    """Raise `UsageError` for an option that the method does not have."""
    known = [
        each.name for each in inspect.signature(answer).parameters.values() if each.kind is each.KEYWORD_ONLY
    ]
    for name in options:
        check_name(f"option of method {method!r}", name, known)
