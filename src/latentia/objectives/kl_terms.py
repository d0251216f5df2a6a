"""What is descended of the KL of codes from their prior: one function for each variant."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from latentia.core.objective import Metrics
from latentia.errors import UsageError
from latentia.functional.rates import distance_to_capacity
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
