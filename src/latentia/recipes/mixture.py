"""The mixture family."""

from collections.abc import Sequence
from typing import Annotated

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.data.support import Kind
from latentia.errors import UnfitError
from latentia.models.mixture import GAPS, CategoricalMixture, GaussianMixture
from latentia.models.mixture_gradient import TrainableMixture
from latentia.objectives.em.em_init import ORDERS
from latentia.objectives.em.mixture import MixtureEM
from latentia.objectives.em.online import OnlineEM
from latentia.objectives.likelihood import MaximumLikelihood
from latentia.options import Between, Count, Needs, NonNegative, OneOf, Positive
from latentia.registry import covariances, recipes

_CATEGORIES: tuple[Kind, ...] = ("binary", "categorical", "discrete")


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
    pseudo_count: NonNegative = 0.1,
    gaps: Annotated[str, OneOf(GAPS)] = "modelled",
    minibatch: Count | None = None,
    step_decay: Annotated[float, Between(0.5, 1, "(]"), Needs("minibatch")] = 0.6,
) -> Recipe:
    """Gaussian mixture: an exact density, fitted by expectation-maximisation.

    max Σ_i log Σ_k π_k N(x_i; μ_k, Σ_k). Each step reads the whole set; with regularisation=0 and pseudo_count=0 it
    never lowers the likelihood. The history's gain says whether the last epoch came before the gain fell below tol.
    With minibatch, a step reads so many rows and updates running averages of the moments with a weight that decays.

    On a table with categories it is the latent-class model: within a component the numbers are Gaussian, and each
    category is independent of them and of the other categories. Values may be missing, NaN, where their support
    says so ("real or missing"): they are integrated out, and samples have gaps as often as the rows, for whether a
    value is there is a variable of its own, independent of the others within a component.

    Args:
        data: what a row is.
        components: number of Gaussians; with order=bic or aic, the largest number that is tried
        covariance: form of the Σ_k; tied is one for all components
        order: number of Gaussians: fixed is all, bic and aic choose the one with the lowest criterion on 20,000 rows
        restarts: k-means++ initialisations, of which the most likely after short runs is kept
        tol: end when a step (with minibatch, a pass) raises the mean log-likelihood by less, in nats per row
        regularisation: added to the components' variances, as a fraction of each entry's variance over all rows
        pseudo_count: rows added to a component's count of each category, and of gaps; a Dirichlet(1 + it) prior
        gaps: modelled, the density is that of which values are missing and of the others; ignored, of the others alone
        minibatch: rows in a step of online EM; default: a step reads all rows
        step_decay: κ, the t-th minibatch has a weight of about t^-κ in the averages

    References:
        Dempster, Laird and Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm; Cappé and
        Moulines (2009), for minibatches; Ghahramani and Jordan (1994), for missing values; Schwarz (1978), for bic;
        McLachlan and Peel (2000), Finite Mixture Models, section 5.8, for mixed tables.
    """
    require(data, "gaussian-mixture", ("real", "unit", *_CATEGORIES, "table"), missing=True)
    model = GaussianMixture(data, components=components, covariance=covariance, gaps=gaps)
    if minibatch is None:
        whole = MixtureEM(
            model,
            restarts=restarts,
            tol=tol,
            regularisation=regularisation,
            order=order,
            pseudo_count=pseudo_count,
        )
        return Recipe(whole, {}, batch_size=None, epochs=200)
    online = OnlineEM(
        model,
        batch_size=minibatch,
        step_decay=step_decay,
        restarts=restarts,
        tol=tol,
        regularisation=regularisation,
        order=order,
        pseudo_count=pseudo_count,
    )
    return Recipe(online, {}, batch_size=minibatch, epochs=20)


@recipes.register("bernoulli-mixture", example="answers.csv", table="answers.csv")  # of zeros and ones
def bernoulli_mixture(
    data: DataSpec,
    *,
    components: Count = 10,
    order: Annotated[str, OneOf(ORDERS)] = "fixed",
    restarts: Count = 1,
    tol: NonNegative = 1e-3,
    pseudo_count: NonNegative = 0.1,
) -> Recipe:
    """Mixture of Bernoulli distributions of binary rows: an exact probability, fitted by expectation-maximisation.

    max Σ_i log Σ_k π_k Π_d θ_kd^x_id (1 − θ_kd)^(1 − x_id) + a Σ_kd log θ_kd (1 − θ_kd), which no step lowers. Where
    values may be missing, they are summed out, and whether they are there is a variable of its own.

    Args:
        data: what a row is.
        components: number of components; with order=bic or aic, the largest number that is tried
        order: number of components: fixed is all, bic and aic choose the one with the lowest criterion on 20,000 rows
        restarts: k-means++ initialisations, of which the most likely after short runs is kept
        tol: end when a step raises the mean log-likelihood by less, in nats per row
        pseudo_count: a, rows added to a component's count of zeros and of ones; a Beta(1 + a, 1 + a) prior

    References:
        Bishop (2006), Pattern Recognition and Machine Learning, section 9.3.3; Lazarsfeld and Henry (1968), Latent
        Structure Analysis.
    """
    require(data, "bernoulli-mixture", ("binary", "table"), missing=True)
    model = _of_categories(data, "bernoulli-mixture", ("binary",), components)
    objective = MixtureEM(model, restarts=restarts, tol=tol, order=order, pseudo_count=pseudo_count)
    return Recipe(objective, {}, batch_size=None, epochs=200)


@recipes.register("categorical-mixture", aliases=("latent-class",), table="answers.csv")
def categorical_mixture(
    data: DataSpec,
    *,
    components: Count = 10,
    order: Annotated[str, OneOf(ORDERS)] = "fixed",
    restarts: Count = 1,
    tol: NonNegative = 1e-3,
    pseudo_count: NonNegative = 0.1,
) -> Recipe:
    """Mixture of categorical distributions, the latent-class model: an exact probability, fitted by EM.

    max Σ_i log Σ_k π_k Π_d θ_kd(x_id) + a Σ_kdl log θ_kd(l), which no step lowers. Where values may be missing, they
    are summed out, and whether they are there is a variable of its own.

    Args:
        data: what a row is.
        components: number of components; with order=bic or aic, the largest number that is tried
        order: number of components: fixed is all, bic and aic choose the one with the lowest criterion on 20,000 rows
        restarts: k-means++ initialisations, of which the most likely after short runs is kept
        tol: end when a step raises the mean log-likelihood by less, in nats per row
        pseudo_count: a, rows added to a component's count of each category; a Dirichlet(1 + a) prior

    References:
        Lazarsfeld and Henry (1968), Latent Structure Analysis; Goodman (1974), Exploratory latent structure analysis
        using both identifiable and unidentifiable models.
    """
    require(data, "categorical-mixture", (*_CATEGORIES, "table"), missing=True)
    model = _of_categories(data, "categorical-mixture", _CATEGORIES, components)
    objective = MixtureEM(model, restarts=restarts, tol=tol, order=order, pseudo_count=pseudo_count)
    return Recipe(objective, {}, batch_size=None, epochs=200)


def _of_categories(data: DataSpec, name: str, kinds: Sequence[Kind], components: int) -> CategoricalMixture:
    """Return a mixture of categories of some kinds; raise `UnfitError` where columns are of other kinds."""
    strange = [column for column in data.support.columns if column.kind not in kinds]
    if strange:
        raise UnfitError(
            f"{name} models columns that are {', '.join(kinds)}; one is {strange[0]}: "
            "gaussian-mixture takes numbers too"
        )
    return CategoricalMixture(data, components=components)


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
