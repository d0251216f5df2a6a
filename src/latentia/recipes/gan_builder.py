"""The game that all adversarial recipes share, with the options that choose its parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.distributions.priors import PriorSetting, make_prior
from latentia.errors import UsageError
from latentia.functional.gan.diversity import DIVERSITY, matches_contexts
from latentia.functional.gan.label_noise import flipped, smoothed
from latentia.functional.gan.loss_pairs import LOSS_PAIRS, LossPair, loss_pair
from latentia.models.implicit import Implicit
from latentia.networks.conditioning import ContextEncoder, context_encoder
from latentia.networks.critic import Critic, packed_shape
from latentia.networks.norms import DECODER_NORMS, KINDS, NORMS
from latentia.networks.registry import (
    CONDITIONINGS,
    NETWORKS,
    Size,
    decoder_factory,
    encoder_factory,
    network_name,
    size_of,
)
from latentia.networks.scaling import Scaling
from latentia.networks.simplex import CATEGORIES, SimplexHead
from latentia.objectives.gan.adversarial import Adversarial
from latentia.objectives.gan.critic_input import Augment, CriticInput, InstanceNoise
from latentia.objectives.gan.critic_penalties import Penalty
from latentia.objectives.gan.replay import Replay
from latentia.objectives.gan.terms import Diversity
from latentia.objectives.gan.unroll import Unroll
from latentia.options import (
    Above,
    AtLeast,
    Between,
    Count,
    Having,
    Needs,
    NonNegative,
    OneOf,
    Positive,
    SomeOf,
    Whole,
)
from latentia.registry import (
    augmentations,
    critic_weightings,
    divergences,
    diversity_terms,
    loss_pairs,
    minibatch_layers,
    penalties,
)

PRIORS = ("standard-normal", "uniform")  # those that are not learned: a generator moves its network alone


def build_gan(
    data: DataSpec,
    *,
    latent_dim: Count = 64,
    prior: Annotated[str, OneOf(PRIORS)] = "standard-normal",
    network: Annotated[str, OneOf("auto", Having(NETWORKS, "encoder", "decoder"))] = "auto",
    hidden: Annotated[int, AtLeast(1), Needs("network", Having(NETWORKS, "encoder", "hidden"))] = 256,
    layers: Annotated[int, AtLeast(0), Needs("network", Having(NETWORKS, "encoder", "layers"))] = 2,
    width: Annotated[int, AtLeast(1), Needs("network", Having(NETWORKS, "encoder", "width"))] = 64,
    norm: Annotated[str, OneOf("auto", DECODER_NORMS)] = "auto",
    critic_norm: Annotated[str, OneOf(NORMS)] = "none",
    dropout: Annotated[float, Between(0, 1, "[)")] = 0.0,
    categories: Annotated[str, OneOf(CATEGORIES)] = "softmax",
    temperature: Annotated[float, Above(0), Needs("categories", "gumbel")] = 0.5,
    loss: Annotated[
        str, OneOf(loss_pairs, divergences, prefix="non-saturating-", numbered=True, part="LossPair")
    ] = "non-saturating",
    critic_steps: Count = 1,
    reuse_samples: bool = False,
    penalty: Annotated[str, OneOf("none", penalties)] = "none",
    penalty_weight: Annotated[float | None, AtLeast(0), Needs("penalty")] = None,
    penalty_every: Annotated[int, AtLeast(1), Needs("penalty")] = 1,
    clip_weights: Positive | None = None,
    label_smoothing: Annotated[float, Between(0, 0.5, "[)")] = 0.0,
    label_flips: Annotated[float, Between(0, 0.5, "[)")] = 0.0,
    instance_noise: NonNegative = 0.0,
    instance_noise_steps: Annotated[int, AtLeast(0), Needs("instance_noise")] = 0,
    augment: Annotated[str, SomeOf(augmentations)] = "none",
    replay: Whole = 0,
    critics: Count = 1,
    combined: Annotated[str, OneOf(critic_weightings), Needs("critics", AtLeast(2))] = "mean",
    pack: Count = 1,
    minibatch: Annotated[str, OneOf(minibatch_layers)] = "none",
    unroll_steps: Whole = 0,
    unroll_lr: Annotated[float, Above(0), Needs("unroll_steps")] = 0.01,
    diversity: Annotated[str, OneOf("none", diversity_terms)] = "none",
    diversity_weight: Annotated[float, AtLeast(0), Needs("diversity")] = 1.0,
    conditional: bool = False,
    conditioning: Annotated[str, OneOf(CONDITIONINGS), Needs("conditional")] = "concatenation",
    lr: Positive = 2e-4,
    critic_lr: Positive = 2e-4,
    beta1: Annotated[float, Between(0, 1, "[)")] = 0.5,
    beta2: Annotated[float, Between(0, 1, "[)")] = 0.999,
) -> Recipe:
    """Build a generator, its critics and the game that they play, from the names of the parts.

    Args:
        data: what a row is.
        latent_dim: entries of the code z
        prior: p(z); uniform is on [-1, 1]
        network: of generator and critic; conv (after DCGAN) and resnet are for images from 8×8, and auto is conv for
            images and mlp for other rows
        hidden: units of each hidden layer
        layers: hidden layers
        width: feature maps at the widest image, doubled at each halving
        norm: normalisation of the generator; auto is batch for conv and resnet
        critic_norm: normalisation of the critic (discriminator); batch is not for resnet, nor with a penalty
        dropout: dropout rate of the generator's hidden units or feature maps
        categories: what the generator gives for a category of a table: softmax (probabilities, of which a row's
            category is drawn when it is sampled) or gumbel (a draw, with the gradient of its Gumbel-softmax)
        temperature: of that Gumbel-softmax; gradients are less biased where it is low, and vary more
        loss: losses of the game; minimax's gradient vanishes where the critic is confident, wasserstein needs a
            penalty, clip_weights or critic_norm="spectral", and the name of an f-divergence, as kl or alpha(0.5), is
            its variational bound, which non-saturating-kl makes non-saturating; in Python also a `LossPair`
        critic_steps: critic updates per generator update (n_critic), on the same real rows and new samples
        reuse_samples: compute the generator's loss on the samples of the last critic update instead of new ones,
            which saves a forward pass
        penalty: penalty on the critic's gradient; gradient is that of WGAN-GP
        penalty_weight: weight of the penalty; default: 10, or 1 for r1, r2 and r1-r2, whose weight depends on the data
        penalty_every: steps from one penalty to the next, each with so many times the weight (lazy regularisation)
        clip_weights: c, where the critic's weights are clipped to [-c, c]
        label_smoothing: one-sided label smoothing: weight with which real rows count as fake for the critic
        label_flips: label-flip probability: fraction of rows whose label is wrong for the critic
        instance_noise: standard deviation of noise on the critic's input, in units of the scaled rows
        instance_noise_steps: steps in which that noise decays to 0; 0 keeps it
        augment: random augmentation of all images that the critic sees, differentiable
        replay: earlier samples that are kept and shown to the critic again
        critics: number of critics
        combined: weighting of several critics in the generator's loss
        pack: rows that the critic judges jointly (PacGAN)
        minibatch: statistics of the batch that the critic reads: discrimination (distances to its other rows) or
            deviation (its standard deviation)
        unroll_steps: critic updates through which the generator's loss is unrolled
        unroll_lr: learning rate of those updates
        diversity: regulariser added to the generator's loss
        diversity_weight: weight of the regulariser
        conditional: learn p(x | class) from labelled data
        conditioning: how the class enters: by concatenation, or by projection (in the critic; a generator with batch
            norm then has conditional batch norm)
        lr: learning rate of the generator's Adam
        critic_lr: learning rate of the critic's Adam
        beta1: decay rate of Adam's average of gradients, for both
        beta2: decay rate of Adam's average of squared gradients, for both

    Raises:
        UsageError: for options that mean nothing together.
    """
    require(data, "a generator", ("binary", "discrete", "unit", "real"))
    if loss_pair(loss) is LOSS_PAIRS["wasserstein"]:
        bounded = penalty != "none" or clip_weights is not None or KINDS[critic_norm].bounded
        _check_wasserstein(combined, bounded=bounded)
    _check_diversity(diversity, data, conditional=conditional)
    head = _head(data, categories, temperature)
    network = network_name(network, data)
    size = size_of(network, Size(hidden, layers, width), build_gan)
    parts = _Parts(data, network, size, context_encoder(data, conditional), conditioning)
    objective = Adversarial(
        parts.generator(latent_dim, prior, head, norm=norm, dropout=dropout),
        [parts.critic(norm=critic_norm, minibatch=minibatch, pack=pack) for _ in range(critics)],
        _labelled(loss_pair(loss), label_smoothing, label_flips),
        critic_steps=critic_steps,
        reuse_samples=reuse_samples,
        critic_terms=[] if penalty == "none" else [Penalty(penalty, penalty_weight, penalty_every)],
        generator_terms=[] if diversity == "none" else [Diversity(diversity, diversity_weight)],
        clip=clip_weights,
        critic_input=_critic_input(augment, data, instance_noise, instance_noise_steps),
        replay=Replay(replay, data.event_shape) if replay else None,
        combined=combined,
        unroll=Unroll(unroll_steps, unroll_lr) if unroll_steps else None,
    )
    optim = {
        "generator": Optim(lr=lr, betas=(beta1, beta2)),
        "critic": Optim(lr=critic_lr, betas=(beta1, beta2)),
    }
    return Recipe(objective, optim, batch_size=64, conditional=conditional)


@dataclass(frozen=True)
class _Parts:
    """What a generator and its critics have in common."""

    data: DataSpec
    network: str
    size: Size
    context: ContextEncoder
    conditioning: str

    def generator(
        self, latent_dim: int, prior: str, head: SimplexHead, *, norm: str, dropout: float
    ) -> Implicit:
        if norm == "auto":
            norm = "none" if "mlp" in self.network else "batch"
        scaling = Scaling(self.data)
        codes = make_prior(prior, PriorSetting(latent_dim, self.data, scaling))
        network = decoder_factory(self.network)(
            latent_dim,
            self.data.event_shape,
            context=self.context.size,
            size=self.size.with_dropout(dropout),
            norm=norm,
            conditioning=self.conditioning,
        )
        return Implicit(
            self.data,
            prior=codes,
            network=network,
            scaling=scaling,
            context_encoder=self.context,
            head=head,
        )

    def critic(self, *, norm: str, minibatch: str, pack: int) -> Critic:
        network = encoder_factory(self.network)(
            packed_shape(self.data.event_shape, pack),
            1,
            context=self.context.size * pack,
            size=self.size,
            norm=norm,
            conditioning=self.conditioning,
            minibatch=minibatch,
        )
        return Critic(network, Scaling(self.data), pack=pack)


def _head(data: DataSpec, categories: str, temperature: float) -> SimplexHead:
    if categories != "softmax" and not data.blocks:
        raise UsageError(
            f"categories={categories!r} is for tables with categories, booleans or gaps; these rows have none: "
            "leave it out"
        )
    return SimplexHead(data.blocks, categories, temperature)


def _labelled(pair: LossPair, smoothing: float, flips: float) -> LossPair:
    return flipped(smoothed(pair, smoothing) if smoothing else pair, flips)


def _critic_input(augment: str, data: DataSpec, noise: float, noise_steps: int) -> CriticInput:
    """Return the transforms of what critics see: augmentation, then noise."""
    changes = _changes(augment, data)
    augments = [Augment(changes)] if changes else []
    return CriticInput([*augments, *([InstanceNoise(noise, noise_steps)] if noise else [])])


def _changes(augment: str, data: DataSpec) -> Sequence[str]:
    """Return the names of an option such as shift+cutout."""
    if augment == "none":
        return ()
    if not data.is_image:
        raise UsageError(
            f"augment={augment!r} is for images; these rows are of shape {data.event_shape}: leave it out"
        )
    return augment.split("+")


def _check_wasserstein(combined: str, *, bounded: bool) -> None:
    """Raise `UsageError` where the Wasserstein critic's slope has no bound, or constants of critics are compared."""
    if not bounded:
        raise UsageError(
            "loss='wasserstein' has no optimum unless the critic's slope is bounded: set penalty='gradient', "
            "clip_weights, or critic_norm='spectral'"
        )
    if combined != "mean":
        raise UsageError(
            f"combined={combined!r} compares critics' scores, and those of a Wasserstein critic are known up to a "
            "constant: leave combined at mean"
        )


def _check_diversity(diversity: str, data: DataSpec, *, conditional: bool) -> None:
    """Raise `UsageError` where rows of one context are to be compared, and no two rows have the same."""
    measured = (
        [factor.name for factor in data.context if factor.kind in ("real", "text")] if conditional else []
    )
    if measured and diversity in DIVERSITY and matches_contexts(diversity):
        others = " or ".join(name for name in DIVERSITY if not matches_contexts(name))
        raise UsageError(
            f"diversity={diversity!r} compares rows of one context, and no two have the same {measured[0]}, a "
            f"measured number: choose {others}"
        )
