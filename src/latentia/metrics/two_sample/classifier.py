"""The classifier two-sample test: distributions differ if a classifier separates them, on points it has not seen.

Ordinary cross-fitting scores every point by a classifier fitted to the others. That makes the folds' scores
dependent (with two folds and a linear rule both predict nearly the same), and a test that takes them for independent
rejects equal distributions far more often than its level allows. There are two exact ways.

Forward, the default: each fold is scored by a classifier fitted to the folds before it. Given those, the labels of
a fold are exchangeable under equal distributions, and the distribution of a rank statistic does not depend on the
fit, so labels may be permuted within folds while the scores stay. The first fold is never scored.

``refit=True``: ordinary cross-fitting, done anew for every permutation of the labels within folds.
"""

import numpy as np
import torch

from latentia.errors import UsageError
from latentia.metrics.two_sample.classifiers import Classifier, classifier_named, out_of_fold
from latentia.metrics.two_sample.permutation import by_permutation, permutation_settings
from latentia.metrics.two_sample.problem import TwoSampleProblem
from latentia.metrics.two_sample.result import TestOutcome, most_telling


def classifier_test(
    problem: TwoSampleProblem,
    *,
    classifier: str | Classifier = "boosting",
    folds: int = 5,
    refit: bool = False,
) -> TestOutcome:
    """Test by how well a classifier ranks new points of x above those of y.

    The statistic is the area under the ROC curve, averaged over folds: the probability that a point of x is
    ranked above one of y, ½ under equal distributions whatever n and m. The effect size is the balanced accuracy
    less ½, from probabilities corrected to equal fractions of x and y.

    Args:
        problem: the two samples, and how to test them.
        classifier: a name of `CLASSIFIERS`, or a scikit-learn classifier with ``predict_proba``, whose
            ``random_state`` is its own affair.
        folds: how many parts, each with its part of x and of y; at most as many as the smaller sample has points.
        refit: cross-fit anew for each permutation; exact too, and ``permutations`` times as slow.

    Reference: Lopez-Paz & Oquab (2017), Revisiting Classifier Two-Sample Tests, section 3; van Elteren (1960),
    On the Combination of Independent Two Sample Tests of Wilcoxon, for the average over folds.
    """
    if folds < 2:
        raise UsageError(f"folds must be at least 2; got {folds}")
    n, m = len(problem.x), len(problem.y)
    labels, rng = np.repeat([1, 0], [n, m]), np.random.default_rng(problem.seed)
    fold_of = stratified_folds(labels, min(folds, n, m), problem.seed)
    permuted = permuted_within(fold_of, labels, problem.permutations, rng)
    estimator, points = classifier_named(classifier, problem.seed), problem.points.cpu().numpy()

    p = out_of_fold(estimator, points, labels, fold_of, forward=not refit)
    ranks = ranks_within(fold_of, p, rng)
    observed = mean_areas(fold_of, ranks, labels[None])
    if refit:
        null = np.concatenate([_refitted(estimator, points, each, fold_of, rng) for each in permuted])
    else:
        null = mean_areas(fold_of, ranks, permuted)
    scored = np.flatnonzero(~np.isnan(p))
    return TestOutcome(
        **by_permutation(torch.from_numpy(np.concatenate([observed, null])), problem),
        effect_size=balanced_accuracy(p[scored], labels[scored]) - 0.5,
        effect="balanced accuracy - 1/2",
        points=most_telling(torch.from_numpy(p[scored] - 0.5), scored.tolist(), n),
        points_show="probability of x where x and y are equally frequent, less 1/2",
        settings={
            "classifier": classifier if isinstance(classifier, str) else type(classifier).__name__,
            "folds": int(fold_of.max()) + 1,
            "refit": refit,
            **permutation_settings(problem),
        },
    )


def stratified_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the number of each point's fold, at random, each fold with its part of both labels: (N,)."""
    from sklearn.model_selection import StratifiedKFold

    fold_of = np.empty(len(labels), dtype=np.int64)
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
    for fold, (_, held_out) in enumerate(parts):
        fold_of[held_out] = fold
    return fold_of


def permuted_within(
    fold_of: np.ndarray, labels: np.ndarray, permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """Return labels permuted within each fold: (permutations, N)."""
    permuted = np.tile(labels.astype(np.int8), (permutations, 1))
    for fold in range(fold_of.max() + 1):
        here = fold_of == fold
        permuted[:, here] = rng.permuted(permuted[:, here], axis=1)
    return permuted


def ranks_within(fold_of: np.ndarray, scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return each point's rank in its fold, from 1, ties in random order; NaN where there is no score: (N,).

    With ties in random order the distribution of the ranks does not depend on the scores, which the permutation of
    labels within folds that were scored by different classifiers rests on.
    """
    ranks = np.full(len(scores), np.nan)
    for fold in range(fold_of.max() + 1):
        here = np.flatnonzero((fold_of == fold) & ~np.isnan(scores))
        ranks[here[np.lexsort((rng.random(len(here)), scores[here]))]] = np.arange(1, len(here) + 1)
    return ranks


def mean_areas(fold_of: np.ndarray, ranks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve, averaged over the folds that have ranks, for each row of labels.

    In a fold with n ones and m zeros, R the sum of the ones' ranks:  A = (R − n(n + 1)/2)/nm

    Args:
        fold_of: (N,) the number of each point's fold.
        ranks: (N,) in its fold, from 1; NaN throughout the folds that do not count.
        labels: (S, N) of 0 and 1, each row with the same number of ones in each fold.

    Returns:
        (S,) in [0, 1].

    Reference: Hanley & McNeil (1982), The Meaning and Use of the Area under a ROC Curve, for A = U/nm.

    Example:
        >>> folds, ranks = np.array([0, 0, 0, 0]), np.array([4.0, 2.0, 3.0, 1.0])
        >>> mean_areas(folds, ranks, np.array([[1, 1, 0, 0], [0, 1, 0, 1]])).tolist()
        [0.75, 0.0]
    """
    areas: list[np.ndarray] = []
    for fold in np.unique(fold_of[~np.isnan(ranks)]):
        here = labels[:, fold_of == fold]
        n, m = int(here[0].sum()), int((1 - here[0]).sum())
        areas.append((here @ ranks[fold_of == fold] - n * (n + 1) / 2) / (n * m))
    return np.mean(areas, axis=0)


def balanced_accuracy(p: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over both labels of the accuracy of the rule p > ½; p = ½ is half correct.

    Example:
        >>> balanced_accuracy(np.array([0.9, 0.2, 0.3, 0.3]), np.array([1, 1, 0, 0]))
        0.75
    """
    predicts_one = (p > 0.5) + 0.5 * (p == 0.5)
    return float((predicts_one[labels == 1].mean() + 1 - predicts_one[labels == 0].mean()) / 2)


def _refitted(
    estimator: Classifier,
    points: np.ndarray,
    labels: np.ndarray,
    fold_of: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the statistic of other labels by cross-fitting to them: (1,)."""
    p = out_of_fold(estimator, points, labels, fold_of, forward=False)
    return mean_areas(fold_of, ranks_within(fold_of, p, rng), labels[None])
