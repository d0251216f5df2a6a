"""The game that all adversarial recipes share, with the options that choose its parts."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.distributions.priors import PriorSetting, make_prior
from latentia.errors import UsageError
from latentia.functional.gan.diversity import DIVERSITY, matches_contexts
from latentia.functional.gan.label_noise import flipped, smoothed
from latentia.functional.gan.loss_pairs import LossPair, loss_pair
from latentia.models.implicit import Implicit
from latentia.networks.conditioning import ContextEncoder, context_encoder
from latentia.networks.critic import Critic, packed_shape
from latentia.networks.registry import Size, decoder_factory, encoder_factory, network_name, size_of
from latentia.networks.scaling import Scaling
from latentia.objectives.gan.adversarial import Adversarial
from latentia.objectives.gan.critic_input import Augment, CriticInput, InstanceNoise
from latentia.objectives.gan.critic_penalties import Penalty
from latentia.objectives.gan.replay import Replay
from latentia.objectives.gan.terms import Diversity
from latentia.objectives.gan.unroll import Unroll
from latentia.registry import check_name

PRIORS = ("standard-normal", "uniform")  # those that are not learned: a generator moves its network alone


def build_gan(
    data: DataSpec,
    *,
    latent_dim: int = 64,
    prior: str = "standard-normal",
    network: str = "auto",
    hidden: int = 256,
    layers: int = 2,
    width: int = 64,
    norm: str = "auto",
    critic_norm: str = "none",
    dropout: float = 0.0,
    loss: str = "non-saturating",
    critic_steps: int = 1,
    reuse_samples: bool = False,
    penalty: str = "none",
    penalty_weight: float | None = None,
    penalty_every: int = 1,
    clip_weights: float | None = None,
    label_smoothing: float = 0.0,
    label_flips: float = 0.0,
    instance_noise: float = 0.0,
    instance_noise_steps: int = 0,
    augment: str = "none",
    replay: int = 0,
    critics: int = 1,
    combined: str = "mean",
    pack: int = 1,
    minibatch: str = "none",
    unroll_steps: int = 0,
    unroll_lr: float = 0.01,
    diversity: str = "none",
    diversity_weight: float = 1.0,
    conditional: bool = False,
    conditioning: str = "concatenation",
    lr: float = 2e-4,
    critic_lr: float = 2e-4,
    beta1: float = 0.5,
    beta2: float = 0.999,
) -> Recipe:
    """Build a generator, its critics and the game that they play, from the names of the parts.

    Args:
        data: what a row is.
        latent_dim: entries of the code z
        prior: p(z): standard-normal, or uniform on [-1, 1]
        network: mlp, gated-mlp, maxout-mlp, conv (images from 8×8, after DCGAN), resnet (images), or auto (conv for
            images, else mlp)
        hidden: units of each hidden layer (mlp, gated-mlp, maxout-mlp)
        layers: hidden layers (the same)
        width: feature maps at the widest image (conv, resnet), doubled at each halving
        norm: the generator's normalisation: none, batch, or auto (batch for conv and resnet)
        critic_norm: the critic's normalisation: none, batch (not of resnet, nor with a penalty) or spectral
        dropout: share of the generator's hidden units or feature maps that are dropped in training
        loss: non-saturating, minimax (whose gradient dies where the critic is sure), least-squares, hinge,
            wasserstein (with a penalty, clip_weights or critic_norm="spectral"), relativistic-average,
            relativistic-paired, or an f-divergence's, as kl, alpha(0.5) or non-saturating-kl
        critic_steps: moves of the critic for each move of the generator, on the same real rows and new samples
        reuse_samples: whether the generator's move is judged on the samples of the critic's last move, which saves a
            forward pass, and not on new ones
        penalty: on the critic's gradient: none, gradient (WGAN-GP), one-sided-gradient, r1, r2, r1-r2 or dragan
        penalty_weight: of the penalty; without, 10, or 1 for r1, r2 and r1-r2, which are to be tuned to the data
        penalty_every: steps from one penalty to the next, each with so many times the weight (lazy regularisation)
        clip_weights: c, where the critic's weights are kept in [-c, c]
        label_smoothing: weight with which the critic takes real rows for fake (one-sided)
        label_flips: share of rows whose kind the critic is told wrong
        instance_noise: deviation of noise on all that the critic sees, in units of the scaled rows
        instance_noise_steps: steps in which that noise fades to 0; 0 keeps it
        augment: random changes of all images that the critic sees: none, or some of colour, shift and cutout joined
            by +, as shift+cutout
        replay: earlier samples that the critic sees again
        critics: number of critics
        combined: how the generator weighs several critics: mean, softmax or hardest
        pack: rows that the critic judges together (PacGAN)
        minibatch: what the critic is told of a row's batch: none, discrimination (distances to its other rows) or
            deviation (its spread)
        unroll_steps: steps of the critic that the generator looks ahead
        unroll_lr: size of those steps
        diversity: what the generator descends beside its loss: none, mode-seeking, distance-ratio, gdpp or
            pulling-away
        diversity_weight: of that
        conditional: learn p(x | class) from labelled data
        conditioning: how the class enters: concatenation, or projection (in the critic; a generator with batch norm
            then has it conditional)
        lr: learning rate of the generator's Adam
        critic_lr: learning rate of the critic's Adam
        beta1: decay rate of Adam's average of gradients, for both
        beta2: decay rate of Adam's average of squared gradients, for both

    Raises:
        UsageError: for options that mean nothing together.
    """
    require(data, "a generator", ("binary", "discrete", "unit", "real"))
    _refuse_unused(
        {
            "penalty_weight": (penalty_weight, penalty != "none", "penalty"),
            "penalty_every": (penalty_every, penalty != "none", "penalty"),
            "instance_noise_steps": (instance_noise_steps, bool(instance_noise), "instance_noise"),
            "combined": (combined, critics > 1, "critics"),
            "unroll_lr": (unroll_lr, bool(unroll_steps), "unroll_steps"),
            "diversity_weight": (diversity_weight, diversity != "none", "diversity"),
            "conditioning": (conditioning, conditional, "conditional"),
        }
    )
    if loss == "wasserstein":
        bounded = penalty != "none" or clip_weights is not None or critic_norm == "spectral"
        _check_wasserstein(combined, bounded=bounded)
    if critics < 1 or pack < 1:
        raise UsageError(f"critics and pack must be at least 1; got {critics} and {pack}")
    _check_diversity(diversity, data, conditional=conditional)
    network = network_name(network, data)
    size = size_of(network, Size(hidden, layers, width), build_gan)
    parts = _Parts(data, network, size, context_encoder(data, conditional), conditioning)
    objective = Adversarial(
        parts.generator(latent_dim, prior, norm=norm, dropout=dropout),
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

    def generator(self, latent_dim: int, prior: str, *, norm: str, dropout: float) -> Implicit:
        check_name("prior of a generator", prior, PRIORS)
        if norm == "auto":
            norm = "none" if "mlp" in self.network else "batch"
        scaling = Scaling(self.data)
        law = make_prior(prior, PriorSetting(latent_dim, self.data, scaling))
        network = decoder_factory(self.network)(
            latent_dim,
            self.data.event_shape,
            context=self.context.size,
            size=self.size.with_dropout(dropout),
            norm=norm,
            conditioning=self.conditioning,
        )
        return Implicit(self.data, prior=law, network=network, scaling=scaling, context_encoder=self.context)

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


def _refuse_unused(options: Mapping[str, tuple[Any, bool, str]]) -> None:
    """Raise `UsageError` for an option that was asked for without the one that gives it a meaning."""
    for name, (value, used, owner) in options.items():
        if not used and value != inspect.signature(build_gan).parameters[name].default:
            raise UsageError(
                f"{name}={value!r} is for {owner}, which is off: set {owner}, or leave {name} out"
            )
