"""What is descended of the KL of codes from their prior: one function for each variant."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from latentia.core.objective import Metrics
from latentia.errors import UsageError
from latentia.functional.schedules import cyclical, warmup

KLTerm = Callable[[Tensor, int], tuple[Tensor, Metrics]]
"""What is descended of the mean KL, (), at a step, as a weight times it, and what to log besides, as that weight."""


def beta_weighted(beta: float, warmup_steps: int = 0) -> KLTerm:
    """Return β · KL, β rising linearly from 0 over the first steps.

    With β = 1 the rise is annealing (Bowman et al. 2016), whose end is the bound itself; a fixed β is the β-VAE's.

    Raises:
        UsageError: for negative numbers.
    """
    if beta < 0 or warmup_steps < 0:
        raise UsageError(f"beta and kl_warmup must be at least 0; got {beta} and {warmup_steps}")

    def term(kl: Tensor, step: int) -> tuple[Tensor, Metrics]:
        weight = beta * warmup(step, warmup_steps)
        return weight * kl, {"beta": weight}

    return term


def cyclically_weighted(period: int, rise: float = 0.5) -> KLTerm:
    """Return β · KL, β rising from 0 to 1 again and again (Fu et al. 2019, equations 6 and 7).

    Args:
        period: steps of a cycle.
        rise: share of a cycle in which β rises; it is 1 in the rest.

    Raises:
        UsageError: for a period below 1, or a share that is not above 0 and at most 1.
    """
    cyclical(0, period, rise=rise)  # refuses what means nothing now, not at the first step

    def term(kl: Tensor, step: int) -> tuple[Tensor, Metrics]:
        weight = cyclical(step, period, rise=rise)
        return weight * kl, {"beta": weight}

    return term


def near_capacity(gamma: float, capacity: float, steps: int = 0) -> KLTerm:
    """Return γ |KL − C|, C rising linearly from 0 over the first steps (Burgess et al. 2018, equation 8).

    Args:
        gamma: γ.
        capacity: C at the end, in nats.
        steps: over which it rises.

    Raises:
        UsageError: for negative numbers.
    """
    if gamma < 0 or capacity < 0 or steps < 0:
        raise UsageError(
            f"beta, capacity and capacity_steps must be at least 0; got {gamma}, {capacity} and {steps}"
        )

    def term(kl: Tensor, step: int) -> tuple[Tensor, Metrics]:
        target = capacity * warmup(step, steps)
        return gamma * distance_to_capacity(kl, target), {"beta": gamma, "capacity": target}

    return term


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
