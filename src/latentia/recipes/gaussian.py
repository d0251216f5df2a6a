"""The Gaussian."""

from typing import Annotated

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.data.support import Kind
from latentia.models.gaussian import COVARIANCES, Gaussian, TrainableGaussian
from latentia.models.gaussian_with_gaps import GaussianWithGaps
from latentia.objectives.closed_form.gaussian import SHRINKAGES, GaussianMLE
from latentia.objectives.em.mixture import MixtureEM
from latentia.objectives.likelihood import MaximumLikelihood
from latentia.options import Above, Between, Needs, NonNegative, OneOf
from latentia.registry import recipes

WAYS = ("closed-form", "gradient")


@recipes.register("gaussian")
def gaussian(
    data: DataSpec,
    *,
    covariance: Annotated[str, OneOf(COVARIANCES)] = "full",
    shrinkage: Annotated[str, OneOf(SHRINKAGES), Needs("by", "closed-form")] = "none",
    shrinkage_fraction: Annotated[float, Between(0, 1), Needs("shrinkage", "fixed")] = 0.1,
    variance_floor: NonNegative = 1e-6,
    by: Annotated[str, OneOf(WAYS)] = "closed-form",
    lr: Annotated[float, Above(0), Needs("by", "gradient")] = 0.05,
) -> Recipe:
    """One Gaussian: an exact density, fitted by maximum likelihood in closed form or by gradient.

    max (1/N) Σ_i log N(x_i; μ, Σ), whose maximum is μ = x̄ and Σ = (1/N) Σ_i (x_i − x̄)(x_i − x̄)ᵀ. Both ways reach it:
    the closed form in one step that reads all rows in blocks, the gradient in batches. Of rows with missing values it
    is fitted by expectation-maximisation, which integrates them out; whether a value is there is a variable of its own.

    Args:
        data: what a row is.
        covariance: form of Σ
        shrinkage: of the covariance towards a multiple of the identity; ledoit-wolf and oas estimate how much
        shrinkage_fraction: weight of the multiple of the identity
        variance_floor: least variance in any direction, as a fraction of each entry's variance over all rows
        by: how the maximum is found
        lr: learning rate of Adam

    References:
        Anderson (2003), An Introduction to Multivariate Statistical Analysis, theorem 3.2.1; Little and Rubin (2002),
        Statistical Analysis with Missing Data, section 11.2, for missing values; Ledoit and Wolf (2004),
        A well-conditioned estimator for large-dimensional covariance matrices; Chen et al. (2010), for oas.
    """
    with_gaps = by == "closed-form" and shrinkage == "none"
    numbers = {each.kind for each in data.support.columns} == {"real"}  # some with gaps, some without
    kinds: tuple[Kind, ...] = ("real", "unit", "discrete", *(["table"] if numbers and with_gaps else []))
    require(data, "gaussian", kinds, missing=with_gaps)
    if data.support.missing:
        gaps = GaussianWithGaps(data, covariance=covariance)
        return Recipe(
            MixtureEM(gaps, tol=1e-6, regularisation=variance_floor), {}, batch_size=None, epochs=500
        )
    if by == "closed-form":
        model = Gaussian(data, covariance=covariance)
        objective = GaussianMLE(
            model, shrinkage=shrinkage, fraction=shrinkage_fraction, variance_floor=variance_floor
        )
        return Recipe(objective, {}, batch_size=None, epochs=1)
    trainable = TrainableGaussian(data, covariance=covariance, variance_floor=variance_floor)
    # Small sets are one batch, so that the gradient is exact; the schedule quiets the noise of larger ones.
    return Recipe(MaximumLikelihood(trainable), Optim(lr=lr, schedule="cosine"), batch_size=8192, epochs=500)
