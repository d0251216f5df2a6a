"""The Gaussian of rows with missing values."""

from torch import Tensor

from latentia.data.spec import DataSpec
from latentia.models.mixture import GaussianMixture


class GaussianWithGaps(GaussianMixture):
    """One Gaussian of rows with missing values: the density of which values are missing, and of the others.

    Args:
        data: what a row is.
        covariance: form of Σ.
    """

    def __init__(self, data: DataSpec, *, covariance: str = "full") -> None:
        super().__init__(data, components=1, covariance=covariance, gaps="modelled")

    @property
    def mean(self) -> Tensor:
        """μ: (D,)."""
        return self.components.means[0]
