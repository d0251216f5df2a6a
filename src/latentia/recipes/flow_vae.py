"""Variational autoencoders whose prior or posterior is more than a Gaussian with diagonal covariance."""

from typing import Any

from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.recipes.shared_options import with_options_of
from latentia.recipes.variational import vae
from latentia.registry import recipes


@recipes.register("vamp-vae")
@with_options_of(vae, without=["conditional", "free_bits"], prior="vamp", prior_components=500)
def vamp_vae(data: DataSpec, **options: Any) -> Recipe:
    """VAE with a VampPrior: a mixture of the posteriors of learned pseudo-inputs.

    max E_q[log p(x | z)] - KL(q(z | x) ‖ (1/K) Σ_k q(z | u_k)), u_k initialised with rows.

    Args:
        data: what a row is.

    References:
        Tomczak and Welling (2018), VAE with a VampPrior, equation 10.
    """
    return vae(data, **options)


@recipes.register("flow-prior-vae")
@with_options_of(vae, without=["free_bits"], prior="maf")
def flow_prior_vae(data: DataSpec, **options: Any) -> Recipe:
    """VAE with a learned autoregressive flow as prior.

    max E_q[log p(x | z)] - KL(q(z | x) ‖ p(z)), log p(z) = log N(f(z); 0, I) + log |det ∂f/∂z|.

    Args:
        data: what a row is.

    References:
        Chen et al. (2017), Variational lossy autoencoder, section 3.2.
    """
    return vae(data, **options)


@recipes.register("iaf-vae")
@with_options_of(vae, without=["free_bits"], posterior="iaf")
def iaf_vae(data: DataSpec, **options: Any) -> Recipe:
    """VAE whose posterior is an inverse autoregressive flow.

    max E_q[log p(x | z) + log p(z) - log q(z | x)], z = g(z₀; x) with z₀ Gaussian and g autoregressive.

    All entries of a code are sampled in parallel. With posterior="maf" they are sampled in sequence: a training step
    takes 8 times as long with 40 entries (benchmarks/speed/posteriors.py).

    Args:
        data: what a row is.

    References:
        Kingma et al. (2016), Improved variational inference with inverse autoregressive flow.
    """
    return vae(data, **options)


@recipes.register("realnvp-posterior-vae")
@with_options_of(vae, without=["free_bits"], posterior="realnvp")
def realnvp_posterior_vae(data: DataSpec, **options: Any) -> Recipe:
    """VAE whose posterior is a flow of coupling layers.

    max E_q[log p(x | z) + log p(z) - log q(z | x)], z = g(z₀; x) with z₀ Gaussian and g coupling halves of z.

    Args:
        data: what a row is.

    References:
        Dinh, Sohl-Dickstein and Bengio (2017), Density estimation using Real NVP.
    """
    return vae(data, **options)


@recipes.register("planar-vae")
@with_options_of(vae, without=["free_bits"], posterior="planar", posterior_transforms=8)
def planar_vae(data: DataSpec, **options: Any) -> Recipe:
    """VAE whose posterior is a flow of planar layers, with parameters for each row.

    max E_q[log p(x | z) + log p(z) - log q(z | x)], each layer z + u tanh(wᵀz + b).

    Args:
        data: what a row is.

    References:
        Rezende and Mohamed (2015), Variational inference with normalizing flows, equation 10.
    """
    return vae(data, **options)
