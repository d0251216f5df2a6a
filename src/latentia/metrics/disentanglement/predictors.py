"""Classifiers that predict factors from codes, fitted to some rows and scored on others."""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentia.errors import DataError


def single_latent_correct(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], *, C: float = 0.01
) -> Tensor:
    """Return whether a linear support vector machine predicts each factor of each row correctly from each code alone.

    One machine against the rest for each value, the values weighted to be equally frequent, squared hinge loss.

    Args:
        train: codes (n, d) and factors (n, F) to fit to.
        test: codes (m, d) and factors (m, F) to score on.
        C: weight of the loss against ½‖w‖².

    Returns:
        (m, d, F) of 0 and 1.

    Raises:
        DataError: if a factor has one value in the rows to fit to.
    """
    from sklearn.svm import LinearSVC

    def right(i: int, j: int) -> Tensor:
        machine = LinearSVC(C=C, class_weight="balanced", random_state=0)
        return _right(machine, (z[:, [i]], v[:, j]), (z_test[:, [i]], v_test[:, j]))

    (z, v), (z_test, v_test) = _arrays(train), _arrays(test)
    pairs = [[right(i, j) for j in range(v.shape[1])] for i in range(z.shape[1])]
    return torch.stack([torch.stack(of_code, 1) for of_code in pairs], 1)


def boosted(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], seed: int) -> tuple[Tensor, Tensor]:
    """Return how important each code is for boosted trees that predict each factor, and where they are correct.

    Importance is the fraction of the impurity's reduction that is due to a code (scikit-learn's
    ``feature_importances_``); 100 trees of depth 3 for each value, learning rate 0.1.

    Args:
        train: codes (n, d) and factors (n, F) to fit to.
        test: codes (m, d) and factors (m, F) to score on.
        seed: of the order in which codes are tried.

    Returns:
        importance (d, F) and whether each row's factor is predicted correctly (m, F), 0 and 1.

    Raises:
        DataError: if a factor has one value in the rows to fit to.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    (z, v), (z_test, v_test) = _arrays(train), _arrays(test)
    importance: list[Tensor] = []
    correct: list[Tensor] = []
    for j in range(v.shape[1]):
        trees = GradientBoostingClassifier(random_state=seed)
        correct.append(_right(trees, (z, v[:, j]), (z_test, v_test[:, j])))
        importance.append(torch.from_numpy(np.array(trees.feature_importances_)))
    # Rounding may leave sums below 0.
    return torch.stack(importance, 1).clamp(min=0), torch.stack(correct, 1)


def linear_probe_correct(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], *, steps: int = 1000
) -> tuple[Tensor, bool]:
    """Return whether logistic regression, with its squared weights penalised, predicts each label correctly.

    Args:
        train: points (n, d) and labels (n,) to fit to.
        test: points (m, d) and labels (m,) to score on.
        steps: at most so many of L-BFGS.

    Returns:
        (m,) of 0 and 1, and whether the fit converged.

    Raises:
        DataError: if there is one label in the points to fit to.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, max_iter=steps)
    right = _right(model, _arrays(train), _arrays(test))
    return right, int(np.max(model.n_iter_)) < steps


def _right(model: Any, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Tensor:
    """Return whether a classifier, once fitted, predicts each test label correctly: (m,) of 0 and 1."""
    if (train[1] == train[1][0]).all():
        raise DataError(f"a factor has one value in the {len(train[1])} rows to fit to: give more rows")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of fits that did not converge: the accuracy is that of the fit there is
        model.fit(*train)
    return torch.from_numpy(model.predict(test[0]) == test[1]).double()


def _arrays(part: tuple[Tensor, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    return part[0].double().numpy(), part[1].numpy()
