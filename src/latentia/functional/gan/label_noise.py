"""Label noise: loss pairs whose critic learns from smoothed or flipped labels.

Where the best critic of a pair is a function of p/q, that of the new pair is too: the same one for the distributions of
the rows that are *labelled* real and fake. Values at the optimum are no longer those of the game, and are left out.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import softplus

from latentia.errors import UsageError
from latentia.functional.gan.loss_pairs import CriticLoss, LossPair
from latentia.functional.gan.losses import wasserstein_critic


def smoothed(pair: LossPair, rate: float) -> LossPair:
    """Return the pair whose critic takes each real row for real with weight 1 − ε and for fake with weight ε.

    For the cross-entropy this is one-sided label smoothing, the target 1 − ε of real rows; the fake rows' target stays
    0, since a second-sided smoothing would have the critic raise what the generator makes already. For least squares it
    has the gradient of the target 1 − ε. The best critic is that of (1 − ε)p against q + εp.

    Args:
        pair: any loss pair but the Wasserstein one.
        rate: ε, at least 0 and below ½.

    Raises:
        UsageError: for another rate; for the Wasserstein pair, which has no labels: with real rows of less weight than
            fake ones, adding a constant to all scores would lower its loss without end.

    Reference: Salimans et al. (2016), Improved techniques for training GANs, section 3.4.

    Example:
        >>> from latentia.functional.gan.loss_pairs import loss_pair
        >>> smoothed(loss_pair("non-saturating"), 0.1).critic(torch.tensor([2.0]), torch.tensor([2.0]))
        (tensor([0.3269]), tensor([2.1269]))
    """
    _below_half("label smoothing", rate)
    if pair.critic is wasserstein_critic:
        raise UsageError(
            "label smoothing is for losses with labels, and wasserstein has none: leave label_smoothing out"
        )

    def critic(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
        real, fake = pair.critic(real_scores, fake_scores)
        real_as_fake = pair.critic(fake_scores, real_scores)[1]
        return torch.lerp(real, real_as_fake, rate), fake

    def called(log_ratio: Tensor) -> Tensor:
        """Return log (1 − ε)p / (q + εp)."""
        return math.log1p(-rate) + log_ratio - softplus(log_ratio + math.log(rate))

    return _with_critic(pair, critic, called) if rate else pair


def flipped(pair: LossPair, rate: float, generator: torch.Generator | None = None) -> LossPair:
    """Return the pair whose critic learns the wrong label of each row, real or fake, with some probability.

    In the mean the losses are (1 − ε) times those of the right kind and ε times those of the wrong one; the best critic
    is that of (1 − ε)p + εq against (1 − ε)q + εp.

    Args:
        pair: any loss pair.
        rate: ε, at least 0 and below ½.
        generator: draws the rows, on the scores' device; torch's own where None.

    Raises:
        UsageError: for another rate.

    Reference: Chintala et al. (2016), How to train a GAN? Tips and tricks, number 6.
    """
    _below_half("label flips", rate)

    def wrong(scores: Tensor) -> Tensor:
        return torch.rand(scores.shape, generator=generator, device=scores.device) < rate

    def critic(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
        real, fake = pair.critic(real_scores, fake_scores)
        fake_as_real, real_as_fake = pair.critic(fake_scores, real_scores)
        return (
            torch.where(wrong(real), real_as_fake, real),
            torch.where(wrong(fake), fake_as_real, fake),
        )

    def called(log_ratio: Tensor) -> Tensor:
        """Return log ((1 − ε)p + εq) / ((1 − ε)q + εp)."""
        odds = math.log1p(-rate) - math.log(rate)
        return softplus(log_ratio + odds) - softplus(log_ratio - odds) - odds

    return _with_critic(pair, critic, called) if rate else pair


def _with_critic(pair: LossPair, critic: CriticLoss, called: Callable[[Tensor], Tensor]) -> LossPair:
    """Return the pair with another critic's loss; ``called``: log p/q → that of the rows by their labels."""
    best = pair.optimal_critic
    closed = None if best is None or pair.relativistic else lambda log_ratio: best(called(log_ratio))
    return replace(
        pair,
        critic=critic,
        optimal_critic=closed,  # of comparisons of pairs none remains
        value_at_optimum=None,
        true_labels=pair.true_labels or pair,
    )


def _below_half(what: str, rate: float) -> None:
    if not 0 <= rate < 0.5:
        raise UsageError(f"{what} must be a rate from 0 to below 0.5; got {rate}")
