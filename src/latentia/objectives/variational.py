"""Variational objectives: raise a lower bound of log p(x)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import kl_divergence

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import UsageError
from latentia.functional.schedules import warmup
from latentia.models.latent import LatentVariable, RelaxedLatentVariable


class Variational(Objective):
    """Raise the evidence lower bound by one player, the model.

    loss = -E_q[log p(x | z)] + β KL(q(z | x) ‖ p(z)), the mean over rows, in nats; β rises linearly from 0 to 1
    over ``kl_warmup`` steps, and scores use β = 1 always.

    Args:
        model: what is learned.
        draws: S, draws of z for each row, whose terms are averaged (the ELBO with less variance; not IWAE).
        kl_warmup: steps over which β rises; 0 begins at 1.
        conditional: whether the model is given each row's context.

    References:
        Kingma and Welling (2014), Auto-encoding variational Bayes, equations 3 and 7; Bowman et al. (2016), for
        the warm-up.
    """

    model: LatentVariable | RelaxedLatentVariable
    loss_functions: ClassVar[tuple[str, ...]] = ("terms",)

    def __init__(
        self,
        model: LatentVariable | RelaxedLatentVariable,
        *,
        draws: int = 1,
        kl_warmup: int = 0,
        conditional: bool = False,
    ) -> None:
        super().__init__()
        if draws < 1:
            raise UsageError(f"draws must be at least 1; got {draws}")
        if kl_warmup < 0:
            raise UsageError(f"kl_warmup must be at least 0 steps; got {kl_warmup}")
        self.model = model
        self.draws = draws
        self.kl_warmup = kl_warmup
        self.conditional = conditional

    def players(self) -> Mapping[str, nn.Module]:
        """Return the one player."""
        return {"model": self.model}

    def begin(self, rows: Blocks) -> None:
        """Take from the rows what the model's scaling needs."""
        self.model.begin(rows)

    def step(self, batch: Batch) -> Step:
        """Descend the loss once."""
        beta = warmup(int(self.clock), self.kl_warmup)
        reconstruction, kl = self.terms(batch.x, batch.context if self.conditional else None)
        loss = beta * kl - reconstruction
        yield "model", loss
        logged = {"loss": loss, "reconstruction": reconstruction, "kl": kl, "elbo": reconstruction - kl}
        return {name: value.detach() for name, value in logged.items()} | {"beta": beta}

    def terms(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return E_q[log p(x | z)] and KL(q(z | x) ‖ p(z)), each a mean over rows, in nats."""
        posterior = self.model.encode(x, context)
        z = posterior.rsample(torch.Size((self.draws,)))
        reconstruction = self.model.reconstruction(z, x, context)
        return reconstruction.mean(), kl_divergence(posterior, self.model.prior()).mean()
