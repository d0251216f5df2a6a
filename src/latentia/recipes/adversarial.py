"""The adversarial family."""

from __future__ import annotations

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, context_size, require
from latentia.distributions.priors import PriorSetting, make_prior
from latentia.functional.adversarial import loss_pair
from latentia.models.implicit import Implicit
from latentia.networks.critic import Critic
from latentia.networks.pairs import NETWORKS, Size, network_name
from latentia.networks.scaling import Scaling
from latentia.objectives.adversarial import Adversarial
from latentia.registry import recipes


@recipes.register("gan")
def gan(
    data: DataSpec,
    *,
    latent_dim: int = 64,
    network: str = "auto",
    hidden: int = 256,
    layers: int = 2,
    width: int = 64,
    loss: str = "non-saturating",
    norm: str = "auto",
    critic_norm: str = "none",
    critic_steps: int = 1,
    conditional: bool = False,
    lr: float = 2e-4,
    critic_lr: float = 2e-4,
    beta1: float = 0.5,
) -> Recipe:
    """Generative adversarial network: a generator learns from a critic that tells its samples from data.

    The critic descends -E log D(x) - E log(1 - D(G(z))), the generator -E log D(G(z)). It has samples only.

    Args:
        data: what a row is.
        latent_dim: entries of the code z
        network: mlp, gated-mlp, conv (images from 8×8, after DCGAN), or auto (conv for images, else mlp)
        hidden: units of each hidden layer (mlp, gated-mlp)
        layers: hidden layers (mlp)
        width: feature maps at the widest image (conv), doubled at each halving
        loss: non-saturating, minimax (whose gradient dies where the critic is sure), least-squares, hinge,
            wasserstein, relativistic-average, relativistic-paired, or an f-divergence's, as kl or alpha(0.5)
        norm: the generator's normalisation: none, batch (conv), or auto (batch for conv)
        critic_norm: the critic's normalisation: none, batch (conv) or spectral (conv)
        critic_steps: moves of the critic for each move of the generator
        conditional: learn p(x | class) from labelled data
        lr: learning rate of the generator's Adam
        critic_lr: learning rate of the critic's Adam
        beta1: decay rate of Adam's average of gradients, for both

    References:
        Goodfellow et al. (2014), Generative adversarial nets; Radford, Metz and Chintala (2016), DCGAN.
    """
    require(data, "gan", ("binary", "discrete", "unit", "real"))
    classes = context_size(data, conditional)
    network = network_name(network, data)
    read, write = NETWORKS[network]
    size = Size(hidden, layers, width).of(network, gan)
    if norm == "auto":
        norm = "batch" if network == "conv" else "none"
    scaling = Scaling(data)
    model = Implicit(
        data,
        prior=make_prior("standard-normal", PriorSetting(latent_dim, data, scaling)),
        network=write(latent_dim, data.event_shape, context=classes, size=size, norm=norm),
        scaling=scaling,
    )
    critic = Critic(read(data.event_shape, 1, context=classes, size=size, norm=critic_norm), Scaling(data))
    objective = Adversarial(
        model, critic, loss_pair(loss), critic_steps=critic_steps, conditional=conditional
    )
    optim = {
        "generator": Optim(lr=lr, betas=(beta1, 0.999)),
        "critic": Optim(lr=critic_lr, betas=(beta1, 0.999)),
    }
    return Recipe(objective, optim, batch_size=64, conditional=conditional)
