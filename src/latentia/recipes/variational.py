"""The variational family."""

from __future__ import annotations

from typing import Any

from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.objectives.variational import Variational, beta_weighted
from latentia.recipes.latent_variable import latent_variable
from latentia.recipes.options import with_options_of
from latentia.registry import recipes


@recipes.register("vae")
@with_options_of(latent_variable)
def vae(data: DataSpec, *, draws: int = 1, kl_warmup: int = 0, **options: Any) -> Recipe:
    """Variational autoencoder: codes with a Gaussian prior, learned by the evidence lower bound.

    max E_q[log p(x | z)] - KL(q(z | x) ‖ p(z)), with q(z | x) Gaussian with diagonal covariance, p(z) = N(0, I) and
    the KL in closed form, unless other parts are asked for.

    Args:
        data: what a row is.
        draws: draws of z for each row, averaged in the ELBO (this is not IWAE)
        kl_warmup: steps over which the weight of the KL rises from 0 to 1

    References:
        Kingma and Welling (2014), Auto-encoding variational Bayes.
    """
    built = latent_variable(data, **options)
    return built.recipe(
        Variational(
            built.model, kl_term=beta_weighted(1.0, kl_warmup), draws=draws, conditional=built.conditional
        )
    )


@recipes.register("beta-vae")
@with_options_of(latent_variable)
def beta_vae(data: DataSpec, *, beta: float = 4.0, draws: int = 1, **options: Any) -> Recipe:
    """β-VAE: the KL weighs β times, which trades likelihood for codes that are simpler.

    max E_q[log p(x | z)] - β KL(q(z | x) ‖ p(z)), β fixed. That is no likelihood: scores are of β = 1.

    Args:
        data: what a row is.
        beta: weight of the KL; 1 is the vae
        draws: draws of z for each row, averaged

    References:
        Higgins et al. (2017), β-VAE: learning basic visual concepts with a constrained variational framework.
    """
    built = latent_variable(data, **options)
    return built.recipe(
        Variational(built.model, kl_term=beta_weighted(beta), draws=draws, conditional=built.conditional)
    )
