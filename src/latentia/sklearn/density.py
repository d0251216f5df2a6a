"""Recipes as scikit-learn's density estimators."""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.base import DensityMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from latentia.core.model import Bounded, Density
from latentia.runs.run import Run
from latentia.sklearn.estimator import ArrayLike, RandomState, RecipeEstimator, seed_of
from latentia.sklearn.rows import by_blocks, taken

IWAE_SAMPLES = 100
"""K of the importance-weighted bound, of models that have no exact likelihood."""


class DensityEstimator(DensityMixin, RecipeEstimator):
    """Estimate the density p(x) of rows with a recipe of ``lt.recipes``.

    Args:
        recipe: a name of ``lt.recipes``, such as gaussian-mixture, kernel-density or flow; or a `Recipe`.
        options: of the recipe and of the training, as ``lt.fit`` takes them by name, except the seed.
        random_state: seed of fitting and sampling, or a NumPy RandomState to draw it from; fresh randomness by default.

    Attributes:
        run_: the fitted `Run`.
        dtype_: the dtype of the training rows, and of samples.
        n_features_in_: number of columns.
        feature_names_in_: their names, where they were fitted as a DataFrame with names of type str.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(300, 2))
        >>> density = DensityEstimator("gaussian-mixture", options={"components": 1}, random_state=0).fit(X)
        >>> density.score_samples(X).shape, density.sample(5).shape, density.score_kind_
        ((300,), (5, 2), 'exact')
    """

    @property
    def score_kind_(self) -> str:
        """What scores are: exact; lower bound, with its estimator and sample count; or none (samples only)."""
        check_is_fitted(self, "run_")
        if isinstance(self.run_.model, Density):
            return "exact"
        bounded = isinstance(self.run_.model, Bounded)
        return f"lower bound (IWAE, K={IWAE_SAMPLES})" if bounded else "none"

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return log p(x) of each row, (n_samples,) nats, in the dtype of X; of densities, it may be positive.

        Models without an exact likelihood give a lower bound, as ``score_kind_`` says: the importance-weighted bound
        of Burda, Grosse and Salakhutdinov (2016), equation 8. Its draws are the same in every call, but a row's
        depend on its place among the rows.

        Raises:
            UsageError: (a ValueError) for models that have neither.
        """
        rows = self._rows(X)
        x = taken(self.run_, rows)
        in_units = self.run_.spec.log_det(x).cpu().numpy()
        return (by_blocks(_log_prob(self.run_), x) + in_units).astype(rows.dtype)

    def score(  # pyright: ignore[reportIncompatibleMethodOverride]  (scikit-learn's says that it returns None)
        self,
        X: ArrayLike,
        y: object = None,  # noqa: ARG002
    ) -> float:
        """Return the mean of ``score_samples``, in nats per row; y is ignored.

        It is the mean, as GaussianMixture, PCA and FactorAnalysis have it, so that sets of different sizes compare;
        KernelDensity has the sum.
        """
        return float(self.score_samples(X).mean(dtype=np.float64))

    def sample(self, n_samples: int = 1, random_state: RandomState = None) -> np.ndarray:
        """Draw rows, (n_samples, n_features), in the dtype of the training rows.

        Args:
            n_samples: number of rows, at least 1.
            random_state: of this call; the estimator's by default. A number gives the same rows in every call.

        Raises:
            UsageError: (a ValueError) for models that do not sample, or fewer rows than 1.
        """
        check_is_fitted(self, "run_")
        seed = seed_of(self.random_state if random_state is None else random_state)
        return self.run_.sample(n_samples, seed=seed).cpu().numpy().astype(self.dtype_)


def _log_prob(run: Run) -> Callable[[Tensor], Tensor]:
    """Return what gives rows their log-density, or its bound."""
    model = run.model
    if isinstance(model, Bounded) and not isinstance(model, Density):
        generator = torch.Generator(run.device).manual_seed(run.training.seed)
        return lambda x: model.log_prob_bound(x, samples=IWAE_SAMPLES, generator=generator)
    return run.require(Density).log_prob
