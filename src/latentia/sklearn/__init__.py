"""Recipes as scikit-learn estimators, for its pipelines, grid searches and cross-validation.

Importing this package imports scikit-learn; ``import latentia`` does not.
"""

from latentia.sklearn.density import DensityEstimator
from latentia.sklearn.transformer import LatentTransformer

__all__ = ["DensityEstimator", "LatentTransformer"]
