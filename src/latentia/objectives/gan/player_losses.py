"""The losses of critics and generator to one another, from views of both sides."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latentia.functional.gan.loss_pairs import LossPair
from latentia.objectives.gan.one_pass import scores_of_both
from latentia.objectives.gan.views import View, ViewScore


class CriticLosses(NamedTuple):
    """What critics make of a batch.

    Attributes:
        real_loss: mean loss on the real side, of several critics the sum: a number, as the next.
        fake_loss: on the generated side.
        scores: (B',) of the real and of the generated side, of each critic.
        even: the score of a row that is as likely real as generated; None where there is none.
    """

    real_loss: Tensor
    fake_loss: Tensor
    scores: tuple[tuple[Tensor, Tensor], ...]
    even: float | None

    @property
    def real_accuracy(self) -> Tensor:
        """Fraction of the real rows that are classified as real, the mean over critics: a number.

        A row is classified correctly by its side of the even score or, where there is none, of the other kind's mean
        score.
        """
        return torch.stack([_above(real, fake, self.even) for real, fake in self.scores]).mean()

    @property
    def fake_accuracy(self) -> Tensor:
        """Fraction of the generated rows that are classified as generated, in the same way."""
        even = None if self.even is None else -self.even
        return torch.stack([_above(-fake, -real, even) for real, fake in self.scores]).mean()


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
    losses: LossPair, score: ViewScore, real: View, fake: View, even: float | None, *, one_pass: bool = False
) -> CriticLosses:
    """Return what one critic makes of both sides.

    ``even`` is `LossPair.even`, which takes long to find and is passed therefore; ``one_pass`` is as in
    `scores_of_both`.
    """
    scores = scores_of_both(score, real, fake, one_pass=one_pass)
    real_loss, fake_loss = losses.critic(*scores)
    return CriticLosses(real_loss.mean(), fake_loss.mean(), (scores,), even)


def of_all_critics(each: Sequence[CriticLosses]) -> CriticLosses:
    """Return the sums of several critics' losses, since each has its own to descend, with the scores of all."""
    if len(each) == 1:
        return each[0]
    return CriticLosses(
        torch.stack([losses.real_loss for losses in each]).sum(),
        torch.stack([losses.fake_loss for losses in each]).sum(),
        tuple(scores for losses in each for scores in losses.scores),
        each[0].even,
    )


def _above(scores: Tensor, others: Tensor, even: float | None) -> Tensor:
    """Return the fraction of scores that are above the even one, or above the mean of others: a number."""
    return (scores > (others.mean() if even is None else even)).float().mean()


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
