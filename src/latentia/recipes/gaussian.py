"""The Gaussian."""

from __future__ import annotations

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.errors import UsageError
from latentia.models.gaussian import Gaussian, TrainableGaussian
from latentia.objectives.closed_form.gaussian import GaussianMLE
from latentia.objectives.likelihood import MaximumLikelihood
from latentia.registry import check_name, recipes

WAYS = ("closed-form", "gradient")


@recipes.register("gaussian")
def gaussian(
    data: DataSpec,
    *,
    covariance: str = "full",
    shrinkage: str = "none",
    shrinkage_share: float = 0.1,
    variance_floor: float = 1e-6,
    by: str = "closed-form",
    lr: float = 0.05,
) -> Recipe:
    """One Gaussian: an exact density, fitted by maximum likelihood in closed form or by gradient.

    max (1/N) Σ_i log N(x_i; μ, Σ), whose maximum is μ = x̄ and Σ = (1/N) Σ_i (x_i − x̄)(x_i − x̄)ᵀ. Both ways reach it:
    the closed form in one step that reads all rows in blocks, the gradient in batches.

    Args:
        data: what a row is.
        covariance: full, diagonal or spherical
        shrinkage: of the covariance towards a sphere, in closed form: none, fixed, or ledoit-wolf or oas (by the rows)
        shrinkage_share: the sphere's share in [0, 1], for shrinkage=fixed
        variance_floor: least variance in any direction, as a share of each entry's variance over all rows
        by: closed-form or gradient
        lr: learning rate of Adam, for by=gradient

    References:
        Anderson (2003), An Introduction to Multivariate Statistical Analysis, theorem 3.2.1; Ledoit and Wolf (2004),
        A well-conditioned estimator for large-dimensional covariance matrices; Chen et al. (2010), for oas.
    """
    require(data, "gaussian", ("real", "unit", "discrete"))
    check_name("by", by, WAYS)
    if by == "closed-form":
        model = Gaussian(data, covariance=covariance)
        objective = GaussianMLE(
            model, shrinkage=shrinkage, share=shrinkage_share, variance_floor=variance_floor
        )
        return Recipe(objective, {}, batch_size=None, epochs=1)
    if shrinkage != "none":
        raise UsageError("shrinkage is of the closed form; by='gradient' maximises the likelihood alone")
    trainable = TrainableGaussian(data, covariance=covariance, variance_floor=variance_floor)
    # Small sets are one batch, so that the gradient is exact; the schedule quiets the noise of larger ones.
    return Recipe(MaximumLikelihood(trainable), Optim(lr=lr, schedule="cosine"), batch_size=8192, epochs=500)
