"""Two-sample tests that learn: by a classifier, and by a deep kernel.

Row D10 of docs/known-mistakes.md.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from tests.two_samples import normal

from latentia.errors import DataError, UnknownNameError, UsageError
from latentia.functional.kernel.mmd import mmd2
from latentia.metrics.two_sample import permutation_p_value, two_sample_test
from latentia.metrics.two_sample.classifier import (
    balanced_accuracy,
    mean_areas,
    permuted_within,
    ranks_within,
    stratified_folds,
)
from latentia.metrics.two_sample.classifiers import CLASSIFIERS, out_of_fold
from latentia.metrics.two_sample.deep_kernel import DeepKernel, learn_kernel, power_criterion

LABELS = np.repeat([1, 0], [30, 50])


class Memory(LinearDiscriminantAnalysis):
    """A classifier that knows the points that it saw, and nothing of others."""

    def fit(self, X, y):
        self.seen_ = {x.tobytes(): int(label) for x, label in zip(X, y, strict=True)}
        return self

    def predict_proba(self, X):
        p = np.array([self.seen_.get(x.tobytes(), 0.5) for x in X])
        return np.stack([1 - p, p], axis=1)


def test_areas_and_accuracies_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    p, folds = rng.uniform(size=80), stratified_folds(LABELS, 4, seed=0)
    expected = np.mean([roc_auc_score(LABELS[folds == k], p[folds == k]) for k in range(4)])
    assert mean_areas(folds, ranks_within(folds, p, rng), LABELS[None])[0] == pytest.approx(
        expected, rel=1e-12
    )
    assert balanced_accuracy(p, LABELS) == pytest.approx(balanced_accuracy_score(LABELS, p > 0.5), rel=1e-12)


def test_folds_and_permutations_keep_the_shares_of_both_samples():
    folds = stratified_folds(LABELS, 5, seed=0)
    permuted = permuted_within(folds, LABELS, 50, np.random.default_rng(0))
    for k in range(5):
        assert (LABELS[folds == k].sum(), (folds == k).sum()) == (6, 16)
        assert (permuted[:, folds == k].sum(1) == 6).all()
    assert len(np.unique(permuted, axis=0)) == 50
    assert permuted.mean(0) == pytest.approx(np.full(80, 6 / 16), abs=0.3)  # every point moves; alarm 1e-4


@pytest.mark.parametrize("refit", [False, True])
def test_no_point_is_scored_by_a_classifier_that_saw_it(refit):  # D10: without leakage
    x, y = normal(30, 0), normal(50, 1)
    result = two_sample_test(x, y, "classifier", 19, classifier=Memory(), refit=refit)
    assert result.effect_size == pytest.approx(0.0, abs=1e-12)
    assert result.settings["classifier"] == "Memory"


def test_forward_probabilities_are_those_of_fits_to_earlier_folds_at_equal_shares():
    points = torch.cat([normal(30, 0), normal(50, 1, 0.5)]).double().numpy()
    folds = stratified_folds(LABELS, 4, seed=1)
    p = out_of_fold(LogisticRegression(), points, LABELS, folds, forward=True)
    assert np.isnan(p[folds == 0]).all()
    fit = LogisticRegression().fit(points[folds < 2], LABELS[folds < 2])
    odds = np.exp(fit.decision_function(points[folds == 2])) * (1 - LABELS[folds < 2].mean())
    odds /= LABELS[folds < 2].mean()
    assert p[folds == 2] == pytest.approx(odds / (1 + odds), rel=1e-9)
    others = out_of_fold(LogisticRegression(), points, LABELS, folds, forward=False)
    fit = LogisticRegression().fit(points[folds != 0], LABELS[folds != 0])
    assert (
        np.argsort(others[folds == 0]).tolist()
        == np.argsort(fit.decision_function(points[folds == 0])).tolist()
    )


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("n", [(100, 100), (180, 20)], ids=str)
def test_every_classifier_finds_a_shift(classifier, n):
    x, y = normal(n[0], 0), normal(n[1], 1, shift=1.5)
    result = two_sample_test(x, y, "classifier", 99, classifier=classifier)
    assert result.p_value == 0.01
    assert result.effect_size > 0.25  # the best possible is Φ(1.5/√2) − ½ = 0.36
    assert {point.sample for point in result.points if point.value > 0.45} <= {"x"}


def test_points_are_the_surest_and_the_rows_are_those_given():
    x, y = normal(60, 0), normal(60, 1)
    x[17], y[41] = 40.0, -40.0
    y[:20] += -2.0
    result = two_sample_test(x, y, "classifier", 19, classifier="logistic", refit=True)
    assert {(point.sample, point.row) for point in result.points[:2]} == {("x", 17), ("y", 41)}


def test_taking_the_folds_of_cross_fitting_for_independent_breaks_the_level():  # why scores go forward
    rejections, labels = 0, np.repeat([1, 0], [20, 20])
    for seed in range(300):
        points = torch.cat([normal(20, seed), normal(20, 5000 + seed)]).double().numpy()
        folds, rng = stratified_folds(labels, 2, seed), np.random.default_rng(seed)
        p = out_of_fold(LinearDiscriminantAnalysis(), points, labels, folds, forward=False)
        given = np.concatenate([labels[None], permuted_within(folds, labels, 99, rng)])
        areas = torch.from_numpy(mean_areas(folds, ranks_within(folds, p, rng), given))
        rejections += permutation_p_value(areas[0], areas[1:]) <= 0.05
    assert rejections > binom.ppf(0.9999, 300, 0.05)


def test_refitting_is_cross_fitting_to_the_labels_of_each_permutation():
    x, y = normal(20, 0), normal(20, 5000)
    lda, points, labels = (
        LinearDiscriminantAnalysis(),
        torch.cat([x, y]).double().numpy(),
        np.repeat([1, 0], 20),
    )
    folds = stratified_folds(labels, 2, 3)
    permuted = permuted_within(folds, labels, 39, np.random.default_rng(3))

    def area(given: np.ndarray) -> float:
        fits = [
            lda.fit(points[folds != k], given[folds != k]).decision_function(points[folds == k])
            for k in (0, 1)
        ]
        return float(np.mean([roc_auc_score(given[folds == k], fit) for k, fit in enumerate(fits)]))

    exceed = sum(area(given) >= area(labels) for given in permuted)
    result = two_sample_test(x, y, "classifier", 39, 3, classifier=lda, folds=2, refit=True)
    assert 0 < exceed < 39
    assert (result.statistic, result.p_value) == pytest.approx((area(labels), (1 + exceed) / 40))


def test_bad_classifiers_are_refused():
    x, y = normal(9, 0), normal(9, 1)
    with pytest.raises(UnknownNameError, match="unknown classifier 'forest'"):
        two_sample_test(x, y, "classifier", classifier="forest")
    with pytest.raises(UsageError, match="or have fit and predict_proba; got int"):
        two_sample_test(x, y, "classifier", classifier=3)
    with pytest.raises(UsageError, match="folds must be at least 2; got 1"):
        two_sample_test(x, y, "classifier", folds=1)


def learned(steps: int = 40, hidden=(10, 10), seed: int = 0) -> DeepKernel:
    x, y = normal(40, 0, scale=2.0).double(), normal(30, 1).double()
    generator = torch.Generator().manual_seed(seed)
    return learn_kernel(x, y, steps=steps, learning_rate=1e-2, hidden=hidden, generator=generator)


def test_the_deep_kernel_is_the_written_formula():  # Liu et al., eq. 1
    kernel, x, y = learned(), normal(4, 2).double(), normal(3, 3).double()
    e, s0, s = kernel.mixing.sigmoid(), kernel.log_s0.exp(), kernel.log_s.exp()
    for i, a in enumerate(x):
        for j, b in enumerate(y):
            phi = (kernel.features(a[None]) - kernel.features(b[None])).square().sum()
            expected = ((1 - e) * torch.exp(-phi / s0) + e) * torch.exp(-(a - b).square().sum() / s)
            assert kernel(x, y)[i, j].item() == pytest.approx(expected.item(), rel=1e-9)
    assert torch.linalg.eigvalsh(kernel(x, x)).min() > 0


def test_the_criterion_is_mmd_over_its_standard_deviation():
    x, y = normal(7, 0).double(), normal(7, 1, 0.5).double()
    K = (-torch.cdist(torch.cat([x, y]), torch.cat([x, y])).square()).exp()
    k = lambda i, j: K[i, j].item()  # noqa: E731
    H = [[k(i, j) + k(7 + i, 7 + j) - k(i, 7 + j) - k(j, 7 + i) for j in range(7)] for i in range(7)]
    mmd = sum(H[i][j] for i in range(7) for j in range(7) if i != j) / 42
    variance = 4 * (sum(sum(row) ** 2 for row in H) / 7**3 - sum(map(sum, H)) ** 2 / 7**4)
    assert power_criterion(K).item() == pytest.approx(mmd / np.sqrt(variance + 1e-8), rel=1e-9)


def test_learning_raises_the_criterion_and_is_a_function_of_the_seed():
    x, y = normal(40, 0, scale=2.0).double()[:30], normal(30, 1).double()  # what it learns on
    before = torch.get_rng_state()
    start, end, again, other = learned(1), learned(150), learned(150), learned(150, seed=1)
    points = torch.cat([x, y])
    assert power_criterion(end(points, points)) > power_criterion(start(points, points)) + 0.05
    assert torch.equal(end(x, y), again(x, y))
    assert not torch.equal(end(x, y), other(x, y))
    assert torch.equal(before, torch.get_rng_state())
    assert not any(parameter.requires_grad for parameter in end.parameters())


def test_the_test_is_on_the_half_that_was_not_learned_on():
    x, y = normal(41, 0), normal(30, 1, 0.7)
    result = two_sample_test(x, y, "deep-kernel", 19, steps=5, hidden=(8,), seed=4)
    generator = torch.Generator().manual_seed(4)
    (xl, xt), (yl, yt) = (
        (order[: n // 2], order[n // 2 :])
        for n in (41, 30)
        for order in [torch.randperm(n, generator=generator)]
    )
    x, y = x.double(), y.double()
    kernel = learn_kernel(x[xl], y[yl], steps=5, learning_rate=2e-3, hidden=(8,), generator=generator)
    assert result.statistic == pytest.approx(mmd2(x[xt], y[yt], kernel).item(), rel=1e-9)
    allowed = {("x", int(i)) for i in xt} | {("y", int(i)) for i in yt}
    assert {(point.sample, point.row) for point in result.points} <= allowed
    assert (result.n, result.m) == (41, 30)


def test_bad_deep_kernels_are_refused():
    with pytest.raises(DataError, match="x needs at least 4 points for a half to learn the kernel on"):
        two_sample_test(normal(3, 0), normal(9, 1), "deep-kernel")
    with pytest.raises(UsageError, match="needs steps >= 1"):
        two_sample_test(normal(9, 0), normal(9, 1), "deep-kernel", steps=0)
    x, y = torch.zeros(40, 1), torch.zeros(40, 1)
    x[0] = 1.0
    errors = set()
    for seed in range(4):
        try:
            two_sample_test(x, y, "deep-kernel", 19, seed, steps=1)
        except DataError as error:
            errors.add(str(error))
    assert errors == {
        "the halves of x and y that the kernel is learned on hold one point only, repeated",
        "the kernel takes all points of x and y for one: choose another kernel",  # where the other halves do
    }
