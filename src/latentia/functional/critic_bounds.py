"""What a critic's cross-entropy tells of the distance between data and samples."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import logsigmoid


def twice_jsd_terms(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return terms whose two means sum to a lower estimate of 2 JSD(p, q): what any critic shows of it.

    real: log 2 + log D; fake: log 2 + log(1 − D), with D = σ(score)

    E_p[log 2 + log D] + E_q[log 2 + log(1 − D)] = 2 log 2 − L_D ≤ 2 JSD(p, q) for every critic, with equality for
    D = p/(p + q). So the estimate is low in the mean, from 0 where nothing is told to log 4 where all is; below 0 the
    critic is worse than a coin. On the rows that it has just learned from it errs towards too large.

    Args:
        real_scores: (B,) logits of real rows.
        fake_scores: (B',) logits of generated rows.

    Returns:
        (B,) and (B',) nats, each at most log 2.

    Reference: Goodfellow et al. (2014), Generative Adversarial Nets, theorem 1.

    Example:
        >>> import torch
        >>> real, fake = twice_jsd_terms(torch.full((3,), 100.0), torch.full((2,), -100.0))
        >>> round(float(real.mean() + fake.mean()), 4)  # log 4: the critic tells all rows
        1.3863
    """
    return math.log(2) + logsigmoid(real_scores), math.log(2) + logsigmoid(-fake_scores)
