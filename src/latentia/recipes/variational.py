"""The variational family: the bound, weighted, annealed, constrained or importance-weighted."""

from __future__ import annotations

import dataclasses
from typing import Any

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.objectives.vae.constrained import Constrained
from latentia.objectives.vae.importance import ImportanceWeighted
from latentia.objectives.vae.kl_terms import beta_weighted, cyclically_weighted, near_capacity
from latentia.objectives.vae.regularisers import nats_for_free
from latentia.objectives.vae.variational import Variational
from latentia.recipes.shared_options import with_options_of
from latentia.recipes.vae_builder import build_vae
from latentia.registry import check_name, recipes

ANNEALINGS = ("linear", "cyclical")


@recipes.register("vae")
@with_options_of(build_vae)
def vae(
    data: DataSpec,
    *,
    draws: int = 1,
    kl_warmup: int = 0,
    reconstruction_scale: float = 1.0,
    free_bits: float | None = None,
    **options: Any,
) -> Recipe:
    """Variational autoencoder: codes with a Gaussian prior, learned by the evidence lower bound.

    max E_q[log p(x | z)] - KL(q(z | x) ‖ p(z)), with q(z | x) Gaussian with diagonal covariance, p(z) = N(0, I) and
    the KL in closed form, unless other parts are asked for.

    Args:
        data: what a row is.
        draws: draws of z for each row, averaged in the ELBO (this is not IWAE)
        kl_warmup: steps over which the weight of the KL rises from 0 to 1
        reconstruction_scale: w, weight of E_q[log p(x | z)]: its optimum is that of β = 1/w, and of squared errors that
            of a Gaussian likelihood with σ² = 1/(2w); scores are of w = 1
        free_bits: nats of KL that each entry of the code, in the mean over rows, is not charged for

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
    beta: float = 4.0,
    capacity: float | None = None,
    capacity_steps: int = 0,
    draws: int = 1,
    **options: Any,
) -> Recipe:
    """β-VAE: the KL weighs β times, which trades likelihood for codes that are simpler.

    max E_q[log p(x | z)] - β KL(q(z | x) ‖ p(z)), β fixed, or - β |KL(q(z | x) ‖ p(z)) - C| where a capacity C is
    given. That is no likelihood: scores are of β = 1.

    Args:
        data: what a row is.
        beta: weight of the KL, or of its distance to the capacity; 1 is the vae
        capacity: C, nats that the codes of a row are meant to carry
        capacity_steps: steps over which C rises from 0
        draws: draws of z for each row, averaged

    Raises:
        UsageError: for steps without a capacity.

    References:
        Higgins et al. (2017), β-VAE: learning basic visual concepts with a constrained variational framework; Burgess
        et al. (2018), Understanding disentangling in β-VAE, for the capacity.
    """
    if capacity is None and capacity_steps:
        raise UsageError("capacity_steps are those over which a capacity rises: give capacity too")
    term = beta_weighted(beta) if capacity is None else near_capacity(beta, capacity, capacity_steps)
    built = build_vae(data, **options)
    return built.recipe(Variational(built.model, kl_term=term, draws=draws))


@recipes.register("annealed-vae")
@with_options_of(build_vae)
def annealed_vae(
    data: DataSpec,
    *,
    annealing: str = "linear",
    annealing_steps: int = 1000,
    annealing_rise: float | None = None,
    **options: Any,
) -> Recipe:
    """VAE whose KL is let in by degrees, once or in cycles, so that codes are used before they cost anything.

    max E_q[log p(x | z)] - β(t) KL(q(z | x) ‖ p(z)), β(t) rising from 0 to 1 with the steps: at its end the ELBO,
    unlike that of a β-VAE, whose β is fixed.

    Args:
        data: what a row is.
        annealing: linear (once), or cyclical (from 0 again in each cycle)
        annealing_steps: steps of the rise, or of a cycle
        annealing_rise: share of a cycle in which β rises, above 0 and at most 1; 0.5 without

    Raises:
        UsageError: for another annealing, or a share of a cycle where there is none.

    References:
        Bowman et al. (2016), Generating sentences from a continuous space, section 3.1; Fu et al. (2019), Cyclical
        annealing schedule.
    """
    check_name("annealing", annealing, ANNEALINGS)
    if annealing == "linear" and annealing_rise is not None:
        raise UsageError("annealing_rise is a share of a cycle: choose annealing='cyclical'")
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
    constraint: str = "kl",
    limit: float | None = None,
    multiplier_lr: float = 0.01,
    **options: Any,
) -> Recipe:
    """VAE that is given a limit of its KL, or of its reconstruction term, instead of a β.

    max E_q[log p(x | z)] such that KL(q(z | x) ‖ p(z)) ≤ ε, or min KL such that -E_q[log p(x | z)] ≤ ε, both means over
    rows, by a Lagrange multiplier that ascends while the model descends. Scores are of the ELBO, β = 1.

    Args:
        data: what a row is.
        constraint: what is limited: kl or reconstruction
        limit: ε in nats, for a row; of the KL, 10 without
        multiplier_lr: learning rate of the multiplier's Adam

    Raises:
        UsageError: for a constraint of the reconstruction without a limit.

    References:
        Higgins et al. (2017), β-VAE, equation 3; Rezende and Viola (2018), Taming VAEs.
    """
    if limit is None and constraint == "reconstruction":
        raise UsageError("how small -E log p(x | z) can be is the data's: give limit, in nats for a row")
    built = build_vae(data, **options)
    epsilon = 10.0 if limit is None else limit
    recipe = built.recipe(Constrained(built.model, constraint, epsilon))
    return dataclasses.replace(
        recipe, optim={"model": Optim(lr=built.lr), "multiplier": Optim(lr=multiplier_lr)}
    )


@recipes.register("iwae")
@with_options_of(build_vae)
def iwae(
    data: DataSpec,
    *,
    samples: int = 5,
    alpha: float = 0.0,
    doubly_reparameterised: bool = False,
    **options: Any,
) -> Recipe:
    """Importance-weighted autoencoder: a bound that more draws of the code make tighter.

    max E log (1/K) Σ_k p(x, z_k) / q(z_k | x), z_k ~ q(z | x); or another Rényi bound,
    max E 1/(1 - α) log (1/K) Σ_k (p(x, z_k) / q(z_k | x))^(1-α).

    Args:
        data: what a row is.
        samples: K, draws of z for each row
        alpha: α of the Rényi bound: 0 is IWAE, 1 the ELBO
        doubly_reparameterised: take the gradient with respect to the encoder in a form that is less noisy, for large K

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


@recipes.register("conditional-vae", aliases=("cvae",))
@with_options_of(vae, conditional=True)
def conditional_vae(data: DataSpec, **options: Any) -> Recipe:
    """Conditional VAE: rows given their class, their factors, or columns of a table that are named as context.

    max E_q[log p(x | z, c)] - KL(q(z | x, c) ‖ p(z)): encoder and decoder read the context c beside their input, and
    codes keep what it does not tell.

    Args:
        data: what a row is; its rows have classes, conditions or factors.

    References:
        Kingma, Mohamed, Rezende and Welling (2014), Semi-supervised learning with deep generative models, section
        2.2; Sohn, Lee and Yan (2015), Learning structured output representation using deep conditional generative
        models, with a prior that does not depend on c.
    """
    return vae(data, **options)
