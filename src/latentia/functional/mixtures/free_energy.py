"""EM as coordinate ascent of a bound: the E-step makes it tight, the M-step raises it."""

from __future__ import annotations

import torch
from torch import Tensor

from latentia.functional.checks import same_shape


def free_energy(log_joint: Tensor, q: Tensor) -> Tensor:
    """Return the ELBO Σ_k q_k (log p(x, k) − log q_k) = log p(x) − KL(q ‖ p(k | x)) of each row: (B,) nats.

    With q = p(k | x) it is log p(x).

    Args:
        log_joint: (B, K) log p(x, k).
        q: (B, K) probabilities of the components.

    Reference: Neal and Hinton (1998), A view of the EM algorithm that justifies incremental, sparse, and other
    variants, eq. 7, with the sign of a bound.

    Example:
        >>> log_joint = torch.tensor([[0.2, 0.1]]).log()
        >>> bound, log_prob = free_energy(log_joint, log_joint.softmax(1)), log_joint.logsumexp(1)
        >>> bool(torch.allclose(bound, log_prob))
        True
    """
    same_shape(log_joint=log_joint, q=q)
    terms = torch.where(q > 0, q * log_joint, 0.0) - torch.special.xlogy(q, q)
    return terms.sum(1)
