"""Autoencoders, with a density on top where one is asked for."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import nn

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, Support, require
from latentia.distributions.likelihoods import make_likelihood
from latentia.errors import DataError, UsageError
from latentia.models.autoencoder import Autoencoder
from latentia.models.latent_density import Codec
from latentia.networks.registry import Size, decoder_factory, encoder_factory, network_name, size_of
from latentia.networks.scaling import Scaling
from latentia.objectives.latent_stage import OnLatents
from latentia.objectives.reconstruction import Reconstruction
from latentia.registry import check_name, recipes

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
    latent_dim: int = 16,
    network: str = "mlp",
    hidden: int = 400,
    layers: int = 1,
    width: int = 32,
    reconstruction: str = "squared",
    sigma: float | None = None,
    noise: float = 0.0,
    dropout: float = 0.0,
    latent_density: str | None = None,
    latent_components: int = 10,
    lr: float = 1e-3,
) -> Recipe:
    """Autoencoder: codes that give rows back; with a density fitted to the codes it samples.

    min E L(x, g(f(x̃))), where L is an error or -log p(x | z), and x̃ is x or x with noise. It has no likelihood.

    Args:
        data: what a row is.
        latent_dim: entries of the code z
        network: mlp, gated-mlp (units a σ(b)), maxout-mlp, conv or resnet (images from 8×8), or auto (conv for images,
            else mlp)
        hidden: units of each hidden layer (mlp, gated-mlp)
        layers: hidden layers (mlp); 0 makes encoder and decoder linear
        width: feature maps at the widest image (conv), doubled at each halving
        reconstruction: squared, absolute, cross-entropy (on grey pixels), or likelihood (of the data's support)
        sigma: fixed standard deviation of reconstruction='likelihood' for real data; learned without
        noise: standard deviation of noise that the encoder has to see through, in units of the scaled data
        dropout: share of hidden units that are dropped in training
        latent_density: law of the codes, fitted afterwards: gaussian, kernel-density, gaussian-mixture or flow
        latent_components: components of latent_density='gaussian-mixture'
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


@recipes.register("supervised-autoencoder")
def supervised_autoencoder(
    data: DataSpec,
    *,
    latent_dim: int = 16,
    network: str = "mlp",
    hidden: int = 400,
    layers: int = 1,
    width: int = 32,
    reconstruction: str = "squared",
    weight: float = 1.0,
    latent_density: str | None = None,
    latent_components: int = 10,
    lr: float = 1e-3,
) -> Recipe:
    """Autoencoder with a classifier on its code, so that labelled classes separate there.

    min E L(x, g(f(x))) + λ CE(c(f(x)), class), with c linear

    Args:
        data: what a row is; its rows are labelled.
        latent_dim: entries of the code z
        network: mlp, gated-mlp (units a σ(b)), maxout-mlp, conv or resnet (images from 8×8), or auto (conv for images,
            else mlp)
        hidden: units of each hidden layer (mlp, gated-mlp)
        layers: hidden layers (mlp); 0 makes encoder and decoder linear
        width: feature maps at the widest image (conv), doubled at each halving
        reconstruction: squared, absolute, cross-entropy (on grey pixels), or likelihood (of the data's support)
        weight: λ, of the classifier's cross-entropy
        latent_density: law of the codes, fitted afterwards: gaussian, kernel-density, gaussian-mixture or flow
        latent_components: components of latent_density='gaussian-mixture'
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
    recipe = Recipe(Reconstruction(model, classifier=classifier, weight=weight), Optim(lr=lr))
    return with_latent_density(recipe, latent_dim, latent_density, latent_components)


def with_latent_density(recipe: Recipe, latent_dim: int, name: str | None, components: int) -> Recipe:
    """Return a recipe that goes on to fit a law to its model's codes; without a name, the recipe as it is.

    Raises:
        UsageError: for a law that is none of `LATENT_DENSITIES`.
    """
    if name is None:
        return recipe
    check_name("latent density", name, LATENT_DENSITIES)
    options: dict[str, Any] = {"components": components} if name == "gaussian-mixture" else {}
    codes = DataSpec((latent_dim,), Support("real"))

    def then(model: nn.Module) -> Recipe:
        assert isinstance(model, Codec)  # what every recipe with a latent density trains
        law = recipes[name](codes, **options)
        return dataclasses.replace(law, objective=OnLatents(model, law.objective))

    return dataclasses.replace(recipe, then=then)


def _autoencoder(
    data: DataSpec, latent_dim: int, network: str, size: Size, reconstruction: str, sigma: float | None
) -> Autoencoder:
    if latent_dim < 1:
        raise UsageError(f"latent_dim must be at least 1; got {latent_dim}")
    check_name("reconstruction", reconstruction, RECONSTRUCTIONS)
    scaling = Scaling(data)
    law = make_likelihood(RECONSTRUCTIONS[reconstruction], data, scaling, sigma=sigma)
    return Autoencoder(
        data,
        encoder=encoder_factory(network)(data.event_shape, latent_dim, context=0, size=size, norm="none"),
        decoder=decoder_factory(network)(latent_dim, law.param_shape, context=0, size=size, norm="none"),
        likelihood=law,
        scaling=scaling,
    )
