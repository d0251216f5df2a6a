"""Linear latent models: principal components, their probabilistic version, and factor analysis."""

from typing import Annotated

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.models.linear import PCA, LinearGaussian
from latentia.objectives.closed_form.linear import SOLVERS, ClosedFormPCA, ClosedFormPPCA
from latentia.objectives.em.factor import FactorEM
from latentia.objectives.likelihood import MaximumLikelihood
from latentia.options import Above, AtLeast, Between, Count, Needs, NonNegative, OneOf
from latentia.recipes.autoencoder import LATENT_DENSITIES, with_latent_density
from latentia.registry import recipes, rotations

FITS = ("closed-form", "em", "gradient")
_USUAL_DIM = 16  # as many as the autoencoder's code has


@recipes.register("pca")
def pca(
    data: DataSpec,
    *,
    latent_dim: Count | None = None,
    solver: Annotated[str, OneOf(SOLVERS)] = "auto",
    whiten: bool = False,
    latent_density: Annotated[str | None, OneOf(LATENT_DENSITIES)] = None,
    latent_components: Annotated[int, AtLeast(1), Needs("latent_density", "gaussian-mixture")] = 10,
) -> Recipe:
    """Principal component analysis: the linear codes that reconstruct best; with a density of codes it samples.

    min over W with WᵀW = I of Σ_i ‖x_i − x̂_i‖², z = Wᵀ(x − x̄), x̂ = x̄ + Wz. It has no likelihood: see ppca.

    Args:
        data: what a row is.
        latent_dim: entries of the code z; default: 16, or the entries of a row where they are fewer; a table's
            categories count as one each, and its two-valued columns and gaps not, for they may vary together
        solver: covariance is exact, randomized for rows of many entries; auto is covariance up to 2,000 entries
        whiten: give codes unit variance
        latent_density: density model of the codes, fitted afterwards, from which rows are then sampled
        latent_components: components of the mixture

    References:
        Pearson (1901), On lines and planes of closest fit to systems of points in space; Halko, Martinsson and Tropp
        (2011), Finding structure with randomness, for the randomized solver.
    """
    require(data, "pca", ("binary", "discrete", "unit", "real"))
    d = _spanned(data) if latent_dim is None else latent_dim
    objective = ClosedFormPCA(PCA(data, latent_dim=d, whiten=whiten), solver=solver)
    return with_latent_density(_at_once(objective), d, latent_density, latent_components)


@recipes.register("ppca")
def ppca(
    data: DataSpec,
    *,
    latent_dim: Count | None = None,
    by: Annotated[str, OneOf(FITS)] = "closed-form",
    tol: Annotated[float, AtLeast(0), Needs("by", "em")] = 1e-6,
    regularisation: Annotated[float, Between(0, 1, "()"), Needs("by", "closed-form", "em")] = 1e-6,
    lr: Annotated[float, Above(0), Needs("by", "gradient")] = 5e-2,
) -> Recipe:
    """Probabilistic PCA: a Gaussian of low-rank covariance plus isotropic noise; exact likelihood.

    max Σ_i log N(x_i; μ, WWᵀ + σ²I), by the covariance's eigenvectors, by EM or by gradient, to the same maximum.

    Args:
        data: what a row is.
        latent_dim: entries of the code z, fewer than a row's; default: 16, or as many as there can be
        by: how the maximum is found
        tol: end when a step raises the mean log-likelihood by less, in nats per row
        regularisation: the least σ², as a fraction of the entries' mean variance
        lr: learning rate of Adam, which decays to 0

    References:
        Tipping and Bishop (1999), Probabilistic principal component analysis.
    """
    require(data, "ppca", ("real", "unit", "discrete"))
    model = LinearGaussian(data, latent_dim=_fewer_than_entries(data, latent_dim))
    match by:
        case "closed-form":
            return _at_once(ClosedFormPPCA(model, regularisation=regularisation))
        case "em":
            return _by_em(FactorEM(model, tol=tol, regularisation=regularisation))
        case _:
            return Recipe(MaximumLikelihood(model), Optim(lr=lr, schedule="cosine"), epochs=200)


@recipes.register("factor-analysis")
def factor_analysis(
    data: DataSpec,
    *,
    latent_dim: Count | None = None,
    rotation: Annotated[str, OneOf(rotations)] = "none",
    tol: NonNegative = 1e-6,
    regularisation: Annotated[float, Between(0, 1, "()")] = 1e-6,
) -> Recipe:
    """Factor analysis: a few common factors plus independent noise in each entry; exact likelihood.

    max Σ_i log N(x_i; μ, WWᵀ + Ψ), Ψ diagonal, by expectation-maximisation, which never lowers it.

    Args:
        data: what a row is.
        latent_dim: entries of the code z, fewer than a row's; default: 16, or as many as there can be
        rotation: of the factors, which leaves the density unchanged: none (independent given a row) or varimax (few
            large loadings)
        tol: end when a step raises the mean log-likelihood by less, in nats per row
        regularisation: the least noise variances, as a fraction of each entry's variance

    References:
        Rubin and Thayer (1982), EM algorithms for ML factor analysis; Kaiser (1958), for varimax.
    """
    require(data, "factor-analysis", ("real", "unit", "discrete"))
    model = LinearGaussian(data, latent_dim=_fewer_than_entries(data, latent_dim), noise="diagonal")
    return _by_em(FactorEM(model, tol=tol, rotation=rotation, regularisation=regularisation))


def _spanned(data: DataSpec) -> int:
    """Return the usual entries of a code, or as many as encoded rows span where gaps come together."""
    free = data.size - sum(length for _, length in data.blocks) + sum(length > 1 for _, length in data.blocks)
    return max(1, min(_USUAL_DIM, free))


def _fewer_than_entries(data: DataSpec, latent_dim: int | None) -> int:
    return min(_USUAL_DIM, data.size - 1) if latent_dim is None else latent_dim


def _at_once(objective: ClosedFormPCA | ClosedFormPPCA) -> Recipe:
    return Recipe(objective, {}, batch_size=None, epochs=1)


def _by_em(objective: FactorEM) -> Recipe:
    return Recipe(objective, {}, batch_size=None, epochs=1000)
