"""Classifiers that separate two samples, and their probabilities of points they were not fitted to."""

import warnings
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from latentia.errors import UsageError
from latentia.functional.checks import member
from latentia.registry import Registry, classifiers


@runtime_checkable
class Classifier(Protocol):
    """A scikit-learn classifier that gives probabilities. It is cloned, never changed."""

    def fit(self, X: Any, y: Any) -> Any:
        """Fit to (n, D) points with labels 0 and 1."""
        ...

    def predict_proba(self, X: Any) -> Any:
        """Return (n, 2) probabilities of the labels."""
        ...


def classifier_named(classifier: str | Classifier, seed: int) -> Classifier:
    """Return the classifier of a name, seeded, or the one that was given.

    Raises:
        UnknownNameError: for another name.
        UsageError: for an object without ``fit`` and ``predict_proba``.
    """
    if isinstance(classifier, str):
        return member(CLASSIFIERS, classifier, "classifier")(seed)
    if not isinstance(classifier, Classifier):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"classifier must be one of {', '.join(CLASSIFIERS)} or have fit and predict_proba; "
            f"got {type(classifier).__name__}"
        )
    return classifier


def out_of_fold(
    classifier: Classifier, points: np.ndarray, labels: np.ndarray, fold_of: np.ndarray, *, forward: bool
) -> np.ndarray:
    """Return each point's probability of label 1, by a classifier fitted to other folds.

    A classifier fitted to a fraction π of ones gives p/(1 − p) = π/(1 − π) · (density ratio); the probability returned
    is that for equal fractions, p(1 − π)/(p(1 − π) + (1 − p)π).

    Args:
        classifier: to be cloned for each fold.
        points: (N, D).
        labels: (N,) of 0 and 1, both in every fold.
        fold_of: (N,) the number of each point's fold.
        forward: fit to the folds before alone, not to all others; the first fold then has NaN.
    """
    from sklearn.base import clone

    p = np.full(len(points), np.nan)
    for fold in range(1 if forward else 0, fold_of.max() + 1):
        fitted = fold_of < fold if forward else fold_of != fold
        model: Any = clone(classifier)
        pi = labels[fitted].mean()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fits that did not converge: the test is valid with any fit
            model.fit(points[fitted], labels[fitted])
            ones = np.asarray(model.predict_proba(points[fold_of == fold]))[:, 1]
        p[fold_of == fold] = ones * (1 - pi) / (ones * (1 - pi) + (1 - ones) * pi)
    return p


def _logistic(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return _scaled(LogisticRegression(random_state=seed))


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(min_samples_leaf=5, random_state=seed)


def _network(seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return _scaled(MLPClassifier((20,), learning_rate_init=0.01, max_iter=100, random_state=seed))


def _scaled(classifier: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), classifier)


CLASSIFIERS: Registry[Callable[[int], Classifier]] = classifiers
classifiers.add({"boosting": _boosting, "network": _network, "logistic": _logistic})
"""Seed → classifier: boosted trees; one hidden layer of 20 ReLUs, as in Lopez-Paz & Oquab; a linear rule."""
