"""Recipes as scikit-learn's transformers."""

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted

from latentia.core.model import Decodes, Encodes
from latentia.data.ingest.arrays import as_tensor
from latentia.errors import DataError
from latentia.sklearn.estimator import FLOATS, ArrayLike, RecipeEstimator
from latentia.sklearn.rows import by_blocks, dtype_of, taken


class LatentTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, RecipeEstimator):
    """Transform rows into codes, and back, with a recipe of ``lt.recipes`` that encodes.

    Args:
        recipe: a name of ``lt.recipes``, such as pca, factor-analysis, autoencoder or vae; or a `Recipe`.
        options: of the recipe and of the training, as ``lt.fit`` takes them by name, except the seed.
        random_state: seed of fitting, or a NumPy RandomState to draw it from; fresh randomness by default.

    Attributes:
        run_: the fitted `Run`.
        dtype_: the dtype of the training rows.
        n_features_in_: number of columns.
        feature_names_in_: their names, where they were fitted as a DataFrame with names of type str.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(300, 4))
        >>> options = {"latent_dim": 2, "hidden": 8, "epochs": 1}
        >>> codes = LatentTransformer("autoencoder", options=options, random_state=0).fit_transform(X)
        >>> codes.shape
        (300, 2)
    """

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Return the mean code of each row, (n_samples, d), in the dtype of X.

        Raises:
            UsageError: (a ValueError) for models that do not encode.
        """
        rows = self._rows(X)
        model = self.run_.require(Encodes)
        return by_blocks(lambda x: model.encode(x).mean, taken(self.run_, rows)).astype(rows.dtype)

    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Return the mean row of each code: (n_samples, n_features), in the dtype of X.

        Args:
            X: (n_samples, d) codes.

        Raises:
            UsageError: (a ValueError) for models that do not decode.
        """
        check_is_fitted(self, "run_")
        model = self.run_.require(Decodes)
        codes: np.ndarray = check_array(X, dtype=FLOATS, input_name="X", estimator=self)
        if codes.shape[1] != self._n_features_out:
            raise DataError(
                f"X has {codes.shape[1]} features, but inverse_transform of {type(self).__name__} is expecting "
                f"{self._n_features_out} features as input"
            )
        z = as_tensor(codes).to(self.run_.device, dtype_of(self.run_.model))
        return by_blocks(lambda z: model.decode(z).mean, z).astype(codes.dtype)

    def __sklearn_tags__(self) -> Tags:
        """Return what scikit-learn is to know of the estimator."""
        tags: Tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]  # pyright: ignore[reportOptionalMemberAccess]
        return tags

    @property
    def _n_features_out(self) -> int:
        """The entries of a code: what `get_feature_names_out` counts."""
        return self.run_.encode(np.zeros((1, self.n_features_in_))).shape[1]
