"""The mixture family."""

from __future__ import annotations

from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.models.mixture import GaussianMixture
from latentia.objectives.em import MixtureEM
from latentia.registry import recipes


@recipes.register("gaussian-mixture")
def gaussian_mixture(
    data: DataSpec,
    *,
    components: int = 10,
    covariance: str = "full",
    restarts: int = 1,
    tol: float = 1e-3,
    regularisation: float = 1e-6,
) -> Recipe:
    """Gaussian mixture: an exact density, fitted by expectation-maximisation.

    max Σ_i log Σ_k π_k N(x_i; μ_k, Σ_k). Each step reads the whole set; without regularisation it never lowers the
    likelihood. The history's gain says whether the last epoch came before the gain fell below tol.

    Args:
        data: what a row is.
        components: number of Gaussians
        covariance: full, tied (one for all components), diagonal or spherical
        restarts: k-means++ starts, of which the most likely after short runs is kept
        tol: end when a step raises the mean log-likelihood by less, in nats per row
        regularisation: added to the components' variances, as a share of each entry's variance over all rows

    References:
        Dempster, Laird and Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm.
    """
    require(data, "gaussian-mixture", ("real", "unit", "discrete"))
    model = GaussianMixture(data, components=components, covariance=covariance)
    objective = MixtureEM(model, restarts=restarts, tol=tol, regularisation=regularisation)
    return Recipe(objective, {}, batch_size=None, epochs=200)
