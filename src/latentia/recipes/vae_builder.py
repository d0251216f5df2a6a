"""The model that all variational recipes share, with the options that choose its parts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from latentia.core.objective import Objective
from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.rows import Transform
from latentia.data.spec import DataSpec, require
from latentia.data.transforms import Binarise, Kind
from latentia.distributions.flows import Flows
from latentia.distributions.likelihoods import make_likelihood
from latentia.distributions.posteriors import make_posterior
from latentia.distributions.priors import PriorSetting, make_prior
from latentia.errors import UsageError
from latentia.models.latent_variable import LatentVariable, RelaxedLatentVariable
from latentia.models.semi_amortised import Refinement
from latentia.networks.conditioning import context_encoder
from latentia.networks.registry import Size, decoder_factory, encoder_factory, network_name, size_of
from latentia.networks.scaling import Scaling


@dataclass(frozen=True)
class Built:
    """A model of codes, and what of its options concerns its training.

    Attributes:
        model: p(x | z), p(z) and q(z | x).
        transform: what is done to the rows first.
        conditional: whether the model is given each row's context.
        lr: learning rate.
        read: makes another network like the encoder, without context, from scaled rows to so many numbers.
    """

    model: LatentVariable | RelaxedLatentVariable
    transform: Transform | None
    conditional: bool
    lr: float
    read: Callable[[int], nn.Module]

    def recipe(self, objective: Objective) -> Recipe:
        """Return the recipe that trains the model by an objective whose one player it is."""
        return Recipe(objective, Optim(lr=self.lr), transform=self.transform, conditional=self.conditional)


def build_vae(
    data: DataSpec,
    *,
    latent_dim: int = 16,
    network: str = "mlp",
    hidden: int = 400,
    layers: int = 1,
    width: int = 32,
    likelihood: str = "auto",
    sigma: float | None = None,
    likelihood_components: int | None = None,
    posterior: str = "diagonal",
    posterior_transforms: int = 2,
    posterior_hidden: int = 64,
    refine_steps: int = 0,
    refine_lr: float = 0.1,
    prior: str = "standard-normal",
    prior_components: int = 10,
    prior_transforms: int = 2,
    prior_hidden: int = 64,
    binarise: Kind | None = None,
    conditional: bool = False,
    lr: float = 1e-3,
) -> Built:
    """Build a latent variable model from the names of its parts.

    Args:
        data: what a row is.
        latent_dim: entries of the code z
        network: mlp, gated-mlp (units a σ(b)), maxout-mlp, conv or resnet (images from 8×8), or auto (conv for images,
            else mlp)
        hidden: units of each hidden layer (mlp, gated-mlp)
        layers: hidden layers (mlp); 0 makes encoder and decoder linear
        width: feature maps at the widest image (conv), doubled at each halving
        likelihood: p(x|z): bernoulli, gaussian, heteroscedastic-gaussian (the network writes its σ, at least e⁻⁶),
            discretised-logistic, discretised-logistic-mixture, categorical (up to 256 levels), continuous-bernoulli,
            poisson, negative-binomial, relaxed-bernoulli (a loss, scored as no likelihood), or auto (from the data's
            support); of a table's columns, those that it is a law on
        sigma: fixed standard deviation of the Gaussian likelihood, in units of the scaled data; learned without
        likelihood_components: logistics of the discretised-logistic-mixture at each entry; 5 without
        posterior: q(z|x): a Gaussian with diagonal or full covariance, or one pushed through a flow: iaf, realnvp, maf
            (slow to draw) or planar
        posterior_transforms: invertible layers of the posterior's flow
        posterior_hidden: units of the two hidden layers in each of them
        refine_steps: steps by gradient that improve the encoder's guess for each row (semi-amortised); 0 for none
        refine_lr: their size
        prior: p(z): standard-normal, gaussian-mixture, vamp (posteriors of learned pseudo-inputs), vamp-data (of rows),
            or a flow, maf or realnvp
        prior_components: Gaussians of the mixture, or pseudo-inputs of a VampPrior
        prior_transforms: invertible layers of the prior's flow
        prior_hidden: units of the two hidden layers in each of them
        binarise: round grey pixels to 0 and 1 first: fixed (one draw), dynamic (a draw an epoch) or threshold
        conditional: learn p(x | c), with c a row's class, factors, or columns of a table that are named as context
        lr: learning rate of Adam

    Raises:
        UsageError: for options that mean nothing together.
    """
    transform = None if binarise is None else Binarise(binarise)
    model_spec = data if transform is None else transform.spec(data)
    require(model_spec, "this model", ("binary", "discrete", "count", "unit", "real", "categorical", "table"))
    context = context_encoder(data, conditional)
    network = network_name(network, data)
    size = size_of(network, Size(hidden, layers, width), build_vae)
    scaling = Scaling(model_spec)
    codes_law = make_prior(
        prior,
        PriorSetting(
            latent_dim, model_spec, scaling, prior_components, Flows(prior_transforms, prior_hidden)
        ),
    )
    if context.size and codes_law.of_posteriors:
        raise UsageError(
            f"prior={prior!r} has rows without a class, which a conditional encoder needs: choose another"
        )
    inferred = make_posterior(posterior, latent_dim, Flows(posterior_transforms, posterior_hidden))
    sizes = {"components": prior_components, "transforms": prior_transforms, "hidden": prior_hidden}
    _refuse_unused("prior", prior, codes_law.sizes, sizes)
    sizes = {"transforms": posterior_transforms, "hidden": posterior_hidden}
    _refuse_unused("posterior", posterior, inferred.sizes, sizes)
    law = make_likelihood(likelihood, model_spec, scaling, sigma=sigma, components=likelihood_components)
    model = (RelaxedLatentVariable if law.measure is None else LatentVariable)(
        model_spec,
        prior=codes_law,
        encoder=encoder_factory(network)(
            scaling.out_shape, inferred.param_dim, context=context.size, size=size, norm="none"
        ),
        posterior=inferred,
        decoder=decoder_factory(network)(
            latent_dim, law.param_shape, context=context.size, size=size, norm="none"
        ),
        likelihood=law,
        scaling=scaling,
        refinement=_refinement(refine_steps, refine_lr),
        context_encoder=context,
    )
    another = partial(encoder_factory(network), scaling.out_shape, context=0, size=size, norm="none")
    return Built(model, transform, conditional, lr, another)


def _refinement(steps: int, lr: float) -> Refinement | None:
    if steps:
        return Refinement(steps, lr)
    if lr != _default("refine_lr"):
        raise UsageError("refine_lr is of refine_steps, which are 0: give some")
    return None


def _default(option: str) -> Any:
    return inspect.signature(build_vae).parameters[option].default


def _refuse_unused(part: str, name: str, used: Sequence[str], sizes: Mapping[str, int]) -> None:
    """Raise `UsageError` for a size that was asked for and that the named part does not have."""
    for size, value in sizes.items():
        option = f"{part}_{size}"
        if size not in used and value != _default(option):
            has = " and ".join(f"{part}_{each}" for each in used) or "none"
            raise UsageError(f"{option} is no size of {part}={name!r}, which has {has}")
