"""The mixture family."""

from typing import Annotated

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.models.mixture import GaussianMixture
from latentia.models.mixture_gradient import TrainableMixture
from latentia.objectives.em.em_init import ORDERS
from latentia.objectives.em.mixture import MixtureEM
from latentia.objectives.em.online import OnlineEM
from latentia.objectives.likelihood import MaximumLikelihood
from latentia.options import Between, Count, Needs, NonNegative, OneOf, Positive
from latentia.registry import covariances, recipes


@recipes.register("gaussian-mixture", aliases=("gmm",))
def gaussian_mixture(
    data: DataSpec,
    *,
    components: Count = 10,
    covariance: Annotated[str, OneOf(covariances)] = "full",
    order: Annotated[str, OneOf(ORDERS)] = "fixed",
    restarts: Count = 1,
    tol: NonNegative = 1e-3,
    regularisation: NonNegative = 1e-6,
    minibatch: Count | None = None,
    step_decay: Annotated[float, Between(0.5, 1, "(]"), Needs("minibatch")] = 0.6,
) -> Recipe:
    """Gaussian mixture: an exact density, fitted by expectation-maximisation.

    max Σ_i log Σ_k π_k N(x_i; μ_k, Σ_k). Each step reads the whole set; with regularisation=0 it never lowers the
    likelihood. The history's gain says whether the last epoch came before the gain fell below tol. With minibatch, a
    step reads so many rows and updates running averages of the moments with a weight that decays. Rows may have missing
    values, NaN, where their support says so ("real or missing"); it fits the likelihood of the others.

    Args:
        data: what a row is.
        components: number of Gaussians; with order=bic or aic, the largest number that is tried
        covariance: form of the Σ_k; tied is one for all components
        order: number of Gaussians: fixed is all, bic and aic choose the one with the lowest criterion on 20,000 rows
        restarts: k-means++ initialisations, of which the most likely after short runs is kept
        tol: end when a step (with minibatch, a pass) raises the mean log-likelihood by less, in nats per row
        regularisation: added to the components' variances, as a fraction of each entry's variance over all rows
        minibatch: rows in a step of online EM; default: a step reads all rows
        step_decay: κ, the t-th minibatch has a weight of about t^-κ in the averages

    References:
        Dempster, Laird and Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm; Cappé and
        Moulines (2009), for minibatches; Ghahramani and Jordan (1994), for missing values; Schwarz (1978), for bic.
    """
    require(data, "gaussian-mixture", ("real", "unit", "discrete"), missing=True)
    model = GaussianMixture(data, components=components, covariance=covariance)
    if minibatch is None:
        whole = MixtureEM(model, restarts=restarts, tol=tol, regularisation=regularisation, order=order)
        return Recipe(whole, {}, batch_size=None, epochs=200)
    online = OnlineEM(
        model,
        batch_size=minibatch,
        step_decay=step_decay,
        restarts=restarts,
        tol=tol,
        regularisation=regularisation,
        order=order,
    )
    return Recipe(online, {}, batch_size=minibatch, epochs=20)


@recipes.register("gaussian-mixture-gradient")
def gaussian_mixture_gradient(
    data: DataSpec,
    *,
    components: Count = 10,
    covariance: Annotated[str, OneOf(covariances)] = "full",
    regularisation: NonNegative = 1e-6,
    lr: Positive = 0.02,
) -> Recipe:
    """Gaussian mixture: an exact density, fitted by gradient of the log-likelihood.

    max Σ_i log Σ_k π_k N(x_i; μ_k, Σ_k) with π a softmax and standard deviations a softplus, from a k-means++ start;
    it reaches what expectation-maximisation reaches from there, in more steps.

    Args:
        data: what a row is.
        components: number of Gaussians
        covariance: form of the Σ_k; tied is one for all components
        regularisation: least variance in any direction, as a fraction of each entry's variance over all rows
        lr: learning rate of Adam

    References:
        Bishop (2006), Pattern Recognition and Machine Learning, section 9.2.2; Arthur and Vassilvitskii (2007), for
        the start.
    """
    require(data, "gaussian-mixture-gradient", ("real", "unit", "discrete"))
    model = TrainableMixture(
        data, components=components, covariance=covariance, regularisation=regularisation
    )
    # Small sets are one batch, so that the gradient is exact; the schedule quiets the noise of larger ones.
    return Recipe(MaximumLikelihood(model), Optim(lr=lr, schedule="cosine"), batch_size=8192, epochs=500)
