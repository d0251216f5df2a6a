"""Losses of critic and generator, from scores without bound; both players descend theirs.

Generators are named after the game; each reads the scores of its own rows only. In the cross-entropy losses a
score is a logit: the critic believes a row to be real with probability D = σ(s).
"""

import math

from torch import Tensor
from torch.nn.functional import logsigmoid, relu, softplus


def cross_entropy_critic(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of classifying real and fake rows, with D = σ(score).

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

    Its slope −D vanishes where the critic is confident that a row is fake (it saturates).

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


def least_squares_critic(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the squared distance of scores to the labels 1 (real) and 0 (generated).

    real: ½(s − 1)²; fake: ½s²

    Args:
        real_scores: (B,) scores of real rows; near 1 where the critic is confident, and no logits.
        fake_scores: (B',) scores of generated rows.

    Returns:
        (B,) and (B',).

    Reference: Mao et al. (2017), Least Squares Generative Adversarial Networks, eq. 2 with a = 0, b = 1.

    Example:
        >>> import torch
        >>> least_squares_critic(torch.ones(1), torch.ones(1))
        (tensor([0.]), tensor([0.5000]))
    """
    return (real_scores - 1).square() / 2, fake_scores.square() / 2


def least_squares_generator(fake_scores: Tensor) -> Tensor:
    """Return ½(s − 1)²: the generator wants the label c = 1.

    Args:
        fake_scores: (B',) scores of generated rows.

    Returns:
        (B',).

    Reference: Mao et al. (2017), Least Squares Generative Adversarial Networks, eq. 2 with c = 1.
    """
    return (fake_scores - 1).square() / 2


def hinge_critic(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the hinge losses: scores beyond the margin ±1 cost nothing.

    real: max(0, 1 − s); fake: max(0, 1 + s). The generator descends −s, as in `wasserstein_generator`.

    Args:
        real_scores: (B,) scores of real rows.
        fake_scores: (B',) scores of generated rows.

    Returns:
        (B,) and (B',).

    Reference: Lim & Ye (2017), Geometric GAN; Miyato et al. (2018), Spectral Normalization for Generative
    Adversarial Networks.

    Example:
        >>> import torch
        >>> hinge_critic(torch.tensor([0.5]), torch.tensor([-2.0]))
        (tensor([0.5000]), tensor([0.]))
    """
    return relu(1 - real_scores), relu(1 + fake_scores)


def wasserstein_critic(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return −s on real and s on generated rows; the value is W₁ for the best of the 1-Lipschitz critics.

    Without a constraint on the critic (`latentia.functional.gan.penalties`) the loss has no lower end.

    Args:
        real_scores: (B,) scores of real rows.
        fake_scores: (B',) scores of generated rows.

    Returns:
        (B,) and (B',) data units, where the critic is 1-Lipschitz.

    Reference: Arjovsky, Chintala & Bottou (2017), Wasserstein GAN, eq. 2 (Kantorovich-Rubinstein), negated.

    Example:
        >>> import torch
        >>> wasserstein_critic(torch.tensor([3.0]), torch.tensor([1.0]))
        (tensor([-3.]), tensor([1.]))
    """
    return -real_scores, fake_scores


def wasserstein_generator(fake_scores: Tensor) -> Tensor:
    """Return −s: the generator raises the scores of its rows.

    Args:
        fake_scores: (B',) scores of generated rows.

    Returns:
        (B',).

    Reference: Arjovsky, Chintala & Bottou (2017), Wasserstein GAN, algorithm 1.
    """
    return -fake_scores


def twice_jsd_terms(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return terms whose two means sum to a lower estimate of 2 JSD(p, q): what any critic shows of it.

    real: log 2 + log D; fake: log 2 + log(1 − D), with D = σ(score)

    E_p[log 2 + log D] + E_q[log 2 + log(1 − D)] = 2 log 2 − L_D ≤ 2 JSD(p, q) for every critic, with equality for
    D = p/(p + q). So the estimate is low in the mean, from 0 for a critic that guesses to log 4 for one that is always
    right; below 0 the critic is worse than a coin. On the rows that it has just learned from it errs towards too large.

    Args:
        real_scores: (B,) logits of real rows.
        fake_scores: (B',) logits of generated rows.

    Returns:
        (B,) and (B',) nats, each at most log 2.

    Reference: Goodfellow et al. (2014), Generative Adversarial Nets, theorem 1.

    Example:
        >>> import torch
        >>> real, fake = twice_jsd_terms(torch.full((3,), 100.0), torch.full((2,), -100.0))
        >>> round(float(real.mean() + fake.mean()), 4)  # log 4: every row is classified correctly
        1.3863
    """
    return math.log(2) + logsigmoid(real_scores), math.log(2) + logsigmoid(-fake_scores)
