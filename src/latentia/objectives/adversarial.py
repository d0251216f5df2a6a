"""Adversarial objectives: a generator learns from a critic that tells its samples from data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import UsageError
from latentia.functional.adversarial import LossPair
from latentia.models.implicit import Implicit
from latentia.networks.critic import Critic


class Adversarial(Objective):
    """Play critic against generator: the critic moves ``critic_steps`` times, then the generator once.

    Args:
        model: the generator.
        critic: scores rows.
        losses: what critic and generator descend, from scores.
        critic_steps: moves of the critic for each move of the generator, on the same real rows and new samples
            (algorithm 1 draws new rows too).
        conditional: whether both are given each row's context.

    References:
        Goodfellow et al. (2014), Generative adversarial nets, algorithm 1.
    """

    model: Implicit
    critic: Critic
    loss_functions: ClassVar[tuple[str, ...]] = ("critic_terms", "generator_loss")

    def __init__(
        self,
        model: Implicit,
        critic: Critic,
        losses: LossPair,
        *,
        critic_steps: int = 1,
        conditional: bool = False,
    ) -> None:
        super().__init__()
        if critic_steps < 1:
            raise UsageError(f"critic_steps must be at least 1; got {critic_steps}")
        self.model = model
        self.critic = critic
        self.losses = losses
        self.even = losses.even
        self.critic_steps = critic_steps
        self.conditional = conditional

    def players(self) -> Mapping[str, nn.Module]:
        """Return the two players."""
        return {"generator": self.model, "critic": self.critic}

    def begin(self, rows: Blocks) -> None:
        """Take from the rows what scaling needs; the critic gets the same."""
        self.model.begin(rows)
        self.critic.scaling.load_state_dict(self.model.scaling.state_dict())

    def step(self, batch: Batch) -> Step:
        """Play one round."""
        context = batch.context if self.conditional else None
        logged: dict[str, Tensor] = {}
        for _ in range(self.critic_steps):
            with torch.no_grad():
                fake = self.model.rsample(len(batch), context)
            real_loss, fake_loss, real_right, fake_right = self.critic_terms(batch.x, fake, context)
            loss = real_loss + fake_loss
            yield "critic", loss
            logged = {
                "critic_loss": loss,
                "critic_loss_real": real_loss,
                "critic_loss_fake": fake_loss,
                "critic_accuracy_real": real_right,
                "critic_accuracy_fake": fake_right,
            }
        loss = self.generator_loss(batch.x, context)
        yield "generator", loss
        return {name: value.detach() for name, value in ({"generator_loss": loss} | logged).items()}

    def critic_terms(
        self, real: Tensor, fake: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the critic's mean losses on real and on fake rows, and the shares of both that it tells right.

        Real and fake rows pass the critic apart, so that no batch statistic mixes them. A row is told right by
        its side of the even score or, where there is none, of the other kind's mean score.
        """
        real_scores, fake_scores = self.critic(real, context), self.critic(fake, context)
        real_loss, fake_loss = self.losses.critic(real_scores, fake_scores)
        above, below = (
            (fake_scores.mean(), real_scores.mean()) if self.even is None else (self.even, self.even)
        )
        shares = (real_scores > above).float().mean(), (fake_scores < below).float().mean()
        return real_loss.mean(), fake_loss.mean(), *shares

    def generator_loss(self, real: Tensor, context: Tensor | None) -> Tensor:
        """Return the generator's mean loss on as many new rows as there are real ones."""
        fake_scores = self.critic(self.model.rsample(len(real), context), context)
        real_scores = self.critic(real, context) if self.losses.relativistic else fake_scores.new_empty(0)
        return self.losses.generator(fake_scores, real_scores).mean()
