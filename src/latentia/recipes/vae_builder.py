"""The model that all variational recipes share, with the options that choose its parts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

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
from latentia.networks.registry import NETWORKS, Size, decoder_factory, encoder_factory, network_name, size_of
from latentia.networks.scaling import Scaling
from latentia.options import Above, AtLeast, Count, Having, Needs, OneOf, Positive, Whole
from latentia.registry import likelihoods, posteriors, priors

_SMALLEST_CONV = 16  # side of images from which auto is conv
_SUPPORTS = ("binary", "discrete", "count", "unit", "real", "categorical", "table")


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
    latent_dim: Count = 16,
    network: Annotated[str, OneOf("auto", Having(NETWORKS, "encoder", "decoder"))] = "auto",
    hidden: Annotated[int, AtLeast(1), Needs("network", Having(NETWORKS, "encoder", "hidden"))] = 400,
    layers: Annotated[int, AtLeast(0), Needs("network", Having(NETWORKS, "encoder", "layers"))] = 1,
    width: Annotated[int, AtLeast(1), Needs("network", Having(NETWORKS, "encoder", "width"))] = 32,
    likelihood: Annotated[str, OneOf("auto", likelihoods)] = "auto",
    sigma: Annotated[float | None, Above(0), Needs("likelihood", "gaussian")] = None,
    likelihood_components: Annotated[
        int | None, AtLeast(1), Needs("likelihood", "discretised-logistic-mixture")
    ] = None,
    discretise: bool = False,
    posterior: Annotated[str, OneOf(posteriors)] = "diagonal",
    posterior_transforms: Annotated[
        int, AtLeast(1), Needs("posterior", Having(posteriors, "transforms"))
    ] = 2,
    posterior_hidden: Annotated[int, AtLeast(1), Needs("posterior", Having(posteriors, "hidden"))] = 64,
    refine_steps: Whole = 0,
    refine_lr: Annotated[float, Above(0), Needs("refine_steps")] = 0.1,
    prior: Annotated[str, OneOf(priors)] = "standard-normal",
    prior_components: Annotated[int, AtLeast(1), Needs("prior", Having(priors, "components"))] = 10,
    prior_transforms: Annotated[int, AtLeast(1), Needs("prior", Having(priors, "transforms"))] = 2,
    prior_hidden: Annotated[int, AtLeast(1), Needs("prior", Having(priors, "hidden"))] = 64,
    binarise: Kind | None = None,
    conditional: bool = False,
    lr: Positive = 1e-3,
) -> Built:
    """Build a latent variable model from the names of its parts.

    Args:
        data: what a row is.
        latent_dim: entries of the code z
        network: of encoder and decoder; gated-mlp has units a σ(b), conv and resnet are for images from 8×8, and auto
            is conv for images from 16×16, and mlp for smaller ones, on which it learns faster, and other rows
        hidden: units of each hidden layer
        layers: hidden layers; 0 makes encoder and decoder linear
        width: feature maps at the widest image, doubled at each halving
        likelihood: p(x|z), of a table the one of the columns that it fits; auto is chosen by the data's support, and
            relaxed-bernoulli is a loss that is not scored as a likelihood
        sigma: fixed standard deviation of the Gaussian likelihood, in units of the scaled data; default: learned
        likelihood_components: logistics of the mixture at each entry; default: 5
        discretise: score numbers of a table whose step is known, such as whole ones, by the probability of their cell
        posterior: q(z|x): a Gaussian with diagonal or full covariance, or a flow; maf is slow to sample
        posterior_transforms: invertible layers of the posterior's flow
        posterior_hidden: units of the two hidden layers in each of them
        refine_steps: gradient steps that refine the encoder's posterior of each row (semi-amortised inference)
        refine_lr: step size of the refinement
        prior: p(z); vamp is a mixture of the posteriors of learned pseudo-inputs, vamp-data of those of rows, maf and
            realnvp are flows
        prior_components: Gaussians of the mixture, or pseudo-inputs of a VampPrior
        prior_transforms: invertible layers of the prior's flow
        prior_hidden: units of the two hidden layers in each of them
        binarise: round grey pixels to 0 and 1 first; fixed draws once, dynamic once per epoch
        conditional: learn p(x | c), with c a row's class, its factors, or the columns of a table named as context
        lr: learning rate of Adam

    Raises:
        UsageError: for options that mean nothing together.
    """
    transform = None if binarise is None else Binarise(binarise)
    model_spec = data if transform is None else transform.spec(data)
    require(
        model_spec,
        "this model",
        ("binary", "discrete", "count", "unit", "real", "categorical", "table"),
        missing=True,
    )
    context = context_encoder(data, conditional)
    network = network_name(network, data, smallest=_SMALLEST_CONV)
    size = size_of(network, Size(hidden, layers, width), build_vae)
    scaling = Scaling(model_spec)
    codes = make_prior(
        prior,
        PriorSetting(
            latent_dim, model_spec, scaling, prior_components, Flows(prior_transforms, prior_hidden)
        ),
    )
    if context.size and codes.of_posteriors:
        raise UsageError(
            f"prior={prior!r} has rows without a class, which a conditional encoder needs: choose another"
        )
    inferred = make_posterior(posterior, latent_dim, Flows(posterior_transforms, posterior_hidden))
    given_code = make_likelihood(
        likelihood,
        model_spec,
        scaling,
        sigma=sigma,
        components=likelihood_components,
        discretise=discretise,
    )
    model = (RelaxedLatentVariable if given_code.measure is None else LatentVariable)(
        model_spec,
        prior=codes,
        encoder=encoder_factory(network)(
            scaling.out_shape, inferred.param_dim, context=context.size, size=size, norm="none"
        ),
        posterior=inferred,
        decoder=decoder_factory(network)(
            latent_dim, given_code.param_shape, context=context.size, size=size, norm="none"
        ),
        likelihood=given_code,
        scaling=scaling,
        refinement=_refinement(refine_steps, refine_lr),
        context_encoder=context,
    )
    another = partial(encoder_factory(network), scaling.out_shape, context=0, size=size, norm="none")
    return Built(model, transform, conditional, lr, another)


def _refinement(steps: int, lr: float) -> Refinement | None:
    return Refinement(steps, lr) if steps else None
