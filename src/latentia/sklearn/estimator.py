"""The common base of the estimators: parameters, fitting, seeds and pickles."""

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from latentia.core.recipe import Recipe
from latentia.errors import DataError, UsageError
from latentia.registry import recipes
from latentia.runs.fit import fit
from latentia.runs.load import load
from latentia.runs.options import split_options
from latentia.runs.renamed import current_options
from latentia.runs.run import Run

ArrayLike = Any
"""Rows (n_samples, n_features) as an array, a DataFrame or nested lists."""
RandomState = int | np.random.RandomState | None

FLOATS: Any = (np.float64, np.float32)  # of any other dtype, rows become the first
_SEEDS = 2**31 - 1


class RecipeEstimator(BaseEstimator):
    """A recipe with its options, and the run that comes of fitting it.

    The constructor only stores; whatever is wrong with its arguments is said by ``fit``.
    """

    run_: Run
    dtype_: np.dtype[Any]
    n_features_in_: int

    def __init__(
        self,
        recipe: str | Recipe,
        *,
        options: Mapping[str, Any] | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.recipe = recipe
        self.options = options
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002
        """Fit the recipe to rows of real numbers.

        Args:
            X: (n_samples, n_features) at least two rows.
            y: ignored.

        Raises:
            UsageError: (a ValueError) for a recipe or an option that does not exist or does not fit.
            DataError: (a ValueError) for rows that the recipe cannot be fitted to.
        """
        rows: Any = validate_data(self, X, dtype=FLOATS)
        self.run_ = _fitted(self.recipe, self.options, rows, seed_of(self.random_state))
        self.dtype_ = rows.dtype
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: the parameters, and the run as the bytes of its folder."""
        state: Any = super().__getstate__()
        return state | {"run_": _packed(state["run_"])} if "run_" in state else state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(dict(state))
        if "run_" in state:
            self.run_ = _unpacked(state["run_"], None if isinstance(self.recipe, str) else self.recipe)

    def _rows(self, X: ArrayLike) -> np.ndarray:
        """Return rows like those that the estimator was fitted to, checked."""
        check_is_fitted(self, "run_")
        rows: Any = validate_data(self, X, dtype=FLOATS, reset=False)
        return rows


def seed_of(random_state: RandomState) -> int:
    """Return a seed: the number itself, one drawn from a RandomState, or a fresh one.

    Without a random state NumPy's global one is left alone, unlike in scikit-learn.

    Raises:
        ValueError: for what is no random state.
    """
    if random_state is None:
        return int(np.random.default_rng().integers(_SEEDS))
    drawn = check_random_state(random_state)  # refuses what is none
    return int(random_state) if isinstance(random_state, Integral) else int(drawn.randint(_SEEDS))


def _fitted(recipe: str | Recipe, options: Mapping[str, Any] | None, rows: np.ndarray, seed: int) -> Run:
    """Fit a recipe to rows; error messages state the numbers of rows and columns as scikit-learn does.

    Raises:
        KeyboardInterrupt: where the training was stopped, which leaves no fitted estimator.
    """
    asked = _checked(recipe, options)
    try:
        run = fit(recipe, rows, progress=False, support="real", seed=seed, **asked)
    except (UsageError, DataError) as error:
        n, d = rows.shape
        raise type(error)(f"{error} (X has {n} sample(s) and {d} feature(s))") from error
    if run.interrupted:
        raise KeyboardInterrupt
    return run


def _checked(recipe: object, options: object) -> dict[str, Any]:
    """Return options by name; `UsageError` unless they and the recipe are what they should be."""
    if not isinstance(recipe, str | Recipe):
        raise UsageError(f"recipe must be a name of lt.recipes or a Recipe; got {type(recipe).__name__}")
    if not isinstance(options, Mapping | None):
        raise UsageError(f"options must be a dict, as {{'epochs': 5}}; got {type(options).__name__}")
    asked = dict(options or {})
    if "seed" in asked:
        raise UsageError("options hold a seed: give it as random_state")
    asked = current_options(recipes.name_of(recipe) if isinstance(recipe, str) else None, asked)
    split_options(recipes[recipe] if isinstance(recipe, str) else None, asked)
    return asked


def _packed(run: Run) -> dict[str, bytes]:
    """Return the files of a run's folder, by name; the run stays where it is."""
    with TemporaryDirectory() as place:
        folder = Path(place) / "run"
        replace(run).save(folder)  # of a copy, since saving sets a run's path
        return {file.name: file.read_bytes() for file in folder.iterdir()}


def _unpacked(files: Mapping[str, bytes], recipe: Recipe | None) -> Run:
    """Return the run whose folder holds given files, in memory."""
    with TemporaryDirectory() as place:
        for name, content in files.items():
            (Path(place) / name).write_bytes(content)
        run = load(place, recipe=recipe)
    return replace(run, path=None)
