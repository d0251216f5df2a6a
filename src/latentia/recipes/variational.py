"""The variational family: the bound, weighted, annealed, constrained or importance-weighted."""

import dataclasses
from typing import Annotated, Any

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.objectives.vae.constrained import CONSTRAINTS, Constrained, default_limit
from latentia.objectives.vae.importance import ImportanceWeighted
from latentia.objectives.vae.kl_terms import beta_weighted, cyclically_weighted, near_capacity
from latentia.objectives.vae.regularisers import nats_for_free
from latentia.objectives.vae.variational import Variational
from latentia.options import AtLeast, Between, Count, Needs, NonNegative, OneOf, Positive, Whole
from latentia.recipes.shared_options import with_options_of
from latentia.recipes.vae_builder import build_vae
from latentia.registry import recipes

ANNEALINGS = ("linear", "cyclical")


@recipes.register("vae")
@with_options_of(build_vae)
def vae(
    data: DataSpec,
    *,
    draws: Count = 1,
    kl_warmup: Whole = 0,
    reconstruction_scale: Positive = 1.0,
    free_bits: Positive | None = None,
    **options: Any,
) -> Recipe:
    """Variational autoencoder: codes with a Gaussian prior, learned by the evidence lower bound.

    max E_q[log p(x | z)] - KL(q(z | x) ‖ p(z)), with q(z | x) Gaussian with diagonal covariance, p(z) = N(0, I) and
    the KL in closed form by default.

    Args:
        data: what a row is.
        draws: samples of z for each row, averaged in the ELBO (this is not IWAE)
        kl_warmup: steps over which the weight of the KL rises linearly from 0 to 1
        reconstruction_scale: w, weight of E_q[log p(x | z)]: its optimum is that of β = 1/w, and of squared errors that
            of a Gaussian likelihood with σ² = 1/(2w); scores are of w = 1
        free_bits: nats of KL, averaged over rows, that each entry of the code is not penalised for

    References:
        Kingma and Welling (2014), Auto-encoding variational Bayes.
    """
    built = build_vae(data, **options)
    return built.recipe(
        Variational(
            built.model,
            kl_term=beta_weighted(1.0, kl_warmup),
            regulariser=None if free_bits is None else nats_for_free(free_bits),
            reconstruction_scale=reconstruction_scale,
            draws=draws,
        )
    )


@recipes.register("beta-vae")
@with_options_of(build_vae)
def beta_vae(
    data: DataSpec,
    *,
    beta: NonNegative = 4.0,
    capacity: NonNegative | None = None,
    capacity_steps: Annotated[int, AtLeast(0), Needs("capacity")] = 0,
    draws: Count = 1,
    **options: Any,
) -> Recipe:
    """β-VAE: a weight β on the KL, which trades likelihood for simpler codes.

    max E_q[log p(x | z)] - β KL(q(z | x) ‖ p(z)), β fixed, or - β |KL(q(z | x) ‖ p(z)) - C| where a capacity C is
    given. That objective is not a likelihood: scores use β = 1.

    Args:
        data: what a row is.
        beta: weight of the KL, or of its distance to the capacity; 1 is the vae
        capacity: C, target of the KL in nats for a row
        capacity_steps: steps over which C rises from 0
        draws: samples of z for each row, averaged

    References:
        Higgins et al. (2017), β-VAE: learning basic visual concepts with a constrained variational framework; Burgess
        et al. (2018), Understanding disentangling in β-VAE, for the capacity.
    """
    term = beta_weighted(beta) if capacity is None else near_capacity(beta, capacity, capacity_steps)
    built = build_vae(data, **options)
    return built.recipe(Variational(built.model, kl_term=term, draws=draws))


@recipes.register("annealed-vae")
@with_options_of(build_vae)
def annealed_vae(
    data: DataSpec,
    *,
    annealing: Annotated[str, OneOf(ANNEALINGS)] = "linear",
    annealing_steps: Count = 1000,
    annealing_rise: Annotated[float | None, Between(0, 1, "(]"), Needs("annealing", "cyclical")] = None,
    **options: Any,
) -> Recipe:
    """VAE with KL annealing (linear or cyclical), so that the codes are used before the KL penalises them.

    max E_q[log p(x | z)] - β(t) KL(q(z | x) ‖ p(z)), β(t) rising from 0 to 1 with the steps: the final objective is
    the ELBO, unlike that of a β-VAE, whose β is fixed.

    Args:
        data: what a row is.
        annealing: schedule of β; linear rises once, cyclical from 0 again in each cycle
        annealing_steps: steps of the rise, or of a cycle
        annealing_rise: fraction of a cycle in which β rises; default: 0.5

    References:
        Bowman et al. (2016), Generating sentences from a continuous space, section 3.1; Fu et al. (2019), Cyclical
        annealing schedule.
    """
    rise = 0.5 if annealing_rise is None else annealing_rise
    linear = annealing == "linear"
    term = beta_weighted(1.0, annealing_steps) if linear else cyclically_weighted(annealing_steps, rise)
    built = build_vae(data, **options)
    return built.recipe(Variational(built.model, kl_term=term))


@recipes.register("constrained-vae")
@with_options_of(build_vae)
def constrained_vae(
    data: DataSpec,
    *,
    constraint: Annotated[str, OneOf(CONSTRAINTS)] = "kl",
    limit: float | None = None,
    multiplier_lr: Positive = 0.01,
    **options: Any,
) -> Recipe:
    """VAE with a constraint on its KL or on its reconstruction term, instead of a weight β.

    max E_q[log p(x | z)] such that KL(q(z | x) ‖ p(z)) ≤ ε, or min KL such that -E_q[log p(x | z)] ≤ ε, both means over
    rows, by a Lagrange multiplier that ascends while the model descends. Scores use the ELBO, β = 1.

    Args:
        data: what a row is.
        constraint: the term that is limited
        limit: ε in nats for a row; default for the KL: 10
        multiplier_lr: learning rate of the multiplier's Adam

    Raises:
        UsageError: for a constraint without a limit, but for that of the KL.

    References:
        Higgins et al. (2017), β-VAE, equation 3; Rezende and Viola (2018), Taming VAEs.
    """
    epsilon = default_limit(constraint) if limit is None else limit
    built = build_vae(data, **options)
    recipe = built.recipe(Constrained(built.model, constraint, epsilon))
    return dataclasses.replace(
        recipe, optim={"model": Optim(lr=built.lr), "multiplier": Optim(lr=multiplier_lr)}
    )


@recipes.register("iwae")
@with_options_of(build_vae)
def iwae(
    data: DataSpec,
    *,
    samples: Count = 5,
    alpha: float = 0.0,
    doubly_reparameterised: bool = False,
    **options: Any,
) -> Recipe:
    """Importance-weighted autoencoder: a bound that more samples of the code make tighter.

    max E log (1/K) Σ_k p(x, z_k) / q(z_k | x), z_k ~ q(z | x); or another Rényi bound,
    max E 1/(1 - α) log (1/K) Σ_k (p(x, z_k) / q(z_k | x))^(1-α).

    Args:
        data: what a row is.
        samples: K, samples of z for each row
        alpha: α of the Rényi bound: 0 is IWAE, 1 the ELBO
        doubly_reparameterised: use the encoder's gradient estimator of lower variance, for large K

    References:
        Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders; Li and Turner (2016), Rényi divergence
        variational inference; Tucker et al. (2019), Doubly reparameterized gradient estimators for Monte Carlo
        objectives.
    """
    built = build_vae(data, **options)
    return built.recipe(
        ImportanceWeighted(
            built.model,
            samples=samples,
            alpha=alpha,
            doubly_reparameterised=doubly_reparameterised,
        )
    )


@recipes.register("conditional-vae", aliases=("cvae",), labelled=True)
@with_options_of(vae, conditional=True)
def conditional_vae(data: DataSpec, **options: Any) -> Recipe:
    """Conditional VAE: rows given their class, their factors, or the columns of a table named as context.

    max E_q[log p(x | z, c)] - KL(q(z | x, c) ‖ p(z)): encoder and decoder are conditioned on the context c, and
    codes keep what it does not determine.

    Args:
        data: what a row is; its rows have classes, conditions or factors.

    References:
        Kingma, Mohamed, Rezende and Welling (2014), Semi-supervised learning with deep generative models, section
        2.2; Sohn, Lee and Yan (2015), Learning structured output representation using deep conditional generative
        models, with a prior that does not depend on c.
    """
    return vae(data, **options)
