"""The variational family."""

from __future__ import annotations

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, context_size, require
from latentia.data.transforms import Binarise, Kind
from latentia.distributions.likelihoods import make_likelihood
from latentia.distributions.standard_normal import StandardNormal
from latentia.models.latent import LatentVariable, RelaxedLatentVariable
from latentia.networks.pairs import NETWORKS, Size, network_name
from latentia.networks.scaling import Scaling
from latentia.objectives.variational import Variational
from latentia.registry import recipes


@recipes.register("vae")
def vae(
    data: DataSpec,
    *,
    latent_dim: int = 16,
    network: str = "mlp",
    hidden: int = 400,
    layers: int = 1,
    width: int = 32,
    likelihood: str = "auto",
    sigma: float | None = None,
    draws: int = 1,
    kl_warmup: int = 0,
    binarise: Kind | None = None,
    conditional: bool = False,
    lr: float = 1e-3,
) -> Recipe:
    """Variational autoencoder: codes with a Gaussian prior, learned by the evidence lower bound.

    max E_q[log p(x | z)] - KL(q(z | x) ‖ N(0, I)), with q(z | x) Gaussian with diagonal covariance, and the KL
    in closed form.

    Args:
        data: what a row is.
        latent_dim: entries of the code z
        network: mlp, conv (images from 8×8), or auto (conv for images)
        hidden: units of each hidden layer (mlp)
        layers: hidden layers (mlp); 0 makes encoder and decoder linear
        width: feature maps at the widest image (conv), doubled at each halving
        likelihood: p(x|z): bernoulli, gaussian, discretised-logistic, continuous-bernoulli, relaxed-bernoulli (a
            loss, scored as no likelihood), or auto (from the data's support)
        sigma: fixed standard deviation of the Gaussian likelihood, in units of the scaled data; learned without
        draws: draws of z for each row, averaged in the ELBO (this is not IWAE)
        kl_warmup: steps over which the weight of the KL rises from 0 to 1
        binarise: round grey pixels to 0 and 1 first: fixed (one draw), dynamic (a draw an epoch) or threshold
        conditional: learn p(x | class) from labelled data
        lr: learning rate of Adam

    References:
        Kingma and Welling (2014), Auto-encoding variational Bayes.
    """
    transform = None if binarise is None else Binarise(binarise)
    law_of = data if transform is None else transform.spec(data)
    require(law_of, "vae", ("binary", "discrete", "unit", "real"))
    classes = context_size(data, conditional)
    network = network_name(network, data)
    read, write = NETWORKS[network]
    size = Size(hidden, layers, width).of(network, vae)
    prior = StandardNormal(latent_dim)
    scaling = Scaling(law_of)
    law = make_likelihood(likelihood, law_of, scaling, sigma=sigma)
    model = (RelaxedLatentVariable if law.measure is None else LatentVariable)(
        law_of,
        prior=prior,
        encoder=read(data.event_shape, 2 * latent_dim, context=classes, size=size, norm="none"),
        decoder=write(
            latent_dim, (law.entry_parameters, *data.event_shape), context=classes, size=size, norm="none"
        ),
        likelihood=law,
        scaling=scaling,
    )
    objective = Variational(model, draws=draws, kl_warmup=kl_warmup, conditional=conditional)
    return Recipe(objective, Optim(lr=lr), transform=transform, conditional=conditional)
