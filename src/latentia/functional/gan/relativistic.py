"""Relativistic losses: a critic compares two rows, so only differences of scores count."""

import math

from torch import Tensor
from torch.nn.functional import softplus

from latentia.errors import UsageError
from latentia.functional.checks import probability_vectors, same_shape
from latentia.functional.discrete import jensen_shannon


def relativistic_average_critic(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of each row against the *average* row of the other kind.

    real: −log σ(C(x_r) − mean C(x_f)); fake: −log(1 − σ(C(x_f) − mean C(x_r)))

    The means are taken within each batch, which need not be of one size, and gradients pass through them.

    Args:
        real_scores: (B,) C of real rows.
        fake_scores: (B',) C of generated rows.

    Returns:
        (B,) and (B',) nats.

    Raises:
        UsageError: for scores that are not vectors of at least one entry.

    Reference: Jolicoeur-Martineau (2019), The relativistic discriminator, section 4 (RaSGAN).

    Example:
        >>> import torch
        >>> relativistic_average_critic(torch.zeros(1), torch.zeros(2))  # log 2 each
        (tensor([0.6931]), tensor([0.6931, 0.6931]))
    """
    _vectors(real_scores=real_scores, fake_scores=fake_scores)
    return softplus(fake_scores.mean() - real_scores), softplus(fake_scores - real_scores.mean())


def relativistic_average_generator(fake_scores: Tensor, real_scores: Tensor) -> Tensor:
    """Return the same cross-entropy with real and fake exchanged, which the generator descends.

    −log σ(C(x_f) − mean C(x_r)) − mean log(1 − σ(C(x_r) − mean C(x_f)))

    The second term is one number: the mean over the fake rows is the sum of both means.

    Args:
        fake_scores: (B',) C of generated rows.
        real_scores: (B,) C of real rows.

    Returns:
        (B',) nats.

    Raises:
        UsageError: for scores that are not vectors of at least one entry.

    Reference: Jolicoeur-Martineau (2019), The relativistic discriminator, section 4 (RaSGAN).
    """
    _vectors(real_scores=real_scores, fake_scores=fake_scores)
    on_real = softplus(real_scores - fake_scores.mean())
    return softplus(real_scores.mean() - fake_scores) + on_real.mean()


def relativistic_paired_critic(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return −log σ(C(x_r) − C(x_f)) for each pair, half of it on each of its two rows.

    The optimal C is log p/q up to a constant, and the game's value is then `relativistic_paired_value`.

    Args:
        real_scores: (B,) C of real rows.
        fake_scores: (B,) C of generated rows; the i-th is the partner of the i-th real row.

    Returns:
        (B,) and (B,) nats, equal.

    Raises:
        UsageError: for batches of different sizes, or scores that are not vectors of at least one entry.

    Reference: Jolicoeur-Martineau (2019), The relativistic discriminator, section 4 (RSGAN).

    Example:
        >>> import torch
        >>> relativistic_paired_critic(torch.zeros(1), torch.zeros(1))  # together log 2
        (tensor([0.3466]), tensor([0.3466]))
    """
    _vectors(real_scores=real_scores, fake_scores=fake_scores)
    same_shape(real_scores=real_scores, fake_scores=fake_scores)
    half = softplus(fake_scores - real_scores) / 2
    return half, half


def relativistic_paired_generator(fake_scores: Tensor, real_scores: Tensor) -> Tensor:
    """Return −log σ(C(x_f) − C(x_r)) for each pair.

    Args:
        fake_scores: (B,) C of generated rows.
        real_scores: (B,) C of real rows; the i-th is the partner of the i-th generated row.

    Returns:
        (B,) nats.

    Raises:
        UsageError: for batches of different sizes, or scores that are not vectors of at least one entry.

    Reference: Jolicoeur-Martineau (2019), The relativistic discriminator, section 4 (RSGAN).
    """
    _vectors(real_scores=real_scores, fake_scores=fake_scores)
    same_shape(real_scores=real_scores, fake_scores=fake_scores)
    return softplus(real_scores - fake_scores)


def relativistic_paired_value(p: Tensor, q: Tensor) -> Tensor:
    """Return the paired game's value at the optimum: JSD(p × q, q × p) − log 2.

    The critic classifies the order of a pair: (real, generated) or exchanged.

    Args:
        p: (*B, K) probabilities of the data.
        q: (*B, K) probabilities of the generator.

    Returns:
        (*B,) nats, from −log 2 (p = q) to 0.

    Raises:
        UsageError: unless the shapes are equal.
        DataError: for vectors that are no probabilities.

    Example:
        >>> import torch
        >>> relativistic_paired_value(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
        tensor(0.)
    """
    probability_vectors(p=p, q=q)
    pair = p.unsqueeze(-1) * q.unsqueeze(-2)
    return jensen_shannon(pair.flatten(-2), pair.mT.flatten(-2)) - math.log(2)


def _vectors(**scores: Tensor) -> None:
    """Raise unless all scores are vectors: others would be compared with rows they do not belong to."""
    if any(each.dim() != 1 or not len(each) for each in scores.values()):
        given = ", ".join(f"{name} {tuple(each.shape)}" for name, each in scores.items())
        raise UsageError(f"scores must be vectors of at least one entry; got {given}: one score for each row")
