"""What the critics of an adversarial training learned: a density ratio, and a representation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentia.core.model import Generative, HasCritic
from latentia.core.objective import Objective
from latentia.errors import UsageError
from latentia.functional.gan.loss_pairs import LARGEST_LOG_RATIO, LossPair
from latentia.functional.gan.rejection import rejection_sample
from latentia.metrics.evaluation import scoring
from latentia.models.critic_features import CriticFeatures
from latentia.networks.critic import Critic, minibatch_layers


@dataclass(frozen=True, eq=False)
class CriticReading:
    """Critics that were trained with a loss, read after the training.

    Attributes:
        critics: all that there are.
        losses: what they descended, which says what a score means.
    """

    critics: tuple[Critic, ...]
    losses: LossPair

    @classmethod
    def of(cls, objective: Objective) -> CriticReading:
        """Return the reading of a training's critics.

        Raises:
            UsageError: for a training without critics.
        """
        if not isinstance(objective, HasCritic):
            raise UsageError(
                f"{type(objective).__name__} has no critic; adversarial recipes, such as gan, have one"
            )
        critics = tuple(objective.row_critics())
        if not critics:
            raise UsageError(
                f"the critic of {type(objective).__name__} does not score rows alone: it has no ratio and no features "
                "of rows"
            )
        return cls(critics, objective.losses)

    def features(self, layer: str | None = None) -> CriticFeatures:
        """Return the first critic as an encoder of rows: by what its last layer reads, or by a layer's name.

        Raises:
            UsageError: for a critic of packs, and a layer that its network does not have.
        """
        return CriticFeatures(self.critics[0], layer).eval()

    def log_ratio(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return log p(x)/q(x) of rows as the critics have it, their mean where there are several: (B,) nats.

        p is the distribution of the data, q that of the samples; the ratio is exact for an optimal critic. Both are
        what the critics read: with instance noise or augmentation the distributions of changed rows, and with ema q is
        that of the generator in training, not of its average.

        Raises:
            UsageError: for a loss without one, for critics of packs and for those with a minibatch layer. With
                batch norm, which reads running averages of both kinds of rows, the ratio is a rougher one.
        """
        ratios = [self._ratio_of(critic, x, context) for critic in self.critics]
        return torch.stack(ratios).mean(0)

    def sample(
        self,
        model: Generative,
        n: int,
        context: Tensor | None = None,
        *,
        quantile: float | None = None,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Tensor:
        """Draw n rows of a model, of which those are kept that the critics' ratio keeps: see `rejection_sample`.

        A score beyond those of any ratio, as above 1 in least squares, counts as the greatest ratio met so far.

        Args:
            model: the generator.
            n: number of rows.
            context: (n, c) the same for all rows, for conditional models.
            quantile: of the shift γ; None is 0, exact where the ratio is.
            generator: where randomness comes from; torch's global state without one.
            options: the model's own sampling options.

        Raises:
            UsageError: where the critics have no ratio, contexts differ, or too few rows are kept.
        """
        if context is not None and bool((context != context[0]).any()):
            raise UsageError(
                "rejection holds rows of one condition against each other: give one value, not several"
            )

        def given(m: int) -> Tensor | None:
            return None if context is None else context[:1].expand(m, -1)

        return rejection_sample(
            lambda m: model.sample(m, given(m), generator=generator, **options),
            _capped(lambda rows: self.log_ratio(rows, given(len(rows)))),
            n,
            quantile=quantile,
            generator=generator,
        ).rows

    def _ratio_of(self, critic: Critic, x: Tensor, context: Tensor | None) -> Tensor:
        if critic.pack > 1:
            raise UsageError(
                f"this critic scores packs of {critic.pack} rows: it has no ratio of single rows"
            )
        if minibatch_layers(critic):
            raise UsageError(
                f"this critic's score of a row depends on its batch, by {minibatch_layers(critic)[0]}: "
                "it has no ratio of single rows"
            )
        with scoring(critic):
            scores = [critic(rows, _part(context, part)) for rows, part in _blocks(x)]
        return self.losses.log_ratio(torch.cat(scores))


def _capped(log_ratio: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return log-ratios in which scores beyond those of any ratio count as the greatest ratio met so far."""
    greatest = -LARGEST_LOG_RATIO

    def capped(rows: Tensor) -> Tensor:
        nonlocal greatest
        ratios = log_ratio(rows)
        finite = ratios[ratios < 0.99 * LARGEST_LOG_RATIO]  # which bisection reaches to some digits
        greatest = max([greatest, *finite.tolist()])
        return ratios.clamp(max=greatest)

    return capped


def _blocks(x: Tensor, size: int = 1000) -> list[tuple[Tensor, slice]]:
    parts = [slice(start, start + size) for start in range(0, len(x), size)]
    return [(x[part], part) for part in parts]


def _part(context: Tensor | None, part: slice) -> Tensor | None:
    return None if context is None else context[part]
