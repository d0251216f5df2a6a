"""Disentanglement: how codes (n, d) relate to the factors of variation (n, F) of the rows, as functions of tensors.

Factors are indices of values from 0, as in `Rows.factor_values`. Scores that fit classifiers are in
`latentia.metrics.disentanglement`.
"""

from latentia.functional.disentanglement.gaps import squared_correlations, top_two_gaps
from latentia.functional.disentanglement.groups import (
    least_varying_latents,
    majority_factors,
    pair_differences,
    rows_sharing_factor,
)
from latentia.functional.disentanglement.importance import completeness, disentanglement
from latentia.functional.disentanglement.information import (
    histogram_bins,
    modularities,
    mutual_information,
    mutual_information_gaps,
)

__all__ = [
    "completeness",
    "disentanglement",
    "histogram_bins",
    "least_varying_latents",
    "majority_factors",
    "modularities",
    "mutual_information",
    "mutual_information_gaps",
    "pair_differences",
    "rows_sharing_factor",
    "squared_correlations",
    "top_two_gaps",
]
