"""KL terms of variational losses: KL annealing, capacity and free bits, one function for each."""

from collections.abc import Callable

from torch import Tensor

from latentia.core.objective import Metrics
from latentia.errors import UsageError
from latentia.functional.schedules import cyclical, warmup

KLTerm = Callable[[Tensor, int], tuple[Tensor, Metrics]]
"""From the mean KL, (), and the step: a term of the loss, such as a weight times the KL, and what to log, such as β."""


def beta_weighted(beta: float, warmup_steps: int = 0) -> KLTerm:
    """Return β · KL, β rising linearly from 0 over the first steps.

    With a final β of 1 this is linear KL annealing (Bowman et al. 2016); a constant β gives the β-VAE.

    Raises:
        UsageError: for a negative β or number of steps.
    """
    if beta < 0 or warmup_steps < 0:
        raise UsageError(f"beta and kl_warmup must be at least 0; got {beta} and {warmup_steps}")

    def term(kl: Tensor, step: int) -> tuple[Tensor, Metrics]:
        weight = beta * warmup(step, warmup_steps)
        return weight * kl, {"beta": weight}

    return term


def cyclically_weighted(period: int, rise: float = 0.5) -> KLTerm:
    """Return β · KL with cyclical annealing, β rising from 0 to 1 in each cycle (Fu et al. 2019, equations 6 and 7).

    Args:
        period: steps of a cycle.
        rise: fraction of a cycle in which β rises; in the rest it is 1.

    Raises:
        UsageError: for a period below 1, or a fraction that is not above 0 and at most 1.
    """
    cyclical(0, period, rise=rise)  # checks the options now, not at the first step

    def term(kl: Tensor, step: int) -> tuple[Tensor, Metrics]:
        weight = cyclical(step, period, rise=rise)
        return weight * kl, {"beta": weight}

    return term


def distance_to_capacity(kl: Tensor, capacity: float) -> Tensor:
    """Return |KL − C|, the distance of the KL from its target.

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


def near_capacity(gamma: float, capacity: float, steps: int = 0) -> KLTerm:
    """Return γ |KL − C|, C rising linearly from 0 over the first steps (Burgess et al. 2018, equation 8).

    Args:
        gamma: γ.
        capacity: C at the end, in nats.
        steps: steps over which C rises.

    Raises:
        UsageError: for a negative option.
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
    """Return the free-bits correction of the KL, which removes the gradient of entries below λ nats.

    Σ_j max(λ − KL̄_j, 0), KL̄_j = (1/B) Σ_i KL_ij; added to Σ_j KL̄_j it gives Σ_j max(λ, KL̄_j)

    Args:
        kl: (B, d) KL_ij of each row's posterior from the prior, for each entry.
        least: λ, in nats for each entry (not in bits).

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
