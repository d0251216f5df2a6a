"""Variational autoencoders whose codes are to have entries of their own meaning."""

import dataclasses
from typing import Annotated, Any

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.networks.mlp import MLP
from latentia.objectives.vae.factor_vae import FactorVAE
from latentia.objectives.vae.kl_terms import beta_weighted
from latentia.objectives.vae.regularisers import (
    ESTIMATORS,
    Regulariser,
    covariance_of_codes,
    covariance_of_means,
    discrepancy_from_prior,
    weighted_total_correlation,
)
from latentia.objectives.vae.variational import Variational
from latentia.options import AtLeast, AtMost, Count, Needs, NonNegative, OneOf, Positive, Whole
from latentia.recipes.shared_options import with_options_of
from latentia.recipes.vae_builder import build_vae
from latentia.registry import kernels, recipes


def _regularised(
    data: DataSpec, regulariser: Regulariser, options: dict[str, Any], beta: float = 1.0
) -> Recipe:
    built = build_vae(data, **options)
    objective = Variational(built.model, kl_term=beta_weighted(beta), regulariser=regulariser)
    return built.recipe(objective)


@recipes.register("dip-vae-i")
@with_options_of(build_vae)
def dip_vae_i(
    data: DataSpec, *, off_diagonal: NonNegative = 10.0, diagonal: NonNegative = 100.0, **options: Any
) -> Recipe:
    """DIP-VAE-I: a VAE that regularises the covariance of its mean codes towards the identity.

    max ELBO - λ_od Σ_{i≠j} C_ij² - λ_d Σ_i (C_ii - 1)², C = Cov_x E_q[z], over a batch

    Args:
        data: what a row is.
        off_diagonal: λ_od, weight of the covariances
        diagonal: λ_d, weight of the variances' distances to 1

    References:
        Kumar, Sattigeri and Balakrishnan (2018), Variational inference of disentangled latent concepts, equation 6.
    """
    return _regularised(data, covariance_of_means(off_diagonal, diagonal), options)


@recipes.register("dip-vae-ii")
@with_options_of(build_vae)
def dip_vae_ii(
    data: DataSpec, *, off_diagonal: NonNegative = 10.0, diagonal: NonNegative = 10.0, **options: Any
) -> Recipe:
    """DIP-VAE-II: a VAE that regularises the covariance of its codes towards the identity.

    max ELBO - λ_od Σ_{i≠j} C_ij² - λ_d Σ_i (C_ii - 1)², C = Cov_x E_q[z] + E_x Cov_q[z], over a batch: the covariance
    of the aggregated posterior

    Args:
        data: what a row is.
        off_diagonal: λ_od, weight of the covariances
        diagonal: λ_d, weight of the variances' distances to 1

    References:
        Kumar, Sattigeri and Balakrishnan (2018), Variational inference of disentangled latent concepts, equation 7.
    """
    return _regularised(data, covariance_of_codes(off_diagonal, diagonal), options)


@recipes.register("beta-tc-vae")
@with_options_of(build_vae)
def beta_tc_vae(
    data: DataSpec,
    *,
    beta: NonNegative = 6.0,
    estimator: Annotated[str, OneOf(ESTIMATORS)] = "stratified",
    **options: Any,
) -> Recipe:
    """β-TCVAE: a weight β on the total correlation of the codes alone, among the terms of the KL.

    max E_q[log p(x | z)] - I_q(x; z) - β KL(q(z) ‖ Π_j q(z_j)) - Σ_j KL(q(z_j) ‖ p(z_j)) = ELBO - (β - 1) TC, q(z) the
    aggregated posterior, estimated from a batch

    Args:
        data: what a row is.
        beta: weight of the total correlation; 1 is the vae
        estimator: of q(z) from a batch: stratified (unbiased), or weighted (minibatch-weighted, biased)

    References:
        Chen et al. (2018), Isolating sources of disentanglement in variational autoencoders, equation 4, α = γ = 1.
    """
    return _regularised(data, weighted_total_correlation(beta - 1, estimator), options)


@recipes.register("info-vae")
@with_options_of(build_vae)
def info_vae(
    data: DataSpec,
    *,
    alpha: Annotated[float, AtMost(1)] = 0.0,
    scale: float = 100.0,
    kernel: Annotated[str, OneOf(kernels)] = "inverse-multiquadric",
    **options: Any,
) -> Recipe:
    """InfoVAE: part of the KL is replaced by a distance between the aggregated posterior and the prior.

    max E_q[log p(x | z)] - (1 - α) KL(q(z | x) ‖ p(z)) - (α + λ - 1) MMD²(q(z), p(z)), q(z) the aggregated
    posterior

    Args:
        data: what a row is.
        alpha: α; 0 and a scale of 1 are the vae, 1 is the MMD-VAE, without the KL of each row's code
        scale: λ
        kernel: of the MMD

    Raises:
        UsageError: for a weight of the MMD below 0.

    References:
        Zhao, Song and Ermon (2019), InfoVAE: balancing learning and inference in variational autoencoders, section 3.
    """
    if alpha + scale < 1:
        raise UsageError(f"alpha + scale must be at least 1; got alpha={alpha}, scale={scale}")
    return _regularised(data, discrepancy_from_prior(alpha + scale - 1, kernel), options, beta=1 - alpha)


@recipes.register("factor-vae")
@with_options_of(build_vae)
def factor_vae(
    data: DataSpec,
    *,
    latent_dim: Count = 16,
    gamma: NonNegative = 10.0,
    critic_hidden: Annotated[int, AtLeast(1), Needs("critic_layers")] = 256,
    critic_layers: Whole = 3,
    critic_lr: Positive = 1e-4,
    **options: Any,
) -> Recipe:
    """FactorVAE: a VAE that penalises the total correlation of its codes, as a critic (discriminator) estimates it.

    max ELBO - γ KL(q(z) ‖ Π_j q(z_j)), whose density ratio is that of a critic trained to distinguish codes from
    codes whose entries are permuted among the rows

    Args:
        data: what a row is.
        latent_dim: entries of the code z
        gamma: γ, weight of the total correlation
        critic_hidden: units of each of the critic's hidden layers
        critic_layers: its hidden layers
        critic_lr: learning rate of its Adam, whose betas are 0.5 and 0.9

    References:
        Kim and Mnih (2018), Disentangling by factorising, algorithm 2; their critic has 6 layers of 1000.
    """
    built = build_vae(data, latent_dim=latent_dim, **options)
    critic = MLP((latent_dim,), (1,), hidden=[critic_hidden] * critic_layers, activation="leaky-relu")
    recipe = built.recipe(FactorVAE(built.model, critic, gamma=gamma))
    optim = {"model": Optim(lr=built.lr), "critic": Optim(lr=critic_lr, betas=(0.5, 0.9))}
    return dataclasses.replace(recipe, optim=optim)
