"""The losses of critics and generator to one another, from views of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latentia.functional.gan.loss_pairs import LossPair
from latentia.objectives.gan.views import View, ViewScore


class CriticLosses(NamedTuple):
    """What critics make of a batch.

    Attributes:
        real_loss: mean loss on the real side, of several critics the sum: a number, as the next three.
        fake_loss: on the generated side.
        real_accuracy: fraction of the real rows that are classified as real.
        fake_accuracy: fraction of the generated rows that are classified as generated.
        real_scores: (B',) of the first critic.
        fake_scores: (B',) of the first critic.
    """

    real_loss: Tensor
    fake_loss: Tensor
    real_accuracy: Tensor
    fake_accuracy: Tensor
    real_scores: Tensor
    fake_scores: Tensor


class GeneratorLosses(NamedTuple):
    """What the generator descends.

    Attributes:
        game: its loss to the critics: one number.
        terms: of each of the generator's terms, one number.
    """

    game: Tensor
    terms: tuple[Tensor, ...]

    def total(self) -> Tensor:
        """Return their sum: one number."""
        return sum(self.terms, start=self.game)


def critic_losses(
    losses: LossPair, score: ViewScore, real: View, fake: View, even: float | None
) -> CriticLosses:
    """Return what one critic makes of both sides.

    A row is classified correctly by its side of the even score or, where there is none, of the other kind's mean score.
    That score is `LossPair.even`, which takes long to find and is passed therefore.
    """
    real_scores, fake_scores = score(real), score(fake)
    real_loss, fake_loss = losses.critic(real_scores, fake_scores)
    above, below = (fake_scores.mean(), real_scores.mean()) if even is None else (even, even)
    return CriticLosses(
        real_loss.mean(),
        fake_loss.mean(),
        (real_scores > above).float().mean(),
        (fake_scores < below).float().mean(),
        real_scores,
        fake_scores,
    )


def of_all_critics(each: Sequence[CriticLosses]) -> CriticLosses:
    """Return the sums of several critics' losses, since each has its own to descend, and their mean accuracies."""
    if len(each) == 1:
        return each[0]
    first = each[0]
    return CriticLosses(
        torch.stack([losses.real_loss for losses in each]).sum(),
        torch.stack([losses.fake_loss for losses in each]).sum(),
        torch.stack([losses.real_accuracy for losses in each]).mean(),
        torch.stack([losses.fake_accuracy for losses in each]).mean(),
        first.real_scores,
        first.fake_scores,
    )


def generator_loss(
    losses: LossPair, score: ViewScore, real: View, fake: View, *, two_sided: bool = False
) -> Tensor:
    """Return the generator's mean loss to one critic: one number.

    Args:
        losses: the game's pair.
        score: the critic's.
        real: the real side; it is not scored unless the pair is relativistic or the game is two-sided.
        fake: the generated side.
        two_sided: whether an encoder moves with the generator: the pair's `encoder_loss` on the real side is added.
    """
    fake_scores = score(fake)
    real_scores = score(real) if losses.relativistic or two_sided else fake_scores.new_empty(0)
    loss = losses.generator(fake_scores, real_scores).mean()
    return loss + losses.encoder_loss(real_scores).mean() if two_sided else loss
