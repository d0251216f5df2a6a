"""Loss pairs of adversarial games, from critic scores.

A score s is a logit: the critic believes a row to be real with probability D = σ(s). Both players *descend*
their loss, and the value of the game is V = −(critic loss). To add a pair, add a record to `LOSS_PAIRS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor
from torch.nn.functional import softplus

from latentia.functional.checks import member


@dataclass(frozen=True)
class LossPair:
    """What the critic and the generator descend; nothing is reduced, so each side keeps its own 1/n.

    Attributes:
        critic: (real scores (B,), fake scores (B',)) → (losses on real rows (B,), losses on fake rows (B',));
            the critic's loss is the sum of their two means.
        generator: fake scores (B',) → losses (B',); the generator's loss is their mean.
    """

    critic: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    generator: Callable[[Tensor], Tensor]


def cross_entropy_critic(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of telling real from fake rows, with D = σ(score).

    real: −log D = softplus(−s); fake: −log(1 − D) = softplus(s)

    With the optimal D = p/(p + q) the two means sum to log 4 − 2 JSD(p, q): log 4 for p = q.

    Args:
        real_scores: (B,) logits of real rows.
        fake_scores: (B',) logits of generated rows.

    Returns:
        (B,) and (B',) nats.

    Reference: Goodfellow et al. (2014), Generative Adversarial Nets, eq. 1, negated; theorem 1.

    Example:
        >>> import torch
        >>> sum(cross_entropy_critic(torch.zeros(1), torch.zeros(1)))  # log 4
        tensor([1.3863])
    """
    return softplus(-real_scores), softplus(fake_scores)


def minimax_generator(fake_scores: Tensor) -> Tensor:
    """Return log(1 − D(G(z))) = −softplus(s), the generator's side of the same game.

    Its slope −D vanishes where the critic is sure that a row is fake (it saturates).

    Args:
        fake_scores: (B',) logits of generated rows.

    Returns:
        (B',) nats.

    Reference: Goodfellow et al. (2014), Generative Adversarial Nets, eq. 1.
    """
    return -softplus(fake_scores)


def non_saturating_generator(fake_scores: Tensor) -> Tensor:
    """Return −log D(G(z)) = softplus(−s): another loss, with the same fixed point and a slope D − 1.

    Args:
        fake_scores: (B',) logits of generated rows.

    Returns:
        (B',) nats.

    Reference: Goodfellow et al. (2014), Generative Adversarial Nets, section 3.
    """
    return softplus(-fake_scores)


LOSS_PAIRS: Mapping[str, LossPair] = MappingProxyType(
    {
        "minimax": LossPair(cross_entropy_critic, minimax_generator),
        "non-saturating": LossPair(cross_entropy_critic, non_saturating_generator),
    }
)


def loss_pair(name: str) -> LossPair:
    """Return a loss pair of `LOSS_PAIRS` by name.

    Raises:
        UnknownNameError: for a name that is not there, with the nearest ones.

    Example:
        >>> loss_pair("non-saturating").generator is non_saturating_generator
        True
    """
    return member(LOSS_PAIRS, name, "loss pair")
