"""The ELBO as a constrained problem, with the Lagrange multiplier as a player."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.distributions.posteriors import sample_and_kl
from latentia.errors import UsageError
from latentia.models.latent_variable import LatentVariable, RelaxedLatentVariable
from latentia.objectives.vae.variational import refuse_uniform_prior
from latentia.registry import Registry, check_name, constraints

Constraint = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(E_q log p(x | z), KL(q(z | x) ‖ p(z))), means over rows: (), → what is minimised, and what is limited, ().

The decorator's facts say of the limit: ``limit``, its default, where it has one; ``positive``, whether it is above 0.
"""
CONSTRAINTS: Registry[Constraint] = constraints


@constraints.register("kl", limit=10.0, positive=True)
def limited_kl(reconstruction: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
    """The reconstruction term, with a limit of the KL."""
    return -reconstruction, kl


@constraints.register("reconstruction")
def limited_reconstruction(reconstruction: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
    """The KL, with a limit of the negative reconstruction term."""
    return kl, -reconstruction


def default_limit(constraint: str) -> float:
    """Return the limit of a constraint where none is given.

    Raises:
        UsageError: for one without a default.
    """
    limit = CONSTRAINTS.facts(constraint).get("limit")
    if limit is None:
        raise UsageError(f"how small the {constraint} can be is the data's: give limit, in nats for a row")
    return limit


class Multiplier(nn.Module):
    """A Lagrange multiplier of an inequality: λ = softplus(r) > 0, initially 1."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor(math.log(math.e - 1)))

    def forward(self) -> Tensor:
        """Return λ: ()."""
        return softplus(self.raw)


class Constrained(Objective):
    """Find a saddle point of a Lagrangian: the model minimises it and the multiplier maximises it, simultaneously.

    With D = −E_q log p(x | z) and R = KL(q(z | x) ‖ p(z)), means over rows, in nats:
    constraint "kl": min D such that R ≤ ε, by D + λ (R − ε);
    constraint "reconstruction": min R such that D ≤ ε, by R + λ (D − ε);
    another that is registered in `latentia.registry.constraints`: its two functions of D and R.

    At a solution the model is optimal for a β-VAE with β = λ for the first constraint and 1/λ for the second: β is
    found from the limit. The logged elbo and all scores have β = 1.

    Args:
        model: the model.
        constraint: the limited quantity, kl, reconstruction or another that is registered.
        limit: ε, in nats.

    Raises:
        UsageError: for an unknown constraint, a limit of the KL that is not positive, or a uniform prior.

    References:
        Higgins et al. (2017), β-VAE, equation 3, for the KL; Rezende and Viola (2018), Taming VAEs, equation 3, for the
        reconstruction.
    """

    model: LatentVariable | RelaxedLatentVariable
    loss_functions: tuple[str, ...] = ("terms",)

    def __init__(
        self,
        model: LatentVariable | RelaxedLatentVariable,
        constraint: str,
        limit: float,
    ) -> None:
        super().__init__()
        check_name("constraint", constraint, CONSTRAINTS)
        if not math.isfinite(limit) or (CONSTRAINTS.facts(constraint).get("positive") and limit <= 0):
            raise UsageError(f"limit must be finite, and that of a KL above 0; got {limit}")
        refuse_uniform_prior(model)
        self.model = model
        self.multiplier = Multiplier()
        self.constraint = constraint
        self.limit = limit
        if model.refinement is not None:
            self.loss_functions = ()  # double differentiation runs eagerly

    def players(self) -> Mapping[str, nn.Module]:
        """Return the two players."""
        return {"model": self.model, "multiplier": self.multiplier}

    def begin(self, rows: Blocks) -> None:
        """Initialise the model's scaling and prior from the rows."""
        self.model.begin(rows)

    def step(self, batch: Batch) -> Step:
        """Update both players once, with gradients at the same point."""
        reconstruction, kl = self.terms(batch.x, self.context_of(batch))
        objective, limited = CONSTRAINTS[self.constraint](reconstruction, kl)
        excess, multiplier = limited - self.limit, self.multiplier()
        loss = objective + multiplier.detach() * excess
        yield {"model": loss, "multiplier": -multiplier * excess.detach()}
        logged = {"loss": loss, "reconstruction": reconstruction, "kl": kl, "elbo": reconstruction - kl}
        logged |= {"multiplier": multiplier, "excess": excess}
        return {name: value.detach() for name, value in logged.items()}

    def terms(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return E_q[log p(x | z)] and KL(q(z | x) ‖ p(z)), means over rows, in nats."""
        z, kl = sample_and_kl(self.model.encode(x, context), self.model.prior_distribution(), 1)
        return self.model.reconstruction(z, x, context).mean(), kl.mean()
