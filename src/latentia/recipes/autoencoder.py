"""Autoencoders, optionally with a density model of the codes."""

import dataclasses
from typing import Annotated, Any

from torch import nn

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, Support, require
from latentia.distributions.likelihoods import make_likelihood
from latentia.errors import DataError
from latentia.models.autoencoder import Autoencoder
from latentia.models.latent_density import Codec
from latentia.networks.conditioning import ContextEncoder
from latentia.networks.registry import NETWORKS, Size, decoder_factory, encoder_factory, network_name, size_of
from latentia.networks.scaling import Scaling
from latentia.objectives.latent_stage import OnLatents
from latentia.objectives.reconstruction import Reconstruction
from latentia.options import Above, AtLeast, Between, Count, Having, Needs, NonNegative, OneOf, Positive
from latentia.registry import recipes

RECONSTRUCTIONS = {
    "squared": "squared-error",
    "absolute": "absolute-error",
    "cross-entropy": "relaxed-bernoulli",
    "likelihood": "auto",
}
LATENT_DENSITIES = ("gaussian", "kernel-density", "gaussian-mixture", "flow")


@recipes.register("autoencoder")
def autoencoder(
    data: DataSpec,
    *,
    latent_dim: Count = 16,
    network: Annotated[str, OneOf("auto", Having(NETWORKS, "encoder", "decoder"))] = "mlp",
    hidden: Annotated[int, AtLeast(1), Needs("network", Having(NETWORKS, "encoder", "hidden"))] = 400,
    layers: Annotated[int, AtLeast(0), Needs("network", Having(NETWORKS, "encoder", "layers"))] = 1,
    width: Annotated[int, AtLeast(1), Needs("network", Having(NETWORKS, "encoder", "width"))] = 32,
    reconstruction: Annotated[str, OneOf(RECONSTRUCTIONS)] = "squared",
    sigma: Annotated[float | None, Above(0), Needs("reconstruction", "likelihood")] = None,
    noise: NonNegative = 0.0,
    dropout: Annotated[float, Between(0, 1, "[)")] = 0.0,
    latent_density: Annotated[str | None, OneOf(LATENT_DENSITIES)] = None,
    latent_components: Annotated[int, AtLeast(1), Needs("latent_density", "gaussian-mixture")] = 10,
    lr: Positive = 1e-3,
) -> Recipe:
    """Autoencoder: codes that reconstruct the rows; with a density fitted to the codes it samples.

    min E L(x, g(f(x̃))), where L is an error or -log p(x | z), and x̃ is x or x with noise. It has no likelihood.

    Args:
        data: what a row is.
        latent_dim: entries of the code z
        network: of encoder and decoder; gated-mlp has units a σ(b), conv and resnet are for images from 8×8, and auto
            is conv for images and mlp for other rows
        hidden: units of each hidden layer
        layers: hidden layers; 0 makes encoder and decoder linear
        width: feature maps at the widest image, doubled at each halving
        reconstruction: error of the reconstruction; cross-entropy is for grey pixels, likelihood is -log p(x | z) of
            the likelihood that fits the data's support
        sigma: fixed standard deviation of the likelihood of real data; default: learned
        noise: standard deviation of noise added to the encoder's input (denoising), in units of the scaled data
        dropout: dropout rate of the hidden units
        latent_density: density model of the codes, fitted afterwards, from which rows are then sampled
        latent_components: components of the mixture
        lr: learning rate of Adam

    References:
        Hinton and Salakhutdinov (2006), Reducing the dimensionality of data with neural networks; Vincent et al.
        (2008), for the noise; Ghosh et al. (2020), From variational to deterministic autoencoders, for the density.
    """
    require(data, "autoencoder", ("binary", "discrete", "unit", "real"))
    network = network_name(network, data)
    size = size_of(network, Size(hidden, layers, width), autoencoder).with_dropout(dropout)
    model = _autoencoder(data, latent_dim, network, size, reconstruction, sigma)
    recipe = Recipe(Reconstruction(model, noise=noise), Optim(lr=lr))
    return with_latent_density(recipe, latent_dim, latent_density, latent_components)


@recipes.register("supervised-autoencoder", labelled=True)
def supervised_autoencoder(
    data: DataSpec,
    *,
    latent_dim: Count = 16,
    network: Annotated[str, OneOf("auto", Having(NETWORKS, "encoder", "decoder"))] = "mlp",
    hidden: Annotated[int, AtLeast(1), Needs("network", Having(NETWORKS, "encoder", "hidden"))] = 400,
    layers: Annotated[int, AtLeast(0), Needs("network", Having(NETWORKS, "encoder", "layers"))] = 1,
    width: Annotated[int, AtLeast(1), Needs("network", Having(NETWORKS, "encoder", "width"))] = 32,
    reconstruction: Annotated[str, OneOf(RECONSTRUCTIONS)] = "squared",
    weight: NonNegative = 1.0,
    latent_density: Annotated[str | None, OneOf(LATENT_DENSITIES)] = None,
    latent_components: Annotated[int, AtLeast(1), Needs("latent_density", "gaussian-mixture")] = 10,
    lr: Positive = 1e-3,
) -> Recipe:
    """Autoencoder with a classifier on its codes, so that the classes separate there.

    min E L(x, g(f(x))) + λ CE(c(f(x)), class), with c linear

    Args:
        data: what a row is; its rows are labelled.
        latent_dim: entries of the code z
        network: of encoder and decoder; gated-mlp has units a σ(b), conv and resnet are for images from 8×8, and auto
            is conv for images and mlp for other rows
        hidden: units of each hidden layer
        layers: hidden layers; 0 makes encoder and decoder linear
        width: feature maps at the widest image, doubled at each halving
        reconstruction: error of the reconstruction; cross-entropy is for grey pixels, likelihood is -log p(x | z) of
            the likelihood that fits the data's support
        weight: λ, of the classifier's cross-entropy
        latent_density: density model of the codes, fitted afterwards, from which rows are then sampled
        latent_components: components of the mixture
        lr: learning rate of Adam

    References:
        Le, Patterson and White (2018), Supervised autoencoders.
    """
    require(data, "supervised-autoencoder", ("binary", "discrete", "unit", "real"))
    if not data.classes:
        raise DataError("supervised-autoencoder needs labelled rows; this data has no classes")
    network = network_name(network, data)
    size = size_of(network, Size(hidden, layers, width), supervised_autoencoder)
    model = _autoencoder(data, latent_dim, network, size, reconstruction, None)
    classifier = nn.Linear(latent_dim, len(data.classes))
    labels = ContextEncoder(data.context[:1])
    objective = Reconstruction(model, classifier=classifier, labels=labels, weight=weight)
    recipe = Recipe(objective, Optim(lr=lr))
    return with_latent_density(recipe, latent_dim, latent_density, latent_components)


def with_latent_density(recipe: Recipe, latent_dim: int, name: str | None, components: int) -> Recipe:
    """Return a recipe that then fits a density to its model's codes; where no name is given, the recipe as it is."""
    if name is None:
        return recipe
    options: dict[str, Any] = {"components": components} if name == "gaussian-mixture" else {}
    codes = DataSpec((latent_dim,), Support("real"))

    def then(model: nn.Module) -> Recipe:
        assert isinstance(model, Codec)  # what every recipe with a latent density trains
        density = recipes[name](codes, **options)
        return dataclasses.replace(density, objective=OnLatents(model, density.objective))

    return dataclasses.replace(recipe, then=then)


def _autoencoder(
    data: DataSpec, latent_dim: int, network: str, size: Size, reconstruction: str, sigma: float | None
) -> Autoencoder:
    scaling = Scaling(data)
    likelihood = make_likelihood(RECONSTRUCTIONS[reconstruction], data, scaling, sigma=sigma)
    return Autoencoder(
        data,
        encoder=encoder_factory(network)(data.event_shape, latent_dim, context=0, size=size, norm="none"),
        decoder=decoder_factory(network)(
            latent_dim, likelihood.param_shape, context=0, size=size, norm="none"
        ),
        likelihood=likelihood,
        scaling=scaling,
    )
