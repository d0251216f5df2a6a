"""What training may descend in place of the KL of codes from their prior, in nats."""

from __future__ import annotations

from torch import Tensor

from latentia.errors import UsageError


def free_bits(kl: Tensor, least: float) -> Tensor:
    """Return by how much entries of the code stay below the nats that each has for free.

    Σ_j max(λ − KL̄_j, 0), KL̄_j = (1/B) Σ_i KL_ij: added to Σ_j KL̄_j it gives Σ_j max(λ, KL̄_j), whose gradient is 0
    for entries below λ

    Args:
        kl: (B, d) KL_ij of each row's posterior from the prior, entry by entry.
        least: λ, in nats for each entry, in spite of the name.

    Returns:
        () nats.

    Raises:
        UsageError: for another shape.

    Reference: Kingma et al. (2016), Improved variational inference with inverse autoregressive flow, eq. 15.

    Example:
        >>> import torch
        >>> free_bits(torch.tensor([[0.0, 1.0], [0.5, 3.0]]), least=1.0)  # 1 − 0.25 of the first entry
        tensor(0.7500)
    """
    if kl.dim() != 2:
        raise UsageError(f"kl must be (B, d); got {tuple(kl.shape)}")
    return (least - kl.mean(0)).clamp(min=0).sum()


def distance_to_capacity(kl: Tensor, capacity: float) -> Tensor:
    """Return |KL − C|: how far the KL is from the nats that codes are meant to carry.

    Args:
        kl: (*B,) nats.
        capacity: C.

    Returns:
        (*B,) nats.

    Reference: Burgess et al. (2018), Understanding disentangling in β-VAE, eq. 8.

    Example:
        >>> import torch
        >>> distance_to_capacity(torch.tensor([1.0, 4.0]), 3.0)
        tensor([2., 1.])
    """
    return (kl - capacity).abs()
