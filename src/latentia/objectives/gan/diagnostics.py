"""Diagnostics of an adversarial game, from the scores and rows that a step computes anyway."""

import math
from functools import cache

import torch
from torch import Tensor

from latentia.functional.gan.loss_pairs import LossPair
from latentia.functional.gan.losses import twice_jsd_terms

EVERY = 10  # steps from one diagnosis to the next, so that all of them cost about a hundredth of a small game's time
MOST = 64  # rows that are compared pair by pair

_CONFIDENT = math.log(99)  # a logit beyond which σ is within 0.01 of 0 or 1
_FLAT = 1e-3  # what a loss with a σ changes at most between the logits 10 and 20
_MARGIN = 0.1  # of the real rows' range, by which a sample may leave that of a small batch


def is_due(step: int) -> bool:
    """Whether a step, by how many were done before it, is one that is diagnosed."""
    return step % EVERY == 0


@torch.no_grad()
def diagnosis(
    real_scores: Tensor, fake_scores: Tensor, real: Tensor, fake: Tensor, losses: LossPair
) -> dict[str, Tensor]:
    """Return what to log of a step: how confident the critic is, and how samples compare with data.

    Args:
        real_scores: (B,) of real rows.
        fake_scores: (B',) of generated rows.
        real: (B, *event) real rows, scaled as networks read them, before noise and packing; the first 64 are looked at.
        fake: (B, *event) generated rows, in the same way.
        losses: the game's loss pair, which says what a score means.

    Returns:
        ``sample_diversity``, ``range_outside`` and ``range_covered``, see the functions; ``critic_saturated`` where
        scores or their differences are logits; ``twice_jsd_bound`` (nats) where scores are. The bound is for the
        distributions that the critic reads: of packs of rows where it judges packs, of noisy rows where there is noise.

    Example:
        >>> from latentia.functional.gan.loss_pairs import loss_pair
        >>> x = torch.tensor([[0.0], [1.0], [2.0]])
        >>> found = diagnosis(torch.zeros(3), torch.zeros(3), x, x / 2, loss_pair("minimax"))
        >>> {name: round(float(value), 4) for name, value in found.items()}["sample_diversity"]
        0.5
    """
    real, fake = (rows[:MOST].flatten(1).float() for rows in (real, fake))
    found = {"sample_diversity": sample_diversity(real, fake)}
    found["range_outside"], found["range_covered"] = ranges(real, fake)
    logits = logits_of(real_scores.float(), fake_scores.float(), losses)
    if logits is not None:
        found["critic_saturated"] = saturated(torch.cat(logits))
    if logits is not None and not losses.relativistic:
        of_real, of_fake = twice_jsd_terms(*logits)
        found["twice_jsd_bound"] = of_real.mean() + of_fake.mean()
    return found


def sample_diversity(real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean distance between pairs of generated rows over that of real rows; 1 where these do not differ.

    Args:
        real: (n, d) rows.
        fake: (m, d) rows.

    Example:
        >>> sample_diversity(torch.tensor([[0.0], [2.0]]), torch.tensor([[5.0], [5.5]]))
        tensor(0.2500)
    """
    apart = _mean_distance(real)
    return torch.where(apart > 0, _mean_distance(fake) / apart, torch.ones_like(apart))


def ranges(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return the fraction of generated entries outside the real rows' range, and the fraction of it that they span.

    The range goes from the smallest to the largest of all entries; out of it is what is a tenth of it away. A network
    that ends in tanh where the data is in [0, 1] puts entries outside; one that ends in a sigmoid where the data is in
    [−1, 1] spans half.

    Args:
        real: (n, d) rows, of entries in one scale.
        fake: (m, d) rows.

    Example:
        >>> ranges(torch.tensor([[0.0], [1.0]]), torch.tensor([[-1.0], [0.5]]))
        (tensor(0.5000), tensor(0.5000))
    """
    (low, high), (least, most) = real.aminmax(), fake.aminmax()
    width = high - low
    margin = _MARGIN * width
    outside = ((fake < low - margin) | (fake > high + margin)).float().mean()
    common = (torch.minimum(most, high) - torch.maximum(least, low)).clamp(min=0)
    return outside, torch.where(width > 0, common / width, torch.ones_like(width))


def logits_of(real_scores: Tensor, fake_scores: Tensor, losses: LossPair) -> tuple[Tensor, Tensor] | None:
    """Return logits of being real, of real and of generated rows: scores, their differences, or None.

    A score is a logit where the best critic's is log p/q and the losses are flat where it is confident. Relativistic
    losses read differences of scores: each row's is taken from the mean of the other kind, as its accuracy is. In least
    squares, hinge, Wasserstein and the other f-divergences there is no σ that could saturate.

    Example:
        >>> from latentia.functional.gan.loss_pairs import loss_pair
        >>> logits_of(torch.ones(1), torch.zeros(1), loss_pair("hinge")) is None
        True
    """
    if losses.relativistic:
        return real_scores - fake_scores.mean(), fake_scores - real_scores.mean()
    return (real_scores, fake_scores) if _reads_logits(losses.true_labels or losses) else None


def saturated(logits: Tensor) -> Tensor:
    """Return the fraction of logits whose σ is within 0.01 of 0 or 1, where it is saturated.

    Example:
        >>> saturated(torch.tensor([-5.0, 0.0, 4.0, 6.0]))
        tensor(0.5000)
    """
    return (logits.abs() > _CONFIDENT).float().mean()


@cache
def _reads_logits(losses: LossPair) -> bool:
    ratios = torch.tensor([-2.0, 0.0, 2.0])
    best = None if losses.optimal_critic is None else losses.optimal_critic(ratios)
    if best is None or not torch.equal(best, ratios):
        return False
    confident = torch.tensor([10.0, 20.0])
    return all(bool(each.diff().abs() < _FLAT) for each in losses.critic(confident, -confident))


def _mean_distance(rows: Tensor) -> Tensor:
    """Return the mean distance between pairs of rows; 0 of a single one."""
    distances = torch.pdist(rows)
    return distances.sum() / max(1, len(distances))
