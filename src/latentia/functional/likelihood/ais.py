"""Annealed importance sampling: log p(x) by chains from the prior to the posterior, or in reverse.

log f_β(z) = log f₀(z) + β r(z) interpolates between a distribution f₀ that can be sampled (the prior p(z)) at β = 0 and
an unnormalised density f₁ (the joint p(x, z), whose integral is p(x)) at β = 1; where f₀ is the prior,
r(z) = log p(x | z). Forward chains give weights with E[w] = p(x), so that E log w ≤ log p(x); reverse chains from
posterior draws give E[1/w] = 1/p(x), so that E log w ≥ log p(x). Both hold if the transitions do not depend on the
weighted chains: step sizes are adapted on separate chains, see `latentia.functional.likelihood.hmc`.

Everything is batched: C chains of B rows with d entries, (C, B, d).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.checks import member
from latentia.registry import Registry, temperature_schedules

LogDensity = Callable[[Tensor], Tensor]

_STEEPNESS = 4.0  # of the sigmoid schedule


@dataclass(frozen=True)
class Path:
    """The annealing path log f_β(z) = log f₀(z) + β r(z), r(z) = log f₁(z) − log f₀(z).

    Attributes:
        log_start: (C, B, d) → (C, B) log f₀ in nats, normalised: the prior's density.
        log_ratio: (C, B, d) → (C, B) r in nats: log p(x | z) where f₀ is the prior.
    """

    log_start: LogDensity
    log_ratio: LogDensity

    def at(self, z: Tensor) -> Point:
        """Return values and gradients at codes (C, B, d), from one evaluation of each function."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            start, ratio = self.log_start(z), self.log_ratio(z)
            slopes = _slope(start, z), _slope(ratio, z)
        return Point(z.detach(), start.detach(), ratio.detach(), *slopes)


@dataclass(frozen=True)
class Point:
    """The state of chains on a path: codes, densities and gradients.

    Attributes:
        z: (C, B, d).
        start: (C, B) log f₀(z).
        ratio: (C, B) r(z).
        start_slope: (C, B, d) ∇ log f₀(z).
        ratio_slope: (C, B, d) ∇ r(z).
    """

    z: Tensor
    start: Tensor
    ratio: Tensor
    start_slope: Tensor
    ratio_slope: Tensor

    def log_density(self, beta: float) -> Tensor:
        """Return log f_β(z), (C, B)."""
        return self.start + beta * self.ratio

    def slope(self, beta: float) -> Tensor:
        """Return ∇ log f_β(z), (C, B, d)."""
        return torch.add(self.start_slope, self.ratio_slope, alpha=beta)

    def moved(self, there: Point, accepted: Tensor) -> Point:
        """Return the chains after a proposal: ``there`` where ``accepted`` (C, B), unchanged elsewhere."""
        wide = accepted[..., None]
        return Point(
            torch.where(wide, there.z, self.z),
            torch.where(accepted, there.start, self.start),
            torch.where(accepted, there.ratio, self.ratio),
            torch.where(wide, there.start_slope, self.start_slope),
            torch.where(wide, there.ratio_slope, self.ratio_slope),
        )


Move = Callable[[Point, int], tuple[Point, Tensor]]
"""A transition that leaves f_β invariant at β = β_t: (chains, t) → (chains, acceptance probability (C, B))."""


@dataclass(frozen=True)
class Annealed:
    """Log-weights of chains, and how often their proposals were accepted.

    Attributes:
        log_w: (C, B) log-weights in nats, float64.
        acceptance: (B,) mean probability that a proposal was accepted.
    """

    log_w: Tensor
    acceptance: Tensor


def linear_temperatures(steps: int) -> Tensor:
    """Return β_t = t/T for t = 0..T.

    Args:
        steps: T.

    Raises:
        UsageError: for fewer than 1.

    Example:
        >>> linear_temperatures(4).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if steps < 1:
        raise UsageError(f"annealing needs at least 1 step; got {steps}")
    return torch.arange(steps + 1, dtype=torch.float64) / steps


def sigmoid_temperatures(steps: int) -> Tensor:
    """Return inverse temperatures that are dense near both ends, where f_β changes fastest.

    β_t = (s_t − s_0)/(s_T − s_0), s_t = σ(4 (2t/T − 1)), t = 0..T

    Args:
        steps: T.

    Raises:
        UsageError: for fewer than 1.

    Reference: Grosse, Ancha and Roy (2016), Measuring the reliability of MCMC inference with bidirectional Monte Carlo.

    Example:
        >>> [round(beta, 3) for beta in sigmoid_temperatures(4).tolist()]
        [0.0, 0.105, 0.5, 0.895, 1.0]
    """
    s = torch.sigmoid(_STEEPNESS * (2 * linear_temperatures(steps) - 1))
    return (s - s[0]) / (s[-1] - s[0])


SCHEDULES: Registry[Callable[[int], Tensor]] = temperature_schedules
temperature_schedules.add({"linear": linear_temperatures, "sigmoid": sigmoid_temperatures})


def temperatures(schedule: str, steps: int) -> Tensor:
    """Return T + 1 inverse temperatures from 0 to 1 by the name of a schedule: linear or sigmoid."""
    return member(SCHEDULES, schedule, "schedule")(steps)


def ais(path: Path, z: Tensor, betas: Tensor, move: Move) -> Annealed:
    """Return the log-weights of chains from the start to the end of a path, whose E[w] is p(x).

    log w = Σ_{t=1}^{T} (β_t − β_{t−1}) r(z_{t−1}), z_0 ~ f₀, z_t from z_{t−1} by the transition of f_{β_t}

    The logarithm of the mean of C weights is a lower bound of log p(x) in expectation; it exceeds log p(x) + b with a
    probability below e⁻ᵇ.

    Args:
        path: from the prior to the joint.
        z: (C, B, d) draws from f₀, independent of each other.
        betas: (T + 1,) rising from 0 to 1.
        move: leaves f_{β_t} invariant; T − 1 transitions are made.

    Raises:
        UsageError: for temperatures that do not rise from 0 to 1.

    Reference: Neal (2001), Annealed importance sampling, equations 11 and 12.

    Example:
        >>> normal = torch.distributions.Normal(0.0, 1.0)
        >>> path = Path(lambda z: normal.log_prob(z).sum(-1), lambda z: torch.full(z.shape[:2], -2.0))
        >>> stay = lambda point, t: (point, torch.ones(point.z.shape[:2]))
        >>> ais(path, torch.zeros(3, 1, 2), linear_temperatures(5), stay).log_w.mean().item()
        -2.0
    """
    T = _checked(betas)
    return _gathered(path.at(z), betas, [(t, t) for t in range(1, T)] + [(T, 0)], move)


def reverse_ais(path: Path, z: Tensor, betas: Tensor, move: Move) -> Annealed:
    """Return the log-weights of chains from the end of a path to its start, whose E[1/w] is 1/p(x).

    log w = Σ_{t=T}^{1} (β_t − β_{t−1}) r(z_t), z_T ~ p(z | x), z_{t−1} from z_t by the transition of f_{β_{t−1}}

    −log mean 1/w is an upper bound of log p(x) in expectation, also where all chains start from one draw. Where x was
    drawn from the model with a code z, this z is a draw from the posterior.

    Args:
        path: from the prior to the joint.
        z: (C, B, d) draws from the posterior p(z | x).
        betas: (T + 1,) rising from 0 to 1.
        move: leaves f_{β_t} invariant, and is reversible; T − 1 transitions are made.

    Raises:
        UsageError: for temperatures that do not rise from 0 to 1.

    Reference: Grosse, Ghahramani and Adams (2015), Sandwiching the marginal likelihood using bidirectional Monte Carlo.
    """
    T = _checked(betas)
    return _gathered(path.at(z), betas, [(t, t - 1) for t in range(T, 0, -1)], move)


def _gathered(point: Point, betas: Tensor, order: Iterable[tuple[int, int]], move: Move) -> Annealed:
    """Accumulate log-weights over (t, s): add the t-th term, then move at β_s; with s = 0 the chains stay."""
    widths, log_w = betas.diff().tolist(), torch.zeros_like(point.ratio, dtype=torch.float64)
    total, moves = torch.zeros_like(log_w), 0
    for t, at in order:
        log_w.add_(point.ratio, alpha=widths[t - 1])
        if at:
            point, acceptance = move(point, at)
            total, moves = total + acceptance, moves + 1
    return Annealed(log_w, total.mean(0) / moves if moves else total.mean(0) + 1)


def _slope(value: Tensor, z: Tensor) -> Tensor:
    """Return the gradient of (C, B) values in codes; 0 where they do not depend on them, as for a uniform density."""
    if not value.requires_grad:
        return torch.zeros_like(z)
    (slope,) = torch.autograd.grad(value.sum(), z, allow_unused=True, materialize_grads=True)
    return slope


def _checked(betas: Tensor) -> int:
    """Return T."""
    if (
        betas.dim() != 1
        or len(betas) < 2
        or (betas[0], betas[-1]) != (0, 1)
        or bool((betas.diff() < 0).any())
    ):
        raise UsageError(f"betas must have shape (T + 1,) and rise from 0 to 1; got {betas.tolist()[:6]}")
    return len(betas) - 1
